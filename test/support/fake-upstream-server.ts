// The process behind fake-upstream.ts: a model server with OpenAI's wire format that does what each request, or the control channel, tells it.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Behaviour, LedgerEntry } from "./fake-upstream.ts";
import { wireOf } from "./fake-upstream-wire.ts";

/** How the next requests are answered; the last one stays. */
let script: Behaviour[] = [{}];
let served = ["fake-model"];
const ledger: LedgerEntry[] = [];
const gates = new Map<string, () => void>();
const waiting: { test: (entries: LedgerEntry[]) => boolean; done: () => void }[] = [];

const changed = (): void => {
  for (const entry of waiting.splice(0)) {
    if (entry.test(ledger)) entry.done();
    else waiting.push(entry);
  }
};

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => answer(request, response, Buffer.concat(chunks)));
});
server.keepAliveTimeout = 60_000;

function answer(request: IncomingMessage, response: ServerResponse, body: Buffer) {
  const path = request.url ?? "";
  if (path.startsWith("/control/")) {
    control(path.slice("/control/".length), body, response);
    return;
  }
  if (path === "/health") return json(response, script[0]?.healthStatus ?? 404, {});
  if (path.endsWith("/api/tags")) return json(response, 200, { models: served.map((name) => ({ name, model: name })) });
  if (/\/models(\?|$)/.test(path)) {
    const behaviour = script[0] ?? {};
    if (behaviour.modelsStatus) return json(response, behaviour.modelsStatus, { error: { message: "no list" } });
    return json(response, 200, {
      object: "list",
      data: served.map((id) => ({ id, object: "model", created: 0, owned_by: "fake" })),
    });
  }
  const behaviour = (script.length > 1 ? script.shift() : script[0]) ?? {};
  const parsed = parse(body);
  const entry: LedgerEntry = {
    path,
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    body: body.toString("utf8"),
    model: String(parsed.model),
    sentChunks: 0,
    state: "open",
  };
  ledger.push(entry);
  response.once("close", () => {
    if (entry.state === "open") entry.state = response.writableFinished ? "finished" : "aborted";
    changed();
  });
  changed();
  // Ollama streams unless it is told not to.
  const stream = /\/api\/(?:chat|generate)$/.test(path) ? parsed.stream !== false : parsed.stream === true;
  void perform(behaviour, stream, entry, response);
}

async function perform(behaviour: Behaviour, stream: boolean, entry: LedgerEntry, response: ServerResponse): Promise<void> {
  if (behaviour.hang === "before-headers") return;
  if (behaviour.reset === "before-headers") {
    entry.state = "reset";
    response.socket?.resetAndDestroy();
    return;
  }
  if (behaviour.gate) await new Promise<void>((resolve) => gates.set(behaviour.gate ?? "", resolve));
  if (behaviour.delayMs) await sleep(behaviour.delayMs);
  if (behaviour.raw !== undefined) {
    entry.state = "finished";
    response.socket?.end(behaviour.raw);
    return;
  }
  if (behaviour.status && behaviour.status >= 300) {
    return json(
      response,
      behaviour.status,
      behaviour.errorBody ?? { error: { message: "made to fail", type: "api_error", code: "fake", param: null } },
      behaviour.headers,
    );
  }
  if (behaviour.hang === "after-headers" || behaviour.reset === "after-headers") {
    response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
    response.flushHeaders();
    if (behaviour.hang) return;
    entry.state = "reset";
    // The reset must not overtake the headers.
    setTimeout(() => response.socket?.resetAndDestroy(), 20);
    return;
  }
  if (behaviour.answer) return json(response, 200, behaviour.answer);
  if (behaviour.recorded) return replay(behaviour, behaviour.recorded, response);
  const plain = !behaviour.thoughts && !behaviour.calls && !behaviour.splitBytes && !behaviour.finish && !behaviour.crlf;
  if (!plain || !entry.path.endsWith("/chat/completions")) return speak(behaviour, stream, entry, response);
  const words = behaviour.words ?? ["Hello", " from", " the", " fake", " model"];
  const usage = { prompt_tokens: 7, completion_tokens: words.length, total_tokens: 7 + words.length };
  if (!stream || behaviour.ignoreStream) {
    const message = { role: "assistant", content: words.join("") };
    const text = JSON.stringify({
      ...envelope(entry, "chat.completion"),
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage,
    });
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      ...behaviour.headers,
    });
    if (behaviour.cutAfterBytes !== undefined) {
      entry.state = "reset";
      response.write(text.slice(0, behaviour.cutAfterBytes), () => response.destroy());
    } else response.end(text);
    return;
  }
  await streamWords(behaviour, words, usage, entry, response);
}

async function replay(behaviour: Behaviour, recorded: { type: string; text: string }, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": recorded.type, ...behaviour.headers });
  await writeSplit(behaviour, recorded.text, response);
  response.end();
}

async function writeSplit({ crlf, splitBytes }: Behaviour, text: string, response: ServerResponse): Promise<void> {
  const bytes = Buffer.from(crlf ? text.replaceAll("\n", "\r\n") : text);
  const step = splitBytes ?? bytes.length;
  for (let at = 0; at < bytes.length; at += step) {
    response.write(bytes.subarray(at, at + step));
    // Each write is a packet of its own.
    if (splitBytes) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Any of the wire formats, piece by piece; a cut stream ends cleanly, without its terminator. */
async function speak(behaviour: Behaviour, stream: boolean, entry: LedgerEntry, response: ServerResponse): Promise<void> {
  const wire = wireOf(entry.path);
  const { thoughts = [], calls = [], words = ["Hello", " from", " the", " fake", " model"] } = behaviour;
  const finish = behaviour.finish ?? (calls.length > 0 ? "tools" : "stop");
  const said = { words, thoughts, calls, finish, model: entry.model };
  if (!stream || behaviour.ignoreStream) return json(response, 200, wire.whole(said), behaviour.headers);
  response.writeHead(200, { "content-type": wire.contentType, ...behaviour.headers });
  response.flushHeaders();
  const pieces = wire.pieces(said).slice(0, behaviour.cutAfterChunks);
  for (const [index, piece] of pieces.entries()) {
    if (behaviour.gateAt === index) await new Promise<void>((resolve) => gates.set(behaviour.gateName ?? "stream", resolve));
    if (response.destroyed) return;
    await writeSplit(behaviour, piece, response);
    entry.sentChunks += 1;
    if (behaviour.paceMs) await sleep(behaviour.paceMs);
  }
  response.end();
}

async function streamWords(
  behaviour: Behaviour,
  words: string[],
  usage: object,
  entry: LedgerEntry,
  response: ServerResponse,
): Promise<void> {
  if (behaviour.closeDelimited) response.useChunkedEncodingByDefault = false;
  response.writeHead(200, {
    "content-type": "text/event-stream",
    ...(behaviour.closeDelimited ? { connection: "close" } : {}),
    ...behaviour.headers,
  });
  response.flushHeaders();
  const head = envelope(entry, "chat.completion.chunk");
  for (const [index, content] of words.entries()) {
    if (behaviour.hang === "mid-stream" && index === 1) return;
    if (behaviour.gateAt === index) await new Promise<void>((resolve) => gates.set(behaviour.gateName ?? "stream", resolve));
    if (behaviour.cutAfterChunks === index) {
      entry.state = "reset";
      // An empty write ends up behind what was sent, so that those chunks do arrive.
      response.write("", () => setTimeout(() => response.destroy(), 20));
      return;
    }
    if (response.destroyed) return;
    const padding = behaviour.chunkBytes ? "x".repeat(behaviour.chunkBytes) : "";
    const text = `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta: { content: content + padding }, finish_reason: null }] })}\n\n`;
    // Whether it flows is asked at once: a drain that came meanwhile would never come again.
    if (behaviour.drip) await drip(response, text);
    const flowing = behaviour.drip === true || response.write(text);
    entry.sentChunks += 1;
    if (!flowing) await drained(response);
    if (behaviour.paceMs) await sleep(behaviour.paceMs);
  }
  response.write(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage })}\n\n`);
  response.end("data: [DONE]\n\n");
}

function control(command: string, body: Buffer, response: ServerResponse) {
  const value = parse(body);
  if (command === "script") {
    // Written by the test itself, in this repository.
    const { behaviours, models }: { behaviours?: Behaviour[]; models?: string[] } = value;
    if (behaviours) script = [...behaviours];
    if (models) served = models;
    ledger.length = 0;
    return json(response, 200, {});
  }
  if (command === "open") {
    const name = String(value.gate);
    const open = () => {
      gates.get(name)?.();
      gates.delete(name);
      json(response, 200, {});
    };
    if (gates.has(name)) return open();
    const timer = setInterval(() => {
      if (!gates.has(name)) return;
      clearInterval(timer);
      open();
    }, 2);
    return;
  }
  if (command === "wait") {
    const { state, count }: { state?: string; count?: number } = value;
    const test = (entries: LedgerEntry[]) =>
      entries.filter((entry) => state === "any" || entry.state === state).length >= (count ?? 1);
    const done = () => json(response, 200, ledger);
    if (test(ledger)) return done();
    waiting.push({ test, done });
    return;
  }
  json(response, 200, ledger);
}

async function drip(response: ServerResponse, text: string): Promise<void> {
  for (const byte of Buffer.from(text)) {
    response.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves when the reader has caught up, or has left. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}

const envelope = (entry: LedgerEntry, object: string) => ({
  id: "chatcmpl-fake",
  object,
  created: 1_700_000_000,
  model: entry.model,
});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function parse(body: Buffer): Record<string, unknown> {
  // Forms begin with their boundary.
  const value: unknown = body.length > 0 && body[0] !== 0x2d ? JSON.parse(body.toString("utf8")) : {};
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function json(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

// A port of its choice, or the one that it had before it was killed.
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address) process.send?.({ port: address.port });
});
process.on("disconnect", () => process.exit(0));
