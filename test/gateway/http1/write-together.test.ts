/** Small messages of one turn are sent one after the other at its end; each goes out whole, and is told of once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { flush, type Sender, writeAtOnce, writePiece, writeTogether } from "../../../gateway/models/http1/write-together.ts";

let server: Server;
const open: Socket[] = [];

before(async () => {
  server = createServer((socket) => socket.on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => {
  for (const socket of open) socket.destroy();
  server.close();
});

interface Pair {
  readonly socket: Socket;
  /** The other end. */
  readonly peer: Socket;
  text(): string;
}

async function pair(): Promise<Pair> {
  const address = server.address();
  const socket = connect(typeof address === "object" && address ? address.port : 0, "127.0.0.1");
  const [peer]: Socket[] = await once(server, "connection");
  assert.ok(peer);
  if (socket.connecting) await once(socket, "connect");
  socket.on("error", () => {});
  open.push(socket, peer);
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  return { socket, peer, text: () => Buffer.concat(chunks).toString("latin1") };
}

class Told implements Sender {
  count = 0;
  sent(): void {
    this.count += 1;
  }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 10_000; !holds(); await pause(5)) assert.ok(Date.now() < end, `never came: ${what}`);
}

test("what is written in one turn goes at its end, to each its own", async () => {
  const pairs = [await pair(), await pair(), await pair()];
  const told = pairs.map(() => new Told());
  for (const [at, { socket }] of pairs.entries()) {
    writeTogether(socket, `head ${at};`, Buffer.from(`body ${at}`), told[at] ?? new Told());
    assert.equal(socket.bytesWritten, 0);
  }
  await turn();
  assert.deepEqual(
    told.map(({ count }) => count),
    [1, 1, 1],
  );
  await until(() => pairs.every(({ text }) => text().length === 13), "the bytes");
  assert.deepEqual(
    pairs.map(({ text }) => text()),
    ["head 0;body 0", "head 1;body 1", "head 2;body 2"],
  );
});

test("nobody waits for more than sixteen, or for a megabyte; what is large is not copied", async () => {
  const many: Pair[] = [];
  while (many.length < 17) many.push(await pair());
  for (const { socket } of many.slice(0, 16)) writeTogether(socket, "a", undefined, new Told());
  assert.equal(many[0]?.socket.bytesWritten, 0);
  const [last] = many.slice(16);
  assert.ok(last);
  writeTogether(last.socket, "a", undefined, new Told());
  assert.deepEqual([many[0]?.socket.bytesWritten, many[15]?.socket.bytesWritten, last.socket.bytesWritten], [1, 1, 0]);
  await turn();
  assert.equal(last.socket.bytesWritten, 1);

  const [large, small, larger] = [await pair(), await pair(), await pair()];
  const told = [new Told(), new Told(), new Told()] as const;
  const body = Buffer.alloc(600_000, "x");
  writeTogether(large.socket, "head;", body, told[0]);
  writeTogether(small.socket, "small;", Buffer.from("body"), told[1]);
  assert.deepEqual([large.socket.bytesWritten, small.socket.bytesWritten], [0, 0]);
  body.fill("y");
  writeTogether(larger.socket, "head;", Buffer.alloc(600_000, "z"), told[2]);
  assert.deepEqual([large.socket.bytesWritten, small.socket.bytesWritten, larger.socket.bytesWritten], [600_005, 10, 0]);
  await turn();
  assert.deepEqual([...told.map(({ count }) => count)], [1, 1, 1]);
  await until(() => [large, larger].every(({ text }) => text().length === 600_005), "the bytes");
  assert.deepEqual([large.text(), small.text()], [`head;${"y".repeat(600_000)}`, "small;body"]);
});

test("pieces of many streams go together, those of one as one, in their order", async () => {
  const [one, other] = [await pair(), await pair()];
  const told = [new Told(), new Told()] as const;
  assert.ok(writePiece(one.socket, "3\r\n", Buffer.from("abc"), "\r\n", told[0]));
  assert.ok(writePiece(one.socket, "1\r\n", Buffer.from("d"), "\r\n", told[0]));
  assert.ok(writePiece(other.socket, `${"head".repeat(10)}\r\n`, Buffer.alloc(0), "", told[1]));
  assert.ok(writePiece(one.socket, "", Buffer.from("last"), "", told[0]));
  assert.equal(one.socket.bytesWritten, 0);
  await turn();
  // One that others stand between is a write of its own, and told of by itself.
  assert.deepEqual([...told.map(({ count }) => count)], [2, 1]);
  await until(() => one.text() !== "" && other.text() !== "", "the bytes");
  assert.deepEqual([one.text(), other.text()], ["3\r\nabc\r\n1\r\nd\r\nlast", `${"head".repeat(10)}\r\n`]);
  // Neither what is large nor what comes while others are written.
  assert.equal(writePiece(one.socket, "", Buffer.alloc(20_000), "", told[0]), false);
  let within: boolean | undefined;
  writeTogether(other.socket, "x", undefined, {
    sent() {
      within = writePiece(other.socket, "", Buffer.from("y"), "", told[1]);
    },
  });
  flush();
  assert.equal(within, false);
});

test("a piece that the system has no room for is late, until it has", async () => {
  const { socket, peer, text } = await pair();
  peer.pause();
  const heard: string[] = [];
  const sender: Sender = { sent: () => heard.push("sent"), late: () => heard.push("late") };
  let count = 0;
  for (; heard.at(-1) !== "late"; count += 1) {
    assert.ok(count < 10_000);
    assert.ok(writePiece(socket, "", Buffer.from(`${count};`.padEnd(16_000, "x")), "", sender));
    flush();
  }
  assert.deepEqual(heard, [...Array.from({ length: count - 1 }, () => "sent"), "late"]);
  await turn();
  assert.equal(heard.at(-1), "late");
  // What is put on the same sheet next does not touch it.
  const other = await pair();
  writeTogether(other.socket, "", Buffer.alloc(16_000, "o"), new Told());
  flush();
  peer.resume();
  await until(() => heard.at(-1) === "sent", "the word");
  await until(() => text().length === 16_000 * count, "all of it");
  assert.equal(text(), Array.from({ length: count }, (_, at) => `${at};`.padEnd(16_000, "x")).join(""));
});

test("who is told may write at once, and is told again", async () => {
  const one = await pair();
  let count = 0;
  const sender: Sender = {
    sent() {
      count += 1;
      if (count < 3) writeTogether(one.socket, `${count}`, undefined, sender);
    },
  };
  writeTogether(one.socket, "0", undefined, sender);
  flush();
  assert.equal(count, 1);
  await until(() => count === 3, "the third");
  await until(() => one.text() === "012", "the bytes");
});

test("a socket that was closed in between gets nothing, and others get theirs", async () => {
  const [gone, kept] = [await pair(), await pair()];
  const [toldGone, toldKept] = [new Told(), new Told()];
  writeTogether(gone.socket, "lost", undefined, toldGone);
  writeTogether(kept.socket, "kept", undefined, toldKept);
  gone.socket.destroy();
  await until(() => kept.text() === "kept", "the bytes");
  assert.deepEqual([toldGone.count, toldKept.count, gone.text()], [0, 1, ""]);
});

test("bytes that the system does not take yet stay as they are", async () => {
  const slow = await pair();
  slow.peer.pause();
  const filling = Buffer.alloc(8_000_000, "f");
  slow.socket.write(filling);
  assert.ok(slow.socket.writableLength > 0);
  const others = [await pair(), await pair()];
  writeTogether(slow.socket, "slow head;", Buffer.from("slow body"), new Told());
  flush();
  // They take the same place.
  for (const { socket } of others) writeTogether(socket, "other head", Buffer.from("other body"), new Told());
  flush();
  slow.peer.resume();
  await until(() => slow.text().length === filling.length + 19, "all of it");
  assert.equal(slow.text().slice(filling.length), "slow head;slow body");
});

test("at once: nobody is told from within", async () => {
  const one = await pair();
  const told = new Told();
  writeAtOnce(one.socket, "now", Buffer.from("!"), told);
  assert.deepEqual([one.socket.bytesWritten, told.count], [4, 0]);
  await turn();
  assert.equal(told.count, 1);
});

test("what the system does not take goes when it can, whole and in order, and is told of then", async () => {
  const { socket, peer, text } = await pair();
  peer.pause();
  const bodies = Array.from({ length: 600 }, (_, at) => `${at};`.padEnd(16_000, "x"));
  const told = bodies.map(() => new Told());
  const countTold = (): number => told.filter(({ count }) => count === 1).length;
  let waiting = 0;
  for (const [at, body] of bodies.entries()) {
    writeTogether(socket, "", Buffer.from(body), told[at] ?? new Told());
    flush();
    if (told[at]?.count === 0) waiting += 1;
  }
  assert.ok(waiting > 100, `${waiting} of them wait`);
  await turn();
  assert.equal(countTold(), bodies.length - waiting);
  peer.resume();
  await until(() => text().length === 16_000 * bodies.length, "all bytes");
  assert.ok(text() === bodies.join(""));
  await until(() => countTold() === bodies.length, "the last word");
});

test("nobody is told of what a closed socket did not get", async () => {
  const { socket, peer } = await pair();
  peer.pause();
  const told: Told[] = [];
  while (told.at(-1)?.count !== 0 || told.length < 2) {
    told.push(new Told());
    writeTogether(socket, "", Buffer.alloc(16_000), told.at(-1) ?? new Told());
    flush();
  }
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
  await turn();
  assert.equal(told.at(-1)?.count, 0);
  // The other end is gone: an error of the socket, not of its writer.
  const other = await pair();
  other.peer.resetAndDestroy();
  const gone = new Promise<void>((resolve) => other.socket.once("close", () => resolve()));
  const last = new Told();
  writeTogether(other.socket, "late", undefined, last);
  flush();
  await gone;
  assert.ok(other.socket.destroyed);
});
