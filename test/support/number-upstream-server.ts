// The process behind number-upstream.ts.
import { createServer, type ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { Served } from "./number-upstream.ts";
import { acceptKey, createFrameReader, frame } from "./websocket-frames.ts";

const [, , address = "127.0.0.1", port = "0"] = process.argv;
const served: Served = { calls: 0, streams: 0, streamsCut: 0, sockets: 0 };
const askSchema = z.object({
  model: z.string(),
  stream: z.boolean().optional(),
  messages: z.array(z.object({ content: z.unknown() })),
});

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method === "GET") {
      const list = { object: "list", data: [{ id: "numbers", object: "model", created: 0, owned_by: "test" }] };
      return json(response, request.url?.endsWith("/models") ? 200 : 404, list);
    }
    const ask = askSchema.parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
    const prompt = JSON.stringify(ask.messages.at(-1)?.content ?? "");
    const head = { id: "chatcmpl-1", created: 1, model: ask.model };
    if (ask.stream === true) return void stream(response, head, numberIn(prompt, "pieces", 10), numberIn(prompt, "paceMs", 0));
    served.calls += 1;
    const message = { role: "assistant", content: /say=(\S+?)["\\\s]/.exec(prompt)?.[1] ?? "hello" };
    const usage = { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 };
    json(response, 200, { ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }], usage });
  });
});
// Longer than any test: this side never closes a connection that is kept.
server.keepAliveTimeout = 600_000;
server.requestTimeout = 0;

function numberIn(prompt: string, name: string, otherwise: number): number {
  return Number(new RegExp(`${name}=(\\d+)`).exec(prompt)?.[1] ?? otherwise);
}

function json(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}

async function stream(response: ServerResponse, head: object, pieces: number, paceMs: number): Promise<void> {
  response.once("close", () => {
    if (response.writableFinished) served.streams += 1;
    else served.streamsCut += 1;
  });
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const say = (delta: object, finish: string | null): void => {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices })}\n\n`);
  };
  const began = performance.now();
  for (let piece = 0; piece < pieces && !response.destroyed; piece++) {
    say({ content: ` ${piece}` }, null);
    // By the clock, so that a slow machine does not make the whole longer and longer.
    if (paceMs > 0) await pause(Math.max(0, began + (piece + 1) * paceMs - performance.now()));
  }
  say({}, "stop");
  response.end("data: [DONE]\n\n");
}

server.on("upgrade", (request, socket) => {
  served.sockets += 1;
  const key = acceptKey(String(request.headers["sec-websocket-key"]));
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
  );
  const read = createFrameReader(({ opcode, payload }) => {
    if (opcode === "close") socket.end(frame("close", payload, false));
    else if (opcode === "ping") socket.write(frame("pong", payload, false));
    else if (opcode === "text" || opcode === "binary") socket.write(frame(opcode, payload, false));
  });
  socket.on("data", read);
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
});

server.listen(Number(port), address, () => {
  const bound = server.address();
  process.send?.({ port: typeof bound === "object" && bound ? bound.port : 0 });
});
process.on("message", () => process.send?.(served));
process.on("disconnect", () => process.exit());
