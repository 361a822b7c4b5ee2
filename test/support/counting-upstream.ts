// A model server that counts: it writes tokens of a vocabulary of its own, 1 to 7 a chunk, leaves usage out where it is told to, and keeps books.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/**
 * What a token is here: one entry of this list, as in a real vocabulary: most words with the space before them, long ones in
 * pieces, numbers, signs, code, ideographs. The gateway does not know it.
 */
const vocabulary = [
  ..." the of and to in is that for it as with on be this are by at from or an was we can has not have which you will all one more"
    .split(" ")
    .map((word) => ` ${word}`),
  ...["internation", "alization", "token", "izer", "gate", "way", "config", "uration", "deploy", "ment", "under", "standing"],
  ...[
    "The",
    "However",
    "When",
    "Model",
    "123",
    "2026",
    "7",
    "42",
    ".",
    ",",
    ":",
    ";",
    "\n",
    "\n\n",
    " (",
    ")",
    '"',
    "'s",
    " -",
    " =>",
    "();",
  ],
  ...["模", "型", "网", "关", "您好", "服务"],
  ..." request response stream answer server upstream provider latency because example between different"
    .split(" ")
    .map((w) => ` ${w}`),
].filter((token) => token.trim() !== "" || token.includes("\n"));

export interface Plan {
  /** Tokens of the answer. */
  readonly tokens: number;
  readonly usage: boolean;
  /** Answers with this status and nothing else. */
  readonly status?: number;
  /** After so many tokens: breaks the connection, or stands still until the other end leaves. */
  readonly stopAt?: { readonly tokens: number; readonly how: "break" | "stand" };
}

export interface Counted {
  readonly id: string;
  readonly server: string;
  input: number;
  output: number;
  /** The answer came to its end, with usage in it. */
  told: boolean;
}

export interface CountingUpstream {
  readonly baseUrl: string;
  readonly books: readonly Counted[];
  close(): Promise<void>;
}

/** Numbers that are the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function someTokens(count: number, random: () => number): string[] {
  return Array.from({ length: count }, () => vocabulary[Math.floor(random() * vocabulary.length)] ?? " the");
}

/** `planOf` and `inputOf` go by the id of the request; the prompt's tokens are known to who made it. */
export async function startCountingUpstream(
  name: string,
  planOf: (id: string) => Plan,
  inputOf: (id: string) => number,
): Promise<CountingUpstream> {
  const books: Counted[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answer(request, response, Buffer.concat(chunks)));
  });

  function answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const path = request.url ?? "";
    if (path.endsWith("/models")) {
      response.writeHead(200, { "content-type": "application/json" }).end('{"object":"list","data":[{"id":"m"}]}');
      return;
    }
    const id = String(request.headers["x-request-id"]);
    const plan = planOf(id);
    if (plan.status !== undefined) {
      books.push({ id, server: name, input: 0, output: 0, told: false });
      response.writeHead(plan.status, { "content-type": "application/json" }).end('{"error":{"message":"made to fail"}}');
      return;
    }
    const entry: Counted = { id, server: name, input: inputOf(id), output: 0, told: false };
    books.push(entry);
    const random = seeded([...id].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
    const tokens = someTokens(plan.tokens, random);
    const streamed: unknown = Reflect.get(Object(JSON.parse(body.toString("utf8"))), "stream");
    const usage = plan.usage ? { input: entry.input, output: tokens.length } : undefined;
    const wire = path.endsWith("/messages") ? messages : path.endsWith("/responses") ? responses : chat;
    if (streamed !== true) {
      entry.output = tokens.length;
      entry.told = plan.usage;
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(wire.whole(tokens.join(""), usage)));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(wire.begin(usage));
    for (let at = 0; at < tokens.length; ) {
      const size = Math.min(1 + Math.floor(random() * 7), (plan.stopAt?.tokens ?? tokens.length) - at);
      response.write(wire.piece(tokens.slice(at, at + size).join("")));
      at += size;
      entry.output = at;
      if (plan.stopAt && at >= plan.stopAt.tokens) {
        // Behind what was written, so that it arrives.
        if (plan.stopAt.how === "break") response.write("", () => setTimeout(() => response.destroy(), 30));
        return;
      }
    }
    entry.told = plan.usage;
    response.end(wire.end(tokens.join(""), usage));
  }

  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    books,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Told {
  readonly input: number;
  readonly output: number;
}
interface Wire {
  whole(text: string, usage: Told | undefined): object;
  begin(usage: Told | undefined): string;
  piece(text: string): string;
  end(text: string, usage: Told | undefined): string;
}

const event = (type: string, value: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`;
const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;

const chatUsage = (usage: Told | undefined): object =>
  usage
    ? { usage: { prompt_tokens: usage.input, completion_tokens: usage.output, total_tokens: usage.input + usage.output } }
    : {};
const chatHead = { id: "c", object: "chat.completion.chunk", created: 1, model: "m" };
const chat: Wire = {
  whole: (content, usage) => ({
    ...chatHead,
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    ...chatUsage(usage),
  }),
  begin: () => data({ ...chatHead, choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }] }),
  piece: (content) => data({ ...chatHead, choices: [{ index: 0, delta: { content }, finish_reason: null }] }),
  end: (_, usage) =>
    `${data({ ...chatHead, choices: [{ index: 0, delta: {}, finish_reason: "stop" }], ...chatUsage(usage) })}data: [DONE]\n\n`,
};

const messageUsage = (usage: Told | undefined): object =>
  usage ? { usage: { input_tokens: usage.input, output_tokens: usage.output } } : {};
const message = { id: "msg_1", type: "message", role: "assistant", model: "m" };
const messages: Wire = {
  whole: (text, usage) => ({
    ...message,
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    ...messageUsage(usage),
  }),
  begin: (usage) =>
    event("message_start", {
      message: { ...message, content: [], stop_reason: null, ...messageUsage(usage && { ...usage, output: 1 }) },
    }) + event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
  piece: (text) => event("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
  end: (_, usage) =>
    event("content_block_stop", { index: 0 }) +
    event("message_delta", {
      delta: { stop_reason: "end_turn", stop_sequence: null },
      ...(usage ? { usage: { output_tokens: usage.output } } : {}),
    }) +
    event("message_stop", {}),
};

const response = (text: string, status: string, usage: Told | undefined): object => ({
  id: "resp_1",
  object: "response",
  created_at: 1,
  model: "m",
  status,
  error: null,
  output:
    text === ""
      ? []
      : [{ id: "i", type: "message", role: "assistant", status, content: [{ type: "output_text", text, annotations: [] }] }],
  usage: usage ? { input_tokens: usage.input, output_tokens: usage.output, total_tokens: usage.input + usage.output } : null,
});
const at = { item_id: "i", output_index: 0, content_index: 0 };
const responses: Wire = {
  whole: (text, usage) => response(text, "completed", usage),
  begin: () =>
    event("response.created", { sequence_number: 0, response: response("", "in_progress", undefined) }) +
    event("response.output_item.added", {
      output_index: 0,
      item: { id: "i", type: "message", role: "assistant", status: "in_progress", content: [] },
    }) +
    event("response.content_part.added", { ...at, part: { type: "output_text", text: "", annotations: [] } }),
  piece: (delta) => event("response.output_text.delta", { ...at, delta }),
  end: (text, usage) =>
    event("response.output_text.done", { ...at, text }) +
    event("response.completed", { response: response(text, "completed", usage) }),
};
