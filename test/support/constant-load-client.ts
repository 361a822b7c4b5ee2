// The process behind constant-load.ts: begins calls when they are due, holds streams and WebSockets, and writes the ledger.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type Ask, type Connections, openConnections } from "./constant-load-connections.ts";
import { createLedger, type Ledger } from "./constant-load-ledger.ts";
import { holdWebSocket } from "./constant-load-websocket.ts";

const optionsSchema = z.object({
  url: z.string(),
  caFile: z.string().optional(),
  serverName: z.string().optional(),
  model: z.string(),
  callsPerSecond: z.number(),
  newConnectionEvery: z.number().default(5),
  streams: z.number().default(0),
  streamsTogether: z.boolean().default(false),
  streamPieces: z.number().default(300),
  streamPaceMs: z.number().default(100),
  webSockets: z.object({ path: z.string(), count: z.number(), everyMs: z.number().default(200) }).optional(),
  slowMs: z.number().default(1000),
  timeoutMs: z.number().default(30_000),
});
const orderSchema = z.union([
  z.object({ phase: z.string() }),
  z.object({ beginStreams: z.literal(true) }),
  z.object({ id: z.number(), what: z.enum(["started", "report", "finish"]) }),
]);

const options = optionsSchema.parse(JSON.parse(process.argv[2] ?? ""));
const token = readFileSync(0, "utf8");
const { model, slowMs, timeoutMs, streamPieces, streamPaceMs } = options;
const ledger: Ledger = createLedger();
const tls = {
  ca: options.caFile === undefined ? undefined : readFileSync(options.caFile, "utf8"),
  serverName: options.serverName,
};
const connections: Connections = openConnections({ url: options.url, token, tls, ledger, timeoutMs });

let over = false;
let begun = 0;
const running = new Set<Promise<void>>();
function keep(work: Promise<void>): void {
  running.add(work);
  void work.finally(() => running.delete(work));
}
const ask = (prompt: string, stream: boolean): Ask => ({
  path: "/v1/chat/completions",
  body: JSON.stringify({ model, stream, messages: [{ role: "user", content: prompt }] }),
});

const callSchema = z.object({ choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })]) });

/** `due` is when it should have begun: what this process itself was late counts in its favour only as far as it stood still. */
async function call(due: number, fresh: boolean): Promise<void> {
  const word = `w${begun++}-${Math.random().toString(36).slice(2)}`;
  const expected = `"${word}" in an answer of status 200`;
  let text = "";
  const end = await connections.send(ask(`say=${word} please`, false), fresh, (chunk) => {
    text += chunk;
  });
  const ms = ledger.since(due);
  const fail = (got: string, expects = expected): void => ledger.fail("call", ms, expects, got, end.reused);
  if (end.error !== undefined) return fail(`${end.error} after ${text.length} characters`);
  if (end.status !== 200) return fail(`status ${end.status}: ${text.slice(0, 300)}`);
  const answer = callSchema.safeParse(parse(text));
  if (answer.data?.choices[0].message.content !== word) return fail(text.slice(0, 300));
  ledger.slowest("call", ms);
  if (ms > slowMs) fail(`it after ${Math.round(ms)} ms`, `the answer within ${slowMs} ms`);
  else ledger.right("call");
}

async function streams(): Promise<void> {
  while (!over) if (!(await stream())) await pause(100);
}

function streamsTogether(): void {
  if (over) return;
  for (let number = 0; number < options.streams; number++) keep(stream().then(() => undefined));
}

const pieceSchema = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }), finish_reason: z.string().nullish() })),
});

/** Whether all of it was right. */
async function stream(): Promise<boolean> {
  const whole = Array.from({ length: streamPieces }, (_, piece) => ` ${piece}`).join("");
  const began = performance.now();
  let last = began;
  let heard = "";
  let rest = "";
  let raw = "";
  let finish = "";
  let done = false;
  let wrong: string | undefined;
  const end = await connections.send(ask(`pieces=${streamPieces} paceMs=${streamPaceMs}`, true), false, (chunk) => {
    raw += chunk;
    const events = (rest + chunk).split(/\r?\n\r?\n/);
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      if (done) wrong ??= `something after the terminator: ${data.slice(0, 100)}`;
      if (data === "[DONE]") {
        done = true;
        continue;
      }
      const choice = pieceSchema.safeParse(parse(data)).data?.choices[0];
      if (!choice) wrong ??= `an event without a piece: ${data.slice(0, 200)}`;
      finish ||= choice?.finish_reason ?? "";
      if (!choice?.delta.content) continue;
      heard += choice.delta.content;
      if (!whole.startsWith(heard))
        wrong ??= `piece "${choice.delta.content}" after "${heard.slice(-40, -choice.delta.content.length)}"`;
      const gap = ledger.since(last) - streamPaceMs;
      last = performance.now();
      ledger.slowest("stream", Math.max(0, gap));
      if (gap > slowMs)
        ledger.fail("stream", ledger.since(began), `a piece every ${streamPaceMs} ms`, `one ${Math.round(gap)} ms late`, false);
      ledger.began("stream");
    }
  });
  const ms = ledger.since(began);
  const soFar = `after piece "${heard.slice(-12)}" of ${streamPieces}`;
  const got = fault();
  function fault(): string | undefined {
    if (end.error !== undefined) return `${end.error} ${soFar}`;
    if (end.status !== 200) return `status ${end.status}: ${raw.slice(0, 300)}`;
    if (wrong !== undefined) return wrong;
    if (heard !== whole) return `its end ${soFar}`;
    if (!done) return `its end without [DONE] ${soFar}`;
    return finish === "stop" ? undefined : `finish reason "${finish}"`;
  }
  if (got === undefined) ledger.right("stream");
  else ledger.fail("stream", ms, "all pieces in order, a finish reason and [DONE]", got, end.reused);
  return got === undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function calls(): Promise<void> {
  const everyMs = 1000 / options.callsPerSecond;
  const start = performance.now();
  for (let number = 1; !over; number++) {
    const due = start + number * everyMs;
    await pause(Math.max(0, due - performance.now()));
    const every = options.newConnectionEvery;
    if (!over) keep(call(due, every > 0 && number % every === 0));
  }
}

if (options.callsPerSecond > 0) keep(calls());
if (options.streamsTogether) streamsTogether();
else for (let number = 0; number < options.streams; number++) keep(streams());
const isOver = (): boolean => over;
for (let number = 0; number < (options.webSockets?.count ?? 0); number++) {
  if (options.webSockets) keep(holdWebSocket({ ...options.webSockets, connect: connections.connect, ledger, slowMs, isOver }));
}

async function carryOut(what: "started" | "report" | "finish"): Promise<void> {
  if (what === "started") {
    const wanted = [
      options.callsPerSecond > 0 && ledger.wasRight("call"),
      options.streams > 0 && ledger.wasRight("stream"),
      options.webSockets && ledger.wasRight("websocket"),
    ];
    await Promise.all(wanted);
  }
  if (what === "finish") {
    over = true;
    while (running.size > 0) await Promise.all(running);
    connections.close();
  }
}

process.on("message", (message) => {
  const order = orderSchema.parse(message);
  if ("phase" in order) ledger.phase(order.phase);
  else if ("beginStreams" in order) streamsTogether();
  else void carryOut(order.what).then(() => process.send?.({ id: order.id, report: ledger.report() }));
});
process.on("disconnect", () => process.exit());
