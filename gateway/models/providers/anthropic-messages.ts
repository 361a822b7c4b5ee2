// Servers that speak Anthropic's messages: https://docs.anthropic.com/en/api/messages
import { z } from "zod";
import { remoteOptions } from "../options.ts";
import type { Provider, ProviderKind } from "../provider.ts";
import { openRemote, readModelList } from "../remote.ts";
import { callAs } from "../translate/call-as.ts";
import { messagesUpstream } from "../translate/forms.ts";

const options = z.strictObject({ api: z.literal("anthropic-messages"), ...remoteOptions });

/** https://docs.anthropic.com/en/api/versioning */
const version = { "anthropic-version": "2023-06-01" };

export const anthropicMessages = {
  options,
  async create(id, settings, deps) {
    // The SDK's own setting has no version in it: https://api.anthropic.com
    const baseUrl = /\/v\d+\/?$/.test(settings.baseUrl) ? settings.baseUrl : `${settings.baseUrl.replace(/\/$/, "")}/v1`;
    const remote = await openRemote(id, { ...settings, baseUrl }, deps, (key) => ({ "x-api-key": key }), version);
    const provider: Provider = {
      id,
      kind: settings.api,
      models: settings.models,
      apis: ["messages", "count-tokens"],
      call: callAs({
        provider: id,
        models: settings.models,
        native: { messages: "/messages", "count-tokens": "/messages/count_tokens" },
        upstream: messagesUpstream,
        path: "/messages",
        send: remote.send,
      }),
      listServed: (timeoutMs) => remote.list("/models?limit=1000", readModelList, timeoutMs),
      close: () => remote.close(),
    };
    return provider;
  },
} satisfies ProviderKind<typeof options>;
