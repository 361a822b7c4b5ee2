// Servers that speak OpenAI's chat completions (OpenAI, vLLM, LM Studio, llama.cpp …): bytes out, bytes back.
// Wire format: https://platform.openai.com/docs/api-reference/chat
import { remoteKind } from "../remote-kind.ts";
import { askForUsage } from "../stream-usage.ts";
import { sharedPaths } from "../translate/call-as.ts";
import { chatUpstream } from "../translate/forms.ts";

export const openaiCompletions = remoteKind("openai-completions", {
  native: { "chat-completions": "/chat/completions", ...sharedPaths },
  upstream: chatUpstream,
  path: "/chat/completions",
  passing: askForUsage,
});
