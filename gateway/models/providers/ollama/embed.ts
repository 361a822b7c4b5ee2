// Embeddings as OpenAI's clients ask for them, of Ollama's /api/embed.
// https://platform.openai.com/docs/api-reference/embeddings; https://github.com/ollama/ollama/blob/main/docs/api.md (EmbedRequest of the npm package ollama)
import type { CallHandle, CallSink, ModelCall } from "../../provider.ts";
import { compact, type Json, listOf, numberOr, optionalNumber, refuseOthers, wrong } from "../../translate/json.ts";
import { untranslatable } from "../../translate/neutral.ts";
import { rewrittenCall } from "../../translate/rewritten.ts";

const known = ["model", "input", "encoding_format", "dimensions"];

export function embedCall(call: ModelCall, sink: CallSink, send: (body: Buffer, sink: CallSink) => CallHandle): CallHandle {
  return rewrittenCall(call, sink, send, (body) => {
    refuseOthers(body, known, ["user"]);
    const encoding = body.encoding_format ?? "float";
    if (encoding !== "float" && encoding !== "base64") throw wrong("encoding_format", "float or base64");
    return {
      request: compact({
        model: call.model,
        input: readInput(body.input),
        dimensions: optionalNumber(body.dimensions, "dimensions"),
      }),
      readAnswer: (answer) => writeEmbeddings(answer, call.model, encoding),
    };
  });
}

function readInput(input: unknown): string | readonly string[] {
  if (typeof input === "string") return input;
  if (!Array.isArray(input)) throw wrong("input", "a text or a list of texts");
  return input.map((entry: unknown, index) => {
    if (typeof entry === "string") return entry;
    throw untranslatable(`input[${index}]`, "must be a text: this model's provider takes no tokens");
  });
}

function writeEmbeddings(answer: Json, model: string, encoding: "float" | "base64"): Json {
  const read = numberOr(answer.prompt_eval_count);
  return {
    object: "list",
    data: listOf(answer.embeddings).map((embedding, index) => ({
      object: "embedding",
      index,
      embedding: encoding === "base64" ? toBase64(listOf(embedding)) : embedding,
    })),
    model,
    usage: { prompt_tokens: read, total_tokens: read },
  };
}

/** 32-bit numbers, little-endian. */
function toBase64(embedding: readonly unknown[]): string {
  const bytes = Buffer.alloc(embedding.length * 4);
  for (const [index, value] of embedding.entries()) bytes.writeFloatLE(numberOr(value), index * 4);
  return bytes.toString("base64");
}
