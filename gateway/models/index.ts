// The table of provider kinds: the config's `api`, its type and the dispatch come from here.
import { demo } from "./providers/demo.ts";
import { openaiCompletions } from "./providers/openai-completions.ts";

export const providerKinds = {
  "openai-completions": openaiCompletions,
  demo,
} as const;

export type ProviderKindName = keyof typeof providerKinds;

/** The kind of a provider that names none. */
export const defaultKind: ProviderKindName = "openai-completions";
