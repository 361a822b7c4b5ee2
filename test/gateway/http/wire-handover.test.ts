// Connections that go to Node, those over TLS, and many at once.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { AnswerHeaders } from "../../../gateway/models/answer-headers.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { createRandom } from "../../support/fuzz.ts";
import { client, first, head, json, keeper, withServer } from "../../support/wire-clients.ts";
import { ask, open, post, startWireServer, until } from "../../support/wire-servers.ts";

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

for (const before of [0, 2]) {
  test(`after ${before} plain requests a connection becomes another protocol's, which gets and sends all its bytes`, async () => {
    await withServer({}, async (server) => {
      const upgraded = Promise.withResolvers<Duplex>();
      server.server.on("upgrade", (_request, socket, ahead) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        socket.write(ahead);
        upgraded.resolve(socket);
      });
      const one = await client(server);
      for (let count = 1; count <= before; count += 1) {
        one.socket.write(post(`${count}`));
        await until(() => one.text.endsWith(`"${count}"}`), `answer ${count}`);
      }
      one.text = "";
      one.socket.write("GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ");
      const socket = await upgraded.promise;
      await until(() => one.text.endsWith("\r\n\r\nahead "), "what came with the head");
      assert.deepEqual([server.taken(), server.front?.open], [before, 0]);
      one.text = "";
      const sent = "0123456789abcdef".repeat(64 * 1024);
      // Nothing is read for a while: what was sent waits, and is whole when it is read.
      one.socket.write(sent);
      const bytes: Buffer[] = [];
      socket.on("data", (piece: Buffer) => {
        bytes.push(piece);
        if (bytes.length % 3 === 0) {
          socket.pause();
          setImmediate(() => socket.resume());
        }
      });
      await until(() => bytes.reduce((sum, { length }) => sum + length, 0) === sent.length, "all bytes", 20_000);
      assert.equal(Buffer.concat(bytes).toString("latin1"), sent);
      socket.end("bye");
      await until(() => one.text === "bye" && one.ended, "the end");
    });
  });
}

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
