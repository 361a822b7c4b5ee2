// The table of provider kinds: the config's `api`, its type and the dispatch come from here.
import { anthropicMessages } from "./providers/anthropic-messages.ts";
import { demo } from "./providers/demo.ts";
import { ollama } from "./providers/ollama.ts";
import { openaiCompletions } from "./providers/openai-completions.ts";
import { openaiResponses } from "./providers/openai-responses.ts";

export const providerKinds = {
  "openai-completions": openaiCompletions,
  "openai-responses": openaiResponses,
  "anthropic-messages": anthropicMessages,
  ollama,
  demo,
} as const;

export type ProviderKindName = keyof typeof providerKinds;

/** What answers while no other provider is configured, and never otherwise. */
export const unconfiguredKind = "demo" satisfies ProviderKindName;
