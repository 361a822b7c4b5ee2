// Servers that speak OpenAI's responses: https://platform.openai.com/docs/api-reference/responses
import { remoteKind } from "../remote-kind.ts";
import { sharedPaths } from "../translate/call-as.ts";
import { responsesUpstream } from "../translate/forms.ts";

export const openaiResponses = remoteKind("openai-responses", {
  native: { responses: "/responses", ...sharedPaths },
  upstream: responsesUpstream,
  path: "/responses",
});
