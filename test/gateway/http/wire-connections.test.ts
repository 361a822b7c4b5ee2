// Connections of plain requests: clients that leave, dawdle, read slowly or send much at once; timeouts, the drain.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { ClientAnswer } from "../../../gateway/http/answer.ts";
import type { PlainRequest } from "../../../gateway/http/wire/front.ts";
import { AnswerHeaders } from "../../../gateway/models/answer-headers.ts";
import { client, first, head, json, keeper, withServer } from "../../support/wire-clients.ts";
import { ask, post, startWireServer, until } from "../../support/wire-servers.ts";

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
