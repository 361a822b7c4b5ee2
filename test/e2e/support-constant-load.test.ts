/** The load that judges updates: it notices each thing that a server can do wrong, once, and nothing else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { makeAuthority } from "../support/certificates.ts";
import { describeFailures, type Load, type LoadFailure, slowestOf, startLoad } from "../support/constant-load.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import { frame } from "../support/websocket-frames.ts";

type Answer = (ask: { stream: boolean; word: string }, request: IncomingMessage, response: ServerResponse) => void;

const token = "load-token";
const piece = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
const finish = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`;
const done = "data: [DONE]\n\n";
const pieces = (...numbers: number[]): string => numbers.map((number) => piece(` ${number}`)).join("");
const all = Array.from({ length: 10 }, (_, number) => number);
const events = { "content-type": "text/event-stream" };

describe("constant load", () => {
  let upstream: NumberUpstream;
  let load: Load;
  let port = 0;
  /** Does one thing wrong, once. */
  let wrong: { stream: boolean; answer: Answer } | undefined;
  const sockets = new Set<Duplex>();

  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const body = Buffer.concat(chunks);
      const stream = body.includes('"stream":true');
      const word = /say=(\S+) /.exec(body.toString("utf8"))?.[1] ?? "";
      const once = wrong;
      if (once?.stream === stream) {
        wrong = undefined;
        return once.answer({ stream, word }, incoming, response);
      }
      const { method, url: path, headers } = incoming;
      const onward = request({ port: upstream.port, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, { "content-type": answer.headers["content-type"] });
        answer.pipe(response);
      });
      onward.end(body);
    });
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex) => {
    const onward = connect(upstream.port);
    const head = incoming.rawHeaders.map((text, index) => text + (index % 2 === 0 ? ": " : "\r\n")).join("");
    onward.write(`GET ${incoming.url} HTTP/1.1\r\n${head}\r\n`);
    onward.pipe(socket).pipe(onward);
    for (const end of [onward, socket]) {
      end.on("error", () => {});
      end.on("close", () => (end === socket ? onward : socket).destroy());
    }
    // Only then it is a WebSocket.
    onward.once("data", () => setImmediate(() => socket.destroyed || sockets.add(socket)));
    socket.on("close", () => sockets.delete(socket));
  });

  before(async () => {
    upstream = await startNumberUpstream();
    server.keepAliveTimeout = 60_000;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    port = typeof address === "object" && address ? address.port : 0;
    load = await startLoad({
      url: `http://127.0.0.1:${port}`,
      token,
      model: "numbers",
      callsPerSecond: 10,
      newConnectionEvery: 5,
      streams: 2,
      streamPieces: 10,
      streamPaceMs: 50,
      webSockets: { path: "/ws", count: 1, everyMs: 50 },
    });
  });
  after(async () => {
    await load?.stop();
    server.closeAllConnections();
    server.close();
    await upstream?.close();
  });

  /** The load knows of the phase before anything is done to it: its answers come in the order of what it was told. */
  async function begin(phase: string): Promise<void> {
    load.phase(phase);
    await load.report();
  }

  /** A WebSocket that works; the load opens one after it wrote down what became of the one before. */
  async function webSocketOtherThan(before?: Duplex): Promise<Duplex> {
    for (const until = Date.now() + 20_000; ; await pause(20)) {
      const socket = [...sockets].find((one) => one !== before && !one.destroyed);
      if (socket) return socket;
      assert.ok(Date.now() < until, "no WebSocket was opened");
    }
  }

  /** What was noticed in a phase of that name, as soon as there is something. */
  async function noticed(phase: string, kind: LoadFailure["kind"], timeoutMs = 20_000): Promise<LoadFailure> {
    for (const until = Date.now() + timeoutMs; ; ) {
      const found = (await load.report()).failures.filter((failure) => failure.phase === phase && failure.kind === kind);
      if (found[0]) return found[0];
      assert.ok(Date.now() < until, `nothing was noticed: ${phase}`);
      await pause(50);
    }
  }

  const streams: { name: string; answer: Answer; got: RegExp }[] = [
    {
      name: "a stream is cut",
      answer: (_, __, response) => {
        response.writeHead(200, events).write(pieces(0, 1, 2), () => setTimeout(() => response.destroy(), 50));
      },
      got: /^aborted within the answer after piece " 0 1 2" of 10/,
    },
    {
      name: "pieces are swapped",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(0, 2, 1)),
      got: /piece " 2" after " 0"/,
    },
    {
      name: "a piece comes twice",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(0, 1, 1)),
      got: /piece " 1" after " 0 1"/,
    },
    {
      name: "there is no terminator",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(...all) + finish),
      got: /its end without \[DONE\]/,
    },
    {
      name: "there is no finish reason",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(...all) + done),
      got: /finish reason ""/,
    },
    {
      name: "a stream ends early and in order",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(0, 1, 2) + finish + done),
      got: /its end after piece " 0 1 2" of 10/,
    },
    {
      name: "something comes after the terminator",
      answer: (_, __, response) => response.writeHead(200, events).end(pieces(...all) + finish + done + pieces(10)),
      got: /something after the terminator/,
    },
    {
      name: "a piece is late",
      answer: (_, __, response) => {
        response.writeHead(200, events).write(pieces(...all.slice(0, 5)));
        setTimeout(() => response.end(pieces(...all.slice(5)) + finish + done), 5000);
      },
      got: /one \d+ ms late/,
    },
    { name: "a stream is refused", answer: (_, __, response) => response.writeHead(503).end("no"), got: /status 503: no/ },
  ];
  for (const { name, answer, got } of streams) {
    test(`noticed: ${name}`, async () => {
      await begin(name);
      wrong = { stream: true, answer };
      assert.match((await noticed(name, "stream")).got, got);
    });
  }

  const right = (word: string): string => JSON.stringify({ choices: [{ message: { content: word } }] });
  const calls: { name: string; answer: Answer; got: RegExp }[] = [
    {
      name: "a call is answered late",
      answer: ({ word }, _, response) => void setTimeout(() => response.end(right(word)), 5000),
      got: /it after \d+ ms/,
    },
    { name: "a call is refused", answer: (_, __, response) => response.writeHead(502).end("bad"), got: /status 502: bad/ },
    { name: "a call gets another's answer", answer: (_, __, response) => response.end(right("other")), got: /other/ },
    {
      name: "a call is reset before its answer",
      answer: (_, incoming) => incoming.socket.resetAndDestroy(),
      got: /(ECONNRESET|socket hang up) before any answer/,
    },
    {
      name: "an answer is cut",
      answer: (_, __, response) => {
        response.writeHead(200, { "content-length": 1000 }).write("half", () => setTimeout(() => response.destroy(), 50));
      },
      got: /aborted within the answer after 4 characters/,
    },
  ];
  for (const { name, answer, got } of calls) {
    test(`noticed: ${name}`, async () => {
      await begin(name);
      wrong = { stream: false, answer };
      assert.match((await noticed(name, "call")).got, got);
    });
  }

  test("noticed: connections are refused; afterwards all goes on", async () => {
    await begin("refused");
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
    await closed;
    assert.match((await noticed("refused", "call")).got, /ECONNREFUSED|ECONNRESET|hang up/);
    assert.match(
      (await noticed("refused", "websocket")).got,
      /ECONNREFUSED|ECONNRESET|EPIPE|ended by the other|after end|without a close/,
    );
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const { calls, streams, echoes } = await load.report();
    for (const until = Date.now() + 20_000; ; ) {
      const now = await load.report();
      if (now.calls > calls && now.streams > streams && now.echoes > echoes) break;
      assert.ok(Date.now() < until, "it does not go on");
      await pause(50);
    }
  });

  const webSockets: { name: string; does(socket: Duplex): void; got: RegExp }[] = [
    {
      name: "a WebSocket is cut",
      does: (socket) => socket.destroy(),
      got: /without a close|ECONNRESET|EPIPE|ended by the other|after end/,
    },
    {
      name: "a wrong echo",
      does: (socket) => void socket.write(frame("text", Buffer.from("other"), false)),
      got: /"other" instead of/,
    },
    { name: "an echo is late", does: (socket) => void socket.unpipe(), got: /none yet|it after/ },
    {
      name: "a WebSocket is closed as by an error",
      does: (socket) => void socket.write(frame("close", Buffer.from([3, 243]), false)),
      got: /a close with code 1011/,
    },
  ];
  for (const { name, does, got } of webSockets) {
    test(`noticed: ${name}`, async () => {
      await begin(name);
      const socket = await webSocketOtherThan();
      does(socket);
      assert.match((await noticed(name, "websocket")).got, got);
      socket.destroy();
      await webSocketOtherThan(socket);
    });
  }

  test("no failure: a connection that is closed by a word in the answer before", async () => {
    await begin("in order");
    const { closedBetween, calls } = await load.report();
    wrong = {
      stream: false,
      answer: ({ word }, _, response) => response.writeHead(200, { connection: "close" }).end(right(word)),
    };
    for (const until = Date.now() + 20_000; ; ) {
      const now = await load.report();
      if (now.closedBetween > closedBetween && now.calls > calls + 5) break;
      assert.ok(Date.now() < until, "no connection was closed between two calls");
      await pause(50);
    }
  });

  test("at its end all that runs is waited for, and nothing else was noticed", async () => {
    const report = await load.finish();
    const names = new Set([...streams, ...calls, ...webSockets].map(({ name }) => name).concat("refused"));
    assert.deepEqual(
      report.failures.filter(({ phase }) => !names.has(phase)),
      [],
      describeFailures(report),
    );
    assert.ok(report.calls > 20 && report.streams > 5 && report.echoes > 20, JSON.stringify({ ...report, failures: [] }));
    assert.ok(slowestOf(report, "call").ms > 1000 && slowestOf(report, "stream").ms > 1000, JSON.stringify(report.slowest));
    assert.equal(slowestOf(report, "call").phase, "a call is answered late");
    assert.ok(slowestOf(report, "call", (phase) => phase !== "a call is answered late").ms < 1000);
    const { streams: whole } = await upstream.served();
    assert.ok(whole >= report.streams);
  });
});

test("streams that begin together: when asked, beside others, and never by themselves", async () => {
  const own = await startNumberUpstream();
  const url = own.baseUrl.replace("/v1", "");
  const kind = { streams: 2, streamsTogether: true, streamPieces: 20, streamPaceMs: 50 };
  const together = await startLoad({ url, token, model: "numbers", callsPerSecond: 0, ...kind });
  try {
    together.beginStreams();
    for (const until = Date.now() + 60_000; (await together.report()).streams < 4; await pause(50)) {
      assert.ok(Date.now() < until, "no streams of their own");
    }
    await pause(500);
    together.beginStreams();
    const { streams, connections, failures } = await together.finish();
    assert.deepEqual(failures, []);
    assert.equal(streams, 6);
    // Of the first and the second pair at once; later ones have theirs.
    assert.equal(connections, 4);
  } finally {
    await together.stop();
    await own.close();
  }
});

describe("constant load over TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "load-tls-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("an authority of one's own is trusted, another one is not", async () => {
    const upstream = await startNumberUpstream();
    const authority = makeAuthority(folder);
    const own = authority.issue("load", ["load.test"]);
    const server = createTlsServer({ cert: own.cert, key: own.key }, (incoming, response) => {
      const { method, url: path, headers } = incoming;
      assert.equal(headers.host, "load.test");
      assert.equal(headers.authorization, `Bearer ${token}`);
      const onward = request({ port: upstream.port, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(onward);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const url = `https://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
    const options = { url, token, model: "numbers", callsPerSecond: 10, streams: 1, streamPieces: 5, streamPaceMs: 10 };
    try {
      const load = await startLoad({ ...options, serverName: "load.test", caFile: authority.caPath });
      const report = await load.finish();
      await load.stop();
      assert.deepEqual(report.failures, [], describeFailures(report));
      const other = { ...options, caFile: authority.caPath, startTimeoutMs: 10_000 };
      await Promise.all([
        assert.rejects(startLoad({ ...other, serverName: "other.test" }), /does not match|altname/i),
        assert.rejects(startLoad({ ...options, serverName: "load.test", startTimeoutMs: 10_000 }), /self.signed|unable to/i),
      ]);
    } finally {
      server.closeAllConnections();
      server.close();
      await upstream.close();
    }
  });
});
