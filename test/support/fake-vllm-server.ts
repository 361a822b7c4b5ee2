// The process behind fake-vllm.ts: an engine that runs so many requests at a time, lets the others wait, and says so at /metrics.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { VllmOptions, VllmRequest } from "./fake-vllm.ts";
import { vllmMetrics } from "./vllm-metrics.ts";

let options: VllmOptions = { maxSeqs: 4, serviceMs: 100 };
let ledger: VllmRequest[] = [];
let running = 0;
const waiting: (() => void)[] = [];
const held: (() => void)[] = [];

function release(): void {
  running -= 1;
  const next = waiting.shift();
  if (!next) return;
  running += 1;
  next();
}

/** Resolves when it may run; `left` takes it out of the line. */
function enter(left: Promise<void>): Promise<boolean> {
  if (running < options.maxSeqs) {
    running += 1;
    return Promise.resolve(true);
  }
  return new Promise((resolve) => {
    const go = (): void => resolve(true);
    waiting.push(go);
    left.then(() => {
      const at = waiting.indexOf(go);
      if (at < 0) return;
      waiting.splice(at, 1);
      resolve(false);
    });
  });
}

async function serve(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
  // The same in all processes of a machine.
  const now = performance.timeOrigin + performance.now();
  const entry: VllmRequest = {
    atMs: now,
    key: (request.headers.authorization ?? "").replace(/^Bearer /, ""),
    tag: /"user":"([^"]*)"/.exec(body)?.[1] ?? "",
    ranWith: 0,
    state: "waiting",
  };
  const { bought } = options;
  if (bought) {
    const counted = ledger.filter(
      (one) => one.key === entry.key && one.state !== "refused" && one.atMs > now - bought.windowMs,
    );
    if (counted.length >= bought.requests) {
      ledger.push({ ...entry, state: "refused" });
      const free = (counted[0]?.atMs ?? now) + bought.windowMs - now;
      response.writeHead(429, { "content-type": "application/json", "retry-after-ms": String(Math.ceil(free)) });
      response.end('{"error":{"message":"over the rate limit","type":"requests","code":"rate_limit_exceeded","param":null}}');
      return;
    }
  }
  ledger.push(entry);
  const left = new Promise<void>((resolve) => response.once("close", resolve));
  if (!(await enter(left))) {
    entry.state = "aborted";
    return;
  }
  entry.state = "running";
  entry.ranWith = running;
  if (options.held) await new Promise<void>((resolve) => held.push(resolve));
  await new Promise((resolve) => setTimeout(resolve, options.serviceMs));
  release();
  entry.state = response.destroyed ? "aborted" : "finished";
  const text = JSON.stringify({
    id: "chatcmpl-fake",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "fake-model",
    choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 },
  });
  response.writeHead(200, { "content-type": "application/json", ...options.headers });
  response.end(text);
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString("utf8");
    const json = (value: unknown): void => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (request.url === "/metrics") {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      const busy = options.others ?? 0;
      const runs = Math.min(options.maxSeqs, running + busy);
      const waits = waiting.length + running + busy - runs;
      response.end(vllmMetrics({ model: "fake-model", running: runs, waiting: waits, kv: runs / options.maxSeqs / 2 }));
    } else if (request.url === "/v1/models") json({ object: "list", data: [{ id: "fake-model", object: "model" }] });
    else if (request.url === "/control/ledger") json(ledger);
    else if (request.url === "/control/release") {
      options = { ...options, held: false };
      for (const go of held.splice(0)) go();
      json({});
    } else if (request.url === "/control/set") {
      const next: VllmOptions = JSON.parse(body);
      options = next;
      ledger = [];
      json({});
    } else void serve(request, response, body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.({ port: typeof address === "object" && address ? address.port : 0 });
});
process.on("disconnect", () => process.exit(0));
