// Servers that speak OpenAI's responses: https://platform.openai.com/docs/api-reference/responses
import { z } from "zod";
import { remoteOptions } from "../options.ts";
import type { Provider, ProviderKind } from "../provider.ts";
import { openRemote, readModelList } from "../remote.ts";
import { callAs, sharedPaths } from "../translate/call-as.ts";
import { responsesUpstream } from "../translate/forms.ts";

const options = z.strictObject({ api: z.literal("openai-responses"), ...remoteOptions });

export const openaiResponses = {
  options,
  async create(id, settings, deps) {
    const remote = await openRemote(id, settings, deps);
    const provider: Provider = {
      id,
      kind: settings.api,
      models: settings.models,
      apis: ["responses", "embeddings", "completions", "rerank"],
      call: callAs({
        provider: id,
        models: settings.models,
        native: { responses: "/responses", ...sharedPaths },
        upstream: responsesUpstream,
        path: "/responses",
        send: remote.send,
      }),
      listServed: (timeoutMs) => remote.list("/models", readModelList, timeoutMs),
      close: () => remote.close(),
    };
    return provider;
  },
} satisfies ProviderKind<typeof options>;
