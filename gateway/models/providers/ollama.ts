// Ollama by its own API: https://github.com/ollama/ollama/blob/main/docs/api.md
import * as z from "zod";
import { remoteKind } from "../remote-kind.ts";
import { clientForms } from "../translate/forms.ts";
import type { UpstreamForm } from "../translate/neutral.ts";
import { translatedCall } from "../translate/translated.ts";
import { readOllamaAnswer, readOllamaStream } from "./ollama/answer.ts";
import { embedCall } from "./ollama/embed.ts";
import { writeOllamaChat, writeOllamaGenerate } from "./ollama/request.ts";

const ends = /"done":\s*true/;

/** /api/chat */
const chat: UpstreamForm = {
  framing: "lines",
  ends,
  writeAsked: writeOllamaChat,
  readAnswer: readOllamaAnswer,
  readStream: readOllamaStream,
};
/** /api/generate */
const generate: UpstreamForm = { ...chat, readsSuffix: true, writeAsked: writeOllamaGenerate };

/** https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models */
const tagsSchema = z.object({ models: z.array(z.looseObject({ name: z.string() })) });

export const ollama = remoteKind("ollama", {
  native: {},
  upstream: chat,
  path: "/chat",
  // Tutorials write the server's address, or that of its chat completions.
  baseUrl: (written) => `${written.replace(/\/+$/, "").replace(/\/(?:v1|api)$/, "")}/api`,
  list: { path: "/tags", read: (json) => tagsSchema.parse(json).models.map(({ name }) => name) },
  special: (remote) => ({
    embeddings: (call, sink) => embedCall(call, sink, (body, inner) => remote.send("/embed", body, call, inner, ends)),
    completions: (call, sink) =>
      translatedCall({
        call,
        sink,
        client: clientForms.completions,
        upstream: generate,
        target: { model: call.model, maxTokens: undefined },
        send: (body, inner) => remote.send("/generate", body, call, inner, ends),
      }),
  }),
});
