// Servers that speak OpenAI's chat completions (OpenAI, vLLM, Ollama, LM Studio, llama.cpp …): bytes out, bytes back.
// Wire format: https://platform.openai.com/docs/api-reference/chat
import { z } from "zod";
import { remoteOptions } from "../options.ts";
import type { Provider, ProviderKind } from "../provider.ts";
import { openRemote, readModelList } from "../remote.ts";
import { callAs, sharedPaths } from "../translate/call-as.ts";
import { chatUpstream } from "../translate/forms.ts";

const options = z.strictObject({ api: z.literal("openai-completions"), ...remoteOptions });

export const openaiCompletions = {
  options,
  async create(id, settings, deps) {
    const remote = await openRemote(id, settings, deps);
    const provider: Provider = {
      id,
      kind: settings.api,
      models: settings.models,
      apis: ["chat-completions", "embeddings", "completions", "rerank"],
      call: callAs({
        provider: id,
        models: settings.models,
        native: { "chat-completions": "/chat/completions", ...sharedPaths },
        upstream: chatUpstream,
        path: "/chat/completions",
        send: remote.send,
      }),
      listServed: (timeoutMs) => remote.list("/models", readModelList, timeoutMs),
      close: () => remote.close(),
    };
    return provider;
  },
} satisfies ProviderKind<typeof options>;
