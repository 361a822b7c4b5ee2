// Connections to upstreams: kept and used again only when nothing is in doubt, bounded, dropped when nobody waits.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type Connections, openConnections } from "../../../gateway/models/connections.ts";
import { createDial } from "../../../gateway/models/dial.ts";
import type { AnswerController } from "../../../gateway/models/http1/connection.ts";

const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

interface Upstream {
  readonly origin: string;
  readonly sockets: Socket[];
  /** The requests' bytes, by connection. */
  readonly received: string[];
  readonly server: Server;
}

/** Answers each read with what `answer` gives; undefined: nothing. */
async function upstreamOf(
  context: TestContext,
  answer: (request: string, socket: Socket) => string | undefined,
): Promise<Upstream> {
  const sockets: Socket[] = [];
  const received: string[] = [];
  const server = createServer((socket) => {
    const index = sockets.push(socket) - 1;
    received.push("");
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      received[index] += text;
      const bytesOut = answer(text, socket);
      if (bytesOut !== undefined) socket.write(bytesOut, "latin1");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const port = typeof address === "object" && address ? address.port : 0;
  return { origin: `http://127.0.0.1:${port}`, sockets, received, server };
}

async function open(context: TestContext): Promise<Connections> {
  const dial = createDial({ transport: undefined, connectMs: 5000, secret: () => "", env: {} });
  const connections = await openConnections(dial);
  context.after(() => connections.close());
  return connections;
}

interface Outcome {
  readonly status: number;
  readonly body: string;
  readonly error: Error | undefined;
}

function ask(
  connections: Connections,
  origin: string,
  more: {
    body?: Buffer;
    reset?: boolean;
    headers?: Record<string, string>;
    onStart?: (controller: AnswerController) => void;
  } = {},
): Promise<Outcome> {
  const { body = Buffer.from("{}"), reset = false, headers = {}, onStart } = more;
  return new Promise((resolve) => {
    let status = 0;
    let text = "";
    connections.dispatch(
      { origin, path: "/v1/x", method: "POST", headers, body, reset },
      {
        onRequestStart: (controller) => onStart?.(controller),
        onResponseStart: (_, code) => {
          status = code;
        },
        onResponseData: (_, chunk) => {
          text += chunk.toString("latin1");
        },
        onResponseEnd: () => resolve({ status, body: text, error: undefined }),
        onResponseError: (_, error) => resolve({ status, body: text, error }),
      },
    );
  });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("one connection serves one request after the other, and the bytes are HTTP", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  for (let round = 0; round < 3; round += 1) {
    const { status, body } = await ask(connections, upstream.origin, { headers: { "x-a": "b" }, body: Buffer.from("{1}") });
    assert.deepEqual([status, body], [200, "ok"]);
  }
  assert.equal(upstream.sockets.length, 1);
  const host = upstream.origin.slice("http://".length);
  const request = `POST /v1/x HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\nx-a: b\r\ncontent-length: 3\r\n\r\n{1}`;
  assert.equal(upstream.received[0], request.repeat(3));
});

for (const [name, answer] of Object.entries({
  "says close": "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
  "sends more than it says": `${ok}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`,
  "speaks HTTP/1.0": "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
})) {
  test(`an upstream that ${name} gets a new connection for the next request`, async (context) => {
    const upstream = await upstreamOf(context, () => answer);
    const connections = await open(context);
    for (let round = 0; round < 3; round += 1) assert.equal((await ask(connections, upstream.origin)).body, "ok");
    assert.equal(upstream.sockets.length, 3);
  });
}

test("what comes on a free connection is nobody's answer", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  await ask(connections, upstream.origin);
  const [first] = upstream.sockets;
  assert.ok(first);
  first.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
  await until(() => first.destroyed || first.readableEnded, "the connection stays");
  assert.equal((await ask(connections, upstream.origin)).body, "ok");
  assert.equal(upstream.sockets.length, 2);
});

test("a request of its own connection closes it, and leaves the free one alone", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  await ask(connections, upstream.origin);
  await ask(connections, upstream.origin, { reset: true });
  await ask(connections, upstream.origin);
  assert.equal(upstream.sockets.length, 2);
  assert.match(upstream.received[1] ?? "", /^connection: close\r$/m);
});

test("an answer before the request was read: the rest of the request is not sent on a kept connection", async (context) => {
  const upstream = await upstreamOf(context, (request, socket) => {
    if (!request.startsWith("POST")) return undefined;
    socket.pause();
    return ok;
  });
  const connections = await open(context);
  const large = Buffer.alloc(32 * 1024 * 1024, 0x61);
  assert.equal((await ask(connections, upstream.origin, { body: large })).body, "ok");
  assert.equal((await ask(connections, upstream.origin)).body, "ok");
  assert.equal(upstream.sockets.length, 2);
});

test("a large body arrives as it is", async (context) => {
  let size = 0;
  const body = Buffer.alloc(3_000_000, "abcdefghij");
  const upstream = await upstreamOf(context, (request) => {
    size += request.length;
    return size > body.length && request.endsWith("j") ? ok : undefined;
  });
  const connections = await open(context);
  assert.equal((await ask(connections, upstream.origin, { body })).body, "ok");
  assert.ok(upstream.received[0]?.endsWith(`\r\ncontent-length: 3000000\r\n\r\n${body.toString("latin1")}`));
});

test("aborted: the connection is dropped and nobody is told", async (context) => {
  const upstream = await upstreamOf(context, () => undefined);
  const connections = await open(context);
  let controller: AnswerController | undefined;
  let told = false;
  void ask(connections, upstream.origin, {
    onStart: (current) => {
      controller = current;
    },
  }).then(() => {
    told = true;
  });
  await until(() => (upstream.received[0] ?? "") !== "", "no request came");
  controller?.abort();
  await until(() => upstream.sockets[0]?.destroyed === true, "the connection stays");
  assert.equal(told, false);
});

test("given up before it was sent: nothing is sent", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  void ask(connections, upstream.origin, { onStart: (controller) => controller.abort() });
  await until(() => upstream.sockets[0]?.destroyed === true, "the connection stays");
  assert.deepEqual(upstream.received, [""]);
  assert.equal((await ask(connections, upstream.origin)).body, "ok");
});

test("an upstream that breaks off is an error with what came so far", async (context) => {
  const upstream = await upstreamOf(context, (_, socket) => {
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    return undefined;
  });
  const { status, body, error } = await ask(await open(context), upstream.origin);
  assert.deepEqual([status, body], [200, "half"]);
  assert.match(error?.message ?? "", /in the middle of the answer/);
});

test("headers that would end early are refused, and nothing is sent", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  const bad: Record<string, string>[] = [{ a: "b\r\nx: y" }, { "a b": "c" }, { a: "\u{1f600}" }, { a: "b\0" }];
  for (const headers of bad) {
    const { error } = await ask(connections, upstream.origin, { headers });
    assert.match(error?.message ?? "", /must not have/);
  }
  assert.equal(upstream.received.join(""), "");
});

test("nobody listens", async (context) => {
  const { error } = await ask(await open(context), "http://127.0.0.1:9");
  assert.equal(error && "code" in error ? error.code : undefined, "ECONNREFUSED");
});

test("a call that waited while its provider was replaced still goes, over a connection that is not kept", async (context) => {
  const upstream = await upstreamOf(context, () => ok);
  const connections = await open(context);
  await ask(connections, upstream.origin);
  await connections.close();
  for (let late = 0; late < 2; late += 1) assert.equal((await ask(connections, upstream.origin)).body, "ok");
  assert.equal(upstream.sockets.length, 3);
  await until(() => upstream.sockets.every((socket) => socket.destroyed || socket.readableEnded), "all are closed");
});

test("beyond the bound requests wait for a connection; closing waits for those under way", async (context) => {
  const held: Socket[] = [];
  const upstream = await upstreamOf(context, (_, socket) => {
    held.push(socket);
    return undefined;
  });
  const connections = await open(context);
  const outcomes = Array.from({ length: 1100 }, () => ask(connections, upstream.origin));
  await until(() => held.length === 1024, "the first ones come");
  const closing = connections.close();
  for (let index = 0; index < 1100; index += 1) {
    await until(() => held.length > index, "a waiting one is placed");
    held[index]?.write(ok);
  }
  const bodies = (await Promise.all(outcomes)).map(({ body }) => body);
  assert.deepEqual([...new Set(bodies)], ["ok"]);
  await closing;
});
