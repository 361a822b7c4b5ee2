// Answers in streaming without a network, and says that it is a demonstration; never chosen when another provider is configured.
import * as z from "zod";
import type { CallSink, ModelCall, ModelEntry, Provider, ProviderKind } from "../provider.ts";
import { callAs } from "../translate/call-as.ts";
import { chatUpstream } from "../translate/forms.ts";

const options = z.strictObject({
  api: z.literal("demo"),
  delayMs: z.int().min(0).max(10_000).default(40).describe("pause between two words"),
});

const text =
  "This is the demonstration model of OpenClaw Stack: the gateway runs, and no model is connected yet. " +
  "To connect one, set its address in the stack file (for example an Ollama at http://127.0.0.1:11434/v1) and run `npm run up` again, " +
  "or add it to openclaw.json under models.providers.";

export const demo = {
  options,
  async create(id, { delayMs }) {
    const words = text.split(/(?<= )/);
    const models: readonly ModelEntry[] = [{ id: "demo", name: "Demonstration", input: ["text", "image"] }];
    const provider: Provider = {
      id,
      kind: "demo",
      models,
      apis: ["chat-completions"],
      call: callAs({
        provider: id,
        models,
        native: { "chat-completions": "" },
        upstream: chatUpstream,
        path: "",
        send: (_path, _body, call, sink) => (call.stream ? streamed(words, call, sink, delayMs) : whole(words, call, sink)),
      }),
      listServed: async () => ["demo"],
      close: async () => {},
    };
    return provider;
  },
} satisfies ProviderKind<typeof options>;

/** By a rule of thumb for what is read, and one for each word that is written. */
function usageOf({ body }: ModelCall, words: number) {
  const read = Math.ceil(body.length / 4);
  return { prompt_tokens: read, completion_tokens: words, total_tokens: read + words };
}

function envelope(call: ModelCall, object: string) {
  return { id: `chatcmpl-${call.requestId}`, object, created: Math.floor(Date.now() / 1000), model: call.model };
}

function whole(words: readonly string[], call: ModelCall, sink: CallSink) {
  const usage = usageOf(call, words.length);
  const message = { role: "assistant", content: text };
  const body = { ...envelope(call, "chat.completion"), choices: [{ index: 0, message, finish_reason: "stop" }], usage };
  const bytes = Buffer.from(JSON.stringify(body));
  const timer = setImmediate(() => {
    sink.head("application/json", bytes.length);
    sink.data(bytes);
    sink.end();
  });
  return { abort: () => clearImmediate(timer), resume: () => {} };
}

function streamed(words: readonly string[], call: ModelCall, sink: CallSink, delayMs: number) {
  const head = envelope(call, "chat.completion.chunk");
  const event = (delta: object, finish: string | null): Buffer =>
    Buffer.from(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
  let next = -1;
  let paused = false;
  let timer: NodeJS.Timeout | undefined = setTimeout(step, 0);

  function step(): void {
    timer = undefined;
    if (next === -1) sink.head("text/event-stream", undefined);
    const word = words[next];
    if (next >= words.length) {
      sink.data(event({}, "stop"));
      sink.data(Buffer.from("data: [DONE]\n\n"));
      const { prompt_tokens: input, completion_tokens: output } = usageOf(call, words.length);
      sink.usage?.({ input, output });
      sink.end();
      return;
    }
    paused = !sink.data(event(next === -1 ? { role: "assistant", content: "" } : { content: word }, null));
    next += 1;
    if (!paused) timer = setTimeout(step, delayMs);
  }

  return {
    abort: () => clearTimeout(timer),
    resume: () => {
      if (!paused) return;
      paused = false;
      timer = setTimeout(step, delayMs);
    },
  };
}
