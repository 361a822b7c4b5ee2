/** One WebSocket of a load, open all the time: numbered messages, each of which must come back, in order and soon. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Ledger } from "./constant-load-ledger.ts";
import { acceptKey, createFrameReader, frame } from "./websocket-frames.ts";

interface Options {
  path: string;
  everyMs: number;
  connect(): { socket: Socket; head: string[] };
  ledger: Ledger;
  slowMs: number;
  isOver(): boolean;
}

/** Codes by which a server sends its clients elsewhere: it goes away, or restarts. */
const inOrder = [1001, 1012];

/** Until it is over; one that broke is opened anew. */
export async function holdWebSocket(options: Options): Promise<void> {
  while (!options.isOver()) if (!(await hold(options))) await pause(100);
}

/** Whether it ended in order. */
async function hold({ path, everyMs, connect, ledger, slowMs, isOver }: Options): Promise<boolean> {
  const began = performance.now();
  const { socket, head } = connect();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const key = randomBytes(16).toString("base64");
  const pending: { text: string; at: number; told: boolean }[] = [];
  let upgraded = false;
  let next = 0;
  let buffer = Buffer.alloc(0);

  const lateness = `an echo within ${slowMs} ms`;
  const read = createFrameReader(({ opcode, payload }) => {
    if (opcode === "ping") socket.write(frame("pong", payload, true));
    if (opcode === "close") {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      socket.end(frame("close", payload, true));
      if (!inOrder.includes(code)) return resolve(isOver() && pending.length === 0 ? undefined : `a close with code ${code}`);
      ledger.closedBetween();
      return resolve(pending.length > 0 ? `a close with code ${code} before ${pending.length} echoes` : undefined);
    }
    if (opcode !== "text") return;
    const expected = pending.shift();
    const got = payload.toString("utf8");
    if (got !== expected?.text) return resolve(`"${got}" instead of "${expected?.text ?? "nothing"}"`);
    const ms = ledger.since(expected.at);
    ledger.slowest("websocket", ms);
    if (ms <= slowMs) ledger.right("websocket");
    else if (!expected.told) ledger.fail("websocket", ledger.since(began), lateness, `it after ${Math.round(ms)} ms`, false);
  });

  socket.on("data", (bytes: Buffer) => {
    try {
      if (upgraded) return read(bytes);
      buffer = Buffer.concat([buffer, bytes]);
      const end = buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const answer = buffer.subarray(0, end).toString("latin1");
      if (!answer.startsWith("HTTP/1.1 101 ")) return resolve(`no upgrade: ${answer.split("\r\n")[0]}`);
      if (!answer.toLowerCase().includes(`sec-websocket-accept: ${acceptKey(key).toLowerCase()}`))
        return resolve("a wrong key");
      upgraded = true;
      read(buffer.subarray(end + 4));
    } catch (error) {
      resolve(String(error));
    }
  });
  socket.on("error", (error) => resolve(error.message));
  socket.on("close", () => resolve("the end of the connection without a close"));
  const lines = [`GET ${path} HTTP/1.1`, ...head, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
  socket.write(`${[...lines, `Sec-WebSocket-Key: ${key}`].join("\r\n")}\r\n\r\n`);

  const timer = setInterval(() => {
    const oldest = pending[0];
    if (oldest && !oldest.told && ledger.since(oldest.at) > slowMs) {
      oldest.told = true;
      ledger.fail("websocket", ledger.since(began), lateness, "none yet", false);
    }
    if (!upgraded) {
      if (ledger.since(began) > slowMs + 10_000) resolve("no upgrade in time");
      else if (isOver()) resolve(undefined);
      return;
    }
    if (isOver()) {
      if (pending.length === 0) socket.write(frame("close", Buffer.from([3, 232]), true));
      return;
    }
    // One at a time: what is on its way when the server says that it goes could not be answered by anybody.
    if (oldest) return;
    const text = `message ${next++}`;
    pending.push({ text, at: performance.now(), told: false });
    socket.write(frame("text", Buffer.from(text), true));
  }, everyMs);
  const wrong = await promise;
  clearInterval(timer);
  socket.destroy();
  if (wrong !== undefined)
    ledger.fail("websocket", ledger.since(began), "echoes in order on a connection that stays", wrong, false);
  return wrong === undefined;
}
