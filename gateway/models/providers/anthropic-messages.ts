// Servers that speak Anthropic's messages: https://docs.anthropic.com/en/api/messages
import { readModelList } from "../remote.ts";
import { remoteKind } from "../remote-kind.ts";
import { messagesUpstream } from "../translate/forms.ts";

export const anthropicMessages = remoteKind("anthropic-messages", {
  native: { messages: "/messages", "count-tokens": "/messages/count_tokens" },
  upstream: messagesUpstream,
  path: "/messages",
  // The SDK's own setting has no version in it: https://api.anthropic.com
  baseUrl: (written) => (/\/v\d+\/?$/.test(written) ? written : `${written.replace(/\/$/, "")}/v1`),
  keyHeaders: (key) => ({ "x-api-key": key }),
  // https://docs.anthropic.com/en/api/versioning
  headers: { "anthropic-version": "2023-06-01" },
  list: { path: "/models?limit=1000", read: readModelList },
});
