// Connections of plain requests: clients that leave, dawdle, read slowly or send much at once; timeouts, the drain, TLS.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ClientAnswer } from "../../../gateway/http/answer.ts";
import type { PlainRequest } from "../../../gateway/http/wire/front.ts";
import { AnswerHeaders } from "../../../gateway/models/answer-headers.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { createRandom } from "../../support/fuzz.ts";
import {
  ask,
  open,
  post,
  startWireServer,
  until,
  type WireServer,
  type WireServerOptions,
} from "../../support/wire-servers.ts";

const head = (length: number): string => `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
const json = { "content-type": "application/json" };

/** With a front; every connection and listener is gone at its end. */
async function withServer(
  options: Omit<WireServerOptions, "front">,
  work: (server: WireServer) => Promise<void>,
): Promise<void> {
  const server = await startWireServer({ front: true, ...options });
  try {
    await work(server);
  } finally {
    await server.close();
  }
  await until(() => server.sockets.size === 0 && server.front?.open === 0, "all are closed");
}

interface Client {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  closed: boolean;
}

async function client(server: WireServer): Promise<Client> {
  const socket = await open(server.port);
  const made: Client = { socket, text: "", ended: false, closed: false };
  socket.setEncoding("latin1");
  socket.on("data", (piece) => {
    made.text += piece;
  });
  socket.on("end", () => {
    made.ended = true;
    socket.end();
  });
  socket.on("close", () => {
    made.closed = true;
  });
  return made;
}

/** Keeps what it is given, and how often each was told its end. */
function keeper(): { requests: PlainRequest[]; closes: number[]; take: (request: PlainRequest) => void } {
  const requests: PlainRequest[] = [];
  const closes: number[] = [];
  return {
    requests,
    closes,
    take(request) {
      const at = requests.push(request) - 1;
      closes[at] = 0;
      request.answer.onClose = () => {
        closes[at] = (closes[at] ?? 0) + 1;
      };
    },
  };
}

const first = (requests: readonly PlainRequest[]): PlainRequest => {
  const [request] = requests;
  assert.ok(request);
  return request;
};

for (const way of ["ends", "resets"]) {
  const leave = (socket: Socket): void => void (way === "ends" ? socket.end() : socket.resetAndDestroy());

  test(`a client that ${way} while its body comes: the call hears of it, and never of a body`, async () => {
    const kept = keeper();
    await withServer({ take: kept.take }, async (server) => {
      const { socket } = await client(server);
      socket.write(`${head(10)}hel`);
      await until(() => kept.requests.length === 1, "the request");
      const { answer } = first(kept.requests);
      let bodies = 0;
      first(kept.requests).readBody(() => {
        bodies += 1;
      });
      leave(socket);
      await until(() => kept.closes[0] === 1, "its end");
      assert.deepEqual([answer.gone, answer.finished, bodies], [true, false, 0]);
      // Nothing happens any more.
      answer.send(200, AnswerHeaders.of(json), Buffer.from("{}"));
      assert.equal(answer.begun, false);
      socket.destroy();
    });
    assert.deepEqual(kept.closes, [1]);
  });

  test(`a client that ${way} before its answer`, async () => {
    const kept = keeper();
    await withServer({ take: kept.take }, async (server) => {
      const { socket } = await client(server);
      socket.write(post("hello"));
      await until(() => kept.requests.length === 1, "the request");
      leave(socket);
      await until(() => kept.closes[0] === 1, "its end");
      assert.equal(first(kept.requests).answer.gone, true);
      socket.destroy();
    });
    assert.deepEqual(kept.closes, [1]);
  });

  test(`a client that ${way} in the middle of its answer`, async () => {
    const kept = keeper();
    await withServer({ take: kept.take }, async (server) => {
      const one = await client(server);
      one.socket.write(post("hello"));
      await until(() => kept.requests.length === 1, "the request");
      const { answer } = first(kept.requests);
      answer.begin(200, AnswerHeaders.of(json));
      answer.write(Buffer.from("data"));
      await until(() => one.text.includes("4\r\ndata\r\n"), "the first chunk");
      leave(one.socket);
      await until(() => kept.closes[0] === 1, "its end");
      assert.equal(answer.write(Buffer.from("more")), true);
      answer.end();
      assert.deepEqual([answer.gone, answer.finished], [true, false]);
      one.socket.destroy();
      assert.ok(!one.text.includes("more"));
    });
    assert.deepEqual(kept.closes, [1]);
  });
}

test("an answer in pieces: each is a chunk, and the connection serves the next", async () => {
  const kept = keeper();
  await withServer({ take: kept.take }, async (server) => {
    const one = await client(server);
    one.socket.write(post("hello") + post("again"));
    await until(() => kept.requests.length === 1, "the request");
    const { answer } = first(kept.requests);
    assert.deepEqual([answer.begun, answer.status, answer.mayChunk], [false, 0, true]);
    answer.begin(201, AnswerHeaders.of({ "content-type": "text/event-stream", "x-a": "b" }));
    assert.deepEqual([answer.begun, answer.status, answer.finished], [true, 201, false]);
    answer.write(Buffer.from("one"));
    answer.write(Buffer.alloc(0));
    answer.write(Buffer.alloc(300, "x"));
    assert.equal(kept.requests.length, 1, "one at a time");
    answer.end();
    answer.end();
    answer.write(Buffer.from("late"));
    await until(() => kept.requests.length === 2, "the next request");
    assert.deepEqual([answer.finished, answer.gone, kept.closes[0]], [true, false, 1]);
    const second = kept.requests[1]?.answer;
    answer.breakOff();
    answer.destroy();
    second?.send(200, AnswerHeaders.of(json), Buffer.from("{}"));
    await until(() => one.text.endsWith("{}"), "both answers");
    assert.match(
      one.text.replace(/Date: [^\r]+/, "Date: -"),
      /^HTTP\/1\.1 201 Created\r\ncontent-type: text\/event-stream\r\nx-a: b\r\nTransfer-Encoding: chunked\r\nDate: -\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n3\r\none\r\n12c\r\nx{300}\r\n0\r\n\r\nHTTP\/1\.1 200/,
    );
    one.socket.destroy();
  });
});

test("an answer of a known length: no more and no less of it", async () => {
  const kept = keeper();
  await withServer({ take: kept.take }, async (server) => {
    for (const [index, body, isWhole] of [
      [0, "12345", true],
      [1, "123456", false],
      [2, "1234", false],
    ] as const) {
      const one = await client(server);
      one.socket.write(post("hello"));
      await until(() => kept.requests.length === index + 1, "the request");
      const answer = kept.requests[index]?.answer;
      answer?.begin(200, AnswerHeaders.of({ "content-length": "5" }));
      answer?.write(Buffer.from(body));
      answer?.end();
      await until(() => kept.closes[index] === 1, "its end");
      assert.equal(answer?.finished, isWhole);
      assert.equal(answer?.gone, !isWhole);
      await until(() => (isWhole ? one.text.endsWith("\r\n\r\n12345") : one.closed), "the client knows");
      one.socket.destroy();
    }
  });
});

test("a large answer in one piece, one without a body, and headers that none may have", async () => {
  const large = Buffer.alloc(3_000_000, "y");
  await withServer(
    {
      take({ answer, readBody: _ignored }) {
        assert.throws(() => answer.send(200, AnswerHeaders.of({ "x-a": "b\r\nx-c: d" }), large), /x-a/);
        assert.throws(() => answer.begin(200, AnswerHeaders.of({ "x-a": "\u2028" })), /x-a/);
        assert.throws(() => answer.begin(200, AnswerHeaders.of({ "x a": "b" })), /x a/);
        assert.throws(() => answer.begin(200, AnswerHeaders.of({ "content-length": "x" })), /content-length/);
        assert.equal(answer.begun, false);
        answer.send(200, AnswerHeaders.of(json), large);
        assert.throws(() => answer.send(200, AnswerHeaders.of(json), large), /begun/);
      },
    },
    async (server) => {
      const answers = await ask(server.port, post("a", "Connection: close\r\n"));
      assert.ok(answers.endsWith(`\r\n\r\n${large}`));
    },
  );
  await withServer({ take: ({ answer }) => answer.send(204, AnswerHeaders.of({}), Buffer.from("none")) }, async (server) => {
    assert.equal(
      await ask(server.port, post("a", "Connection: close\r\n")),
      "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    );
  });
});

test("an answer that is broken off comes as far as it was written, and is not whole", async () => {
  const kept = keeper();
  await withServer({ take: kept.take }, async (server) => {
    const one = await client(server);
    one.socket.pause();
    one.socket.write(post("hello"));
    await until(() => kept.requests.length === 1, "the request");
    const { answer } = first(kept.requests);
    answer.begin(200, AnswerHeaders.of(json));
    const piece = Buffer.alloc(100_000, "z");
    let count = 0;
    while (answer.write(piece)) count += 1;
    assert.ok(answer.waitingBytes > 0);
    answer.write(Buffer.from("the last"));
    answer.breakOff();
    assert.equal(answer.gone, true);
    answer.write(Buffer.from("too late"));
    assert.equal(kept.closes[0], 0);
    one.socket.resume();
    await until(() => one.closed && kept.closes[0] === 1, "both know");
    assert.ok(one.text.length > count * piece.length);
    assert.ok(one.text.endsWith("the last\r\n"));
    assert.equal(answer.finished, false);
  });
});

test("a slow reader: write says so, onDrain says when there is room, and it is finished when all is handed over", async () => {
  const kept = keeper();
  await withServer({ take: kept.take }, async (server) => {
    const one = await client(server);
    one.socket.pause();
    one.socket.write(post("hello"));
    await until(() => kept.requests.length === 1, "the request");
    const { answer } = first(kept.requests);
    let drains = 0;
    answer.onDrain = () => {
      drains += 1;
    };
    answer.begin(200, AnswerHeaders.of(json));
    const piece = Buffer.alloc(50_000, "z");
    while (answer.write(piece));
    assert.equal(drains, 0);
    one.socket.resume();
    await until(() => drains === 1, "room");
    assert.equal(answer.waitingBytes, 0);
    one.socket.pause();
    while (answer.write(piece));
    answer.end();
    assert.deepEqual([answer.finished, kept.closes[0]], [false, 0]);
    one.socket.resume();
    await until(() => kept.closes[0] === 1, "its end");
    assert.deepEqual([answer.finished, drains], [true, 1]);
    await until(() => one.text.endsWith("\r\n0\r\n\r\n"), "the last chunk");
    one.socket.destroy();
  });
});

test("some requests at once on one connection are answered one by one", async () => {
  const answers: ClientAnswer[] = [];
  await withServer({ take: ({ answer }) => void answers.push(answer) }, async (server) => {
    const one = await client(server);
    one.socket.write(post("x".repeat(100)).repeat(100));
    for (let at = 0; at < 100; at += 1) {
      await until(() => answers.length === at + 1, `request ${at}`);
      answers[at]?.send(200, new AnswerHeaders(), Buffer.from(`${at};`));
    }
    await until(() => one.text.endsWith("99;"), "all answers");
    assert.deepEqual(
      [...one.text.matchAll(/\r\n\r\n(\d+);/g)].map(([, number]) => Number(number)),
      Array.from({ length: 100 }, (_, at) => at),
    );
    one.socket.destroy();
  });
});

test("a flood of requests on one connection breaks it off, and ends the one under way", async () => {
  const answers: ClientAnswer[] = [];
  let floods = 0;
  let closes = 0;
  const take = ({ answer }: PlainRequest): void => {
    answers.push(answer);
    answer.onClose = () => {
      closes += 1;
    };
  };
  const onFlood = (): void => {
    floods += 1;
  };
  await withServer({ take, onFlood }, async (server) => {
    const one = await client(server);
    one.socket.on("error", () => {});
    one.socket.write(post("x".repeat(1000)).repeat(4000));
    await until(() => closes === 1, "its end");
    assert.deepEqual([answers.length, floods, answers[0]?.gone], [1, 1, true]);
  });
});

test("a body that nobody has asked for is held back, and read over once the answer is out", async () => {
  const kept = keeper();
  await withServer({ take: kept.take, maxBodyBytes: 50_000_000 }, async (server) => {
    const one = await client(server);
    one.socket.write(head(20_000_000));
    one.socket.write(Buffer.alloc(20_000_000, "b"));
    one.socket.write(post("next"));
    await until(() => kept.requests.length === 1, "the request");
    const [socket] = server.sockets;
    assert.ok(socket);
    await until(() => socket.isPaused(), "it is held back");
    assert.ok(socket.bytesRead < 300_000, `${socket.bytesRead} bytes are held`);
    first(kept.requests).answer.send(401, AnswerHeaders.of(json), Buffer.from("no"));
    await until(() => kept.requests.length === 2, "the next request");
    let body = "";
    kept.requests[1]?.readBody((bytes) => {
      body = bytes.toString();
    });
    assert.equal(body, "next");
    kept.requests[1]?.answer.send(200, AnswerHeaders.of(json), Buffer.from("yes"));
    await until(() => one.text.endsWith("yes"), "both answers");
    one.socket.destroy();
  });
});

test("a large body asked for late is whole", async () => {
  const kept = keeper();
  await withServer({ take: kept.take, maxBodyBytes: 50_000_000 }, async (server) => {
    const one = await client(server);
    const sent = Buffer.alloc(5_000_000);
    for (let at = 0; at < sent.length; at += 1) sent[at] = (at * 7) % 251;
    one.socket.write(head(sent.length));
    one.socket.write(sent);
    await until(() => kept.requests.length === 1 && [...server.sockets].some((socket) => socket.isPaused()), "it is held back");
    let body: Buffer | undefined;
    first(kept.requests).readBody((bytes) => {
      body = bytes;
    });
    await until(() => body !== undefined, "the body");
    assert.ok(body?.equals(sent));
    first(kept.requests).answer.send(200, AnswerHeaders.of(json), Buffer.from("yes"));
    await until(() => one.text.endsWith("yes"), "the answer");
    one.socket.destroy();
  });
});

test("a head or a body that dawdles is ended with 408, as Node does it", async () => {
  await withServer({ headersTimeoutMs: 200, requestTimeoutMs: 400 }, async (server) => {
    const dawdlers = await Promise.all(
      ["", "PO", head(5).slice(0, -3), `${head(5)}hel`].map(async (bytes) => {
        const one = await client(server);
        one.socket.write(bytes);
        return one;
      }),
    );
    await until(() => dawdlers.every(({ closed }) => closed), "all are ended");
    const ends = dawdlers.map(({ text }) => /^HTTP\/1\.1 408 .*\r\n\r\n(.*)$/s.exec(text)?.[1]);
    const unknown = "ERR_HTTP_REQUEST_TIMEOUT undefined";
    assert.deepEqual(ends, [unknown, unknown, unknown, "ERR_HTTP_REQUEST_TIMEOUT /v1/chat/completions"]);
  });
});

test("a connection that waits for its next request is closed after a while, one that is served is not", async () => {
  const kept = keeper();
  await withServer(
    { take: kept.take, keepAliveTimeoutMs: 100, headersTimeoutMs: 100, requestTimeoutMs: 100 },
    async (server) => {
      const [served, idle] = [await client(server), await client(server)];
      served.socket.write(post("a"));
      await until(() => kept.requests.length === 1, "the first request");
      idle.socket.write(post("b"));
      await until(() => kept.requests.length === 2, "the second request");
      kept.requests[1]?.answer.send(200, AnswerHeaders.of(json), Buffer.from("yes"));
      await until(() => idle.closed, "it is closed");
      assert.match(idle.text, /yes$/);
      assert.equal(served.closed, false);
      first(kept.requests).answer.send(200, AnswerHeaders.of(json), Buffer.from("late"));
      await until(() => served.closed, "it is closed too");
      assert.match(served.text, /late$/);
    },
  );
});

test("while the server closes, what is under way is finished, and no connection stays", async () => {
  const kept = keeper();
  const server = await startWireServer({ front: true, take: kept.take });
  const [busy, idle, begun] = [await client(server), await client(server), await client(server)];
  idle.socket.write(post("idle"));
  await until(() => kept.requests.length === 1, "a request");
  first(kept.requests).answer.send(200, AnswerHeaders.of(json), Buffer.from("yes"));
  await until(() => idle.text.endsWith("yes"), "its answer");
  busy.socket.write(post("busy"));
  await until(() => kept.requests.length === 2, "a request");
  begun.socket.write(post("begun"));
  await until(() => kept.requests.length === 3, "a request");
  kept.requests[2]?.answer.begin(200, AnswerHeaders.of(json));
  let isClosed = false;
  server.server.close(() => {
    isClosed = true;
  });
  await until(() => idle.closed, "the idle one is closed");
  kept.requests[1]?.answer.send(200, AnswerHeaders.of(json), Buffer.from("last"));
  // Its head said that the connection stays: the next request may be on its way.
  kept.requests[2]?.answer.closeAfter();
  kept.requests[2]?.answer.end();
  await until(() => begun.text.endsWith("0\r\n\r\n") && busy.closed, "both have their answers");
  assert.deepEqual([begun.closed, isClosed], [false, false]);
  server.server.closeIdleConnections();
  await until(() => isClosed && begun.closed, "the server is closed");
  assert.match(busy.text, /\r\nConnection: close\r\n\r\nlast$/);
  assert.match(begun.text, /0\r\n\r\n$/);
  await until(() => server.front?.open === 0, "none is open");
});

test("an answer that is to be the last one says so, and its connection ends", async () => {
  const kept = keeper();
  await withServer({ take: kept.take }, async (server) => {
    const one = await client(server);
    one.socket.write(post("a") + post("b"));
    await until(() => kept.requests.length === 1, "the request");
    const { answer } = first(kept.requests);
    answer.closeAfter();
    answer.send(200, AnswerHeaders.of(json), Buffer.from("last"));
    await until(() => one.closed, "it is closed");
    assert.match(one.text, /\r\nConnection: close\r\n\r\nlast$/);
    assert.equal(kept.requests.length, 1);
  });
});

test("while it is not ready, requests go to Node, also on connections that it has", async () => {
  let ready = true;
  await withServer({ ready: () => ready }, async (server) => {
    const one = await client(server);
    one.socket.write(post("one"));
    await until(() => one.text.endsWith('"one"}'), "the first answer");
    assert.deepEqual([server.taken(), server.front?.open], [1, 1]);
    ready = false;
    one.socket.write(post("two"));
    await until(() => one.text.endsWith('"two"}'), "the second answer");
    assert.deepEqual([server.taken(), server.front?.open], [1, 0]);
    one.socket.destroy();
  });
});

test("1000 requests over 50 connections, cut at random, several at once: each answer is its own", async () => {
  await withServer({}, async (server) => {
    const random = createRandom(3);
    await Promise.all(
      Array.from({ length: 50 }, async (_, connection) => {
        const one = await client(server);
        const bodies = Array.from(
          { length: 20 },
          (_, at) => `${connection}-${at}-${"p".repeat(Math.floor(random() ** 4 * 50_000))}`,
        );
        let rest = bodies.map((body) => post(body)).join("");
        while (rest.length > 0) {
          const size = random() < 0.5 ? Math.ceil(random() * 200) : Math.ceil(random() * 40_000);
          if (!one.socket.write(rest.slice(0, size), "latin1"))
            await new Promise((resolve) => one.socket.once("drain", resolve));
          rest = rest.slice(size);
          if (random() < 0.7) await new Promise((resolve) => setImmediate(resolve));
        }
        const answered = (): string[] => [...one.text.matchAll(/"body":"([^"]*)"/g)].map(([, body = ""]) => body);
        await until(() => answered().length === bodies.length, `the answers of ${connection}`, 60_000);
        assert.deepEqual(answered(), bodies);
        one.socket.destroy();
      }),
    );
    assert.equal(server.taken(), 1000);
  });
});

test("a socket that goes to Node takes none of the front's listeners along", async () => {
  const [theirs, own] = [await startWireServer({ front: false }), await startWireServer({ front: true })];
  const counts: Record<string, number>[] = [];
  for (const server of [theirs, own]) {
    const one = await client(server);
    one.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => one.text.includes('"body":""'), "the answer");
    const [socket] = server.sockets;
    assert.ok(socket);
    counts.push(Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)])));
    one.socket.destroy();
    await server.close();
  }
  assert.deepEqual(counts[1], counts[0]);
});

test("over TLS: plain requests, others, records cut anywhere, large answers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-wire-"));
  try {
    const tls = makeAuthority(folder).issue("server", ["127.0.0.1"]);
    await withServer({ tls }, async (server) => {
      const socket = await open(server.port, tls);
      let got = "";
      socket.setEncoding("latin1").on("data", (piece) => {
        got += piece;
      });
      socket.write(post("one"));
      await until(() => got.endsWith('"one"}'), "the first answer");
      // Two records in one segment.
      socket.cork();
      socket.write(head(3));
      socket.write("two");
      socket.uncork();
      await until(() => got.endsWith('"two"}'), "the second answer");
      assert.equal(server.taken(), 2);
      const large = "x".repeat(90_000);
      socket.write(post(large));
      await until(() => got.endsWith(`"${large}"}`), "the large answer");
      assert.equal(server.taken(), 3);
      for (const piece of ["PUT /other HTTP/1.1\r\nHost: x\r\nContent-", "Length: 40000\r\n\r\n", "y".repeat(20_000)])
        socket.write(piece);
      socket.write("y".repeat(20_000));
      await until(() => got.endsWith(`"${"y".repeat(40_000)}"}`), "Node's answer");
      assert.deepEqual([server.taken(), server.front?.open], [3, 0]);
      socket.destroy();
      assert.match(await ask(server.port, post("x", "Connection: close\r\n"), tls), /Connection: close\r\n\r\n.*"x"}$/s);
    });
    const kept = keeper();
    await withServer({ tls, take: kept.take }, async (server) => {
      const socket = await open(server.port, tls);
      socket.write(post("one"));
      await until(() => kept.requests.length === 1, "the request");
      const { answer } = first(kept.requests);
      answer.begin(200, AnswerHeaders.of(json));
      answer.write(Buffer.from("data"));
      socket.destroy();
      await until(() => kept.closes[0] === 1, "its end");
      assert.deepEqual([answer.gone, answer.finished], [true, false]);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
