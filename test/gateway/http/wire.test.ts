// The gateway's own reader of plain requests: it answers as Node's would, and what is not certainly plain is Node's to answer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRandom, pick, type Random } from "../../support/fuzz.ts";
import { ask, open, post, type Seen, startWireServer, until, type WireServer } from "../../support/wire-servers.ts";

let node: WireServer;
let ours: WireServer;
before(async () => {
  node = await startWireServer({ front: false });
  ours = await startWireServer({ front: true });
});
after(async () => {
  await Promise.all([node.close(), ours.close()]);
});

interface Outcome {
  readonly answers: string;
  readonly seen: readonly Seen[];
  readonly taken: number;
}

async function outcome(server: WireServer, request: string | Buffer): Promise<Outcome> {
  const before = server.taken();
  server.seen.length = 0;
  const answers = await ask(server.port, request);
  return { answers, seen: [...server.seen], taken: server.taken() - before };
}

const headers = (lines: string): string => `POST /v1/chat/completions HTTP/1.1\r\n${lines}\r\n\r\nhello`;
const length = "Host: x\r\nContent-Length: 5";

const plain: Readonly<Record<string, string>> = {
  "a small body": post("hello"),
  "no body": post(""),
  "a larger body": post("x".repeat(90_000)),
  "another path": post("hello", "", "/v1/messages"),
  "close is honoured": post("hello", "Connection: close\r\n"),
  "keep-alive is said": post("hello", "Connection: Keep-Alive\r\n"),
  "spaces before a value": headers(`${length}\r\nX-A:    b`),
  "no space before a value": headers(`${length}\r\nX-A:b`),
  "spaces within a value": headers(`${length}\r\nX-A: b  c`),
  "an empty value": headers(`${length}\r\nX-A:\r\nX-B: `),
  "latin1 in a value": headers(`${length}\r\nX-A: caf\xe9 \x80\xff`),
  "odd names": headers(`${length}\r\n!#$%&'*+-.^_\`|~09AZaz: b`),
  "names in upper case": headers("HOST: x\r\nCONTENT-LENGTH: 5\r\nCONTENT-TYPE: text/plain"),
  "zeros before the length": headers("Host: x\r\nContent-Length: 0000005"),
  "a head that is just small enough": headers(`${length}\r\nX-A: ${"a".repeat(16_250)}`),
  "many headers": headers(`${length}\r\n${Array.from({ length: 90 }, (_, at) => `X-${at}: ${at}`).join("\r\n")}`),
  "two requests": post("one") + post("two"),
  "three requests, the last one closes": post("one") + post("") + post("three", "Connection: close\r\n"),
};

for (const [name, request] of Object.entries(plain))
  test(`plain: ${name}`, async () => {
    const theirs = await outcome(node, request);
    const own = await outcome(ours, request);
    assert.ok(theirs.seen.length > 0, "Node takes it");
    assert.deepEqual(own.seen, theirs.seen);
    assert.equal(own.answers, theirs.answers);
    assert.equal(own.taken, own.seen.length, "the front took it");
  });

const other: Readonly<Record<string, string>> = {
  GET: "GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
  HEAD: "HEAD /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
  OPTIONS: "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n",
  PUT: headers(length).replace("POST", "PUT"),
  CONNECT: "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
  TRACE: "TRACE /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
  "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a method in lower case": headers(length).replace("POST", "post"),
  "a method that nobody knows": headers(length).replace("POST", "POSTER"),
  "HTTP/1.0": headers(length).replace("1.1", "1.0"),
  "HTTP/1.0 that stays": headers(`${length}\r\nConnection: keep-alive`).replace("1.1", "1.0"),
  "HTTP/2.0": headers(length).replace("1.1", "2.0"),
  "HTTP/0.9": "POST /v1/chat/completions\r\n\r\n",
  "http/1.1": headers(length).replace("HTTP", "http"),
  "no version": headers(length).replace(" HTTP/1.1", ""),
  "two spaces after the method": headers(length).replace("POST ", "POST  "),
  "two spaces before the version": headers(length).replace(" HTTP", "  HTTP"),
  "a space after the version": headers(length).replace("1.1\r", "1.1 \r"),
  "a tab after the method": headers(length).replace("POST ", "POST\t"),
  "another path": post("hello", "", "/v1/other"),
  "a query": post("hello", "", "/v1/chat/completions?a=1"),
  "a slash at the end": post("hello", "", "/v1/chat/completions/"),
  "a whole URL": post("hello", "", "http://x/v1/chat/completions"),
  "an asterisk": post("hello", "", "*"),
  "a path with escapes": post("hello", "", "/v1/chat/complet%69ons"),
  "a path with a byte above ASCII": post("hello", "", "/v1/chat/completions\xe9"),
  "an empty line before": `\r\n${headers(length)}`,
  "no host": headers("Content-Length: 5"),
  "an empty host": headers("Host:\r\nContent-Length: 5"),
  "two hosts": headers(`${length}\r\nHost: y`),
  "no length": "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n",
  "a length twice": headers(`${length}\r\nContent-Length: 5`),
  "two lengths": headers(`${length}\r\nContent-Length: 6`),
  "lengths in a list": headers("Host: x\r\nContent-Length: 5, 5"),
  "a length with a sign": headers("Host: x\r\nContent-Length: +5"),
  "a length below zero": headers("Host: x\r\nContent-Length: -5"),
  "a length in hex": headers("Host: x\r\nContent-Length: 0x5"),
  "a length with a fraction": headers("Host: x\r\nContent-Length: 5.0"),
  "an empty length": headers("Host: x\r\nContent-Length:"),
  "a length with a space in it": headers("Host: x\r\nContent-Length: 5 5"),
  "a length that no number holds": headers("Host: x\r\nContent-Length: 99999999999999999999999"),
  "a body that is too large": post("x".repeat(100_001)),
  chunked: headers("Host: x\r\nTransfer-Encoding: chunked").replace(/hello$/, "5\r\nhello\r\n0\r\n\r\n"),
  "chunked and a length": headers(`${length}\r\nTransfer-Encoding: chunked`).replace(/hello$/, "0\r\n\r\n"),
  "a length and chunked": headers("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5").replace(/hello$/, "0\r\n\r\n"),
  "chunked, with a space": headers("Host: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 5"),
  "chunked, with a tab": headers(`${length}\r\nTransfer-Encoding:\tchunked`),
  "chunked, spelled oddly": headers(`${length}\r\nTransfer-Encoding: xchunked`),
  "identity and a length": headers(`${length}\r\nTransfer-Encoding: identity`),
  "chunked behind a line feed": headers(`${length}\r\nX: y\nTransfer-Encoding: chunked`),
  "chunked behind a return": headers(`${length}\r\nX: y\rTransfer-Encoding: chunked`),
  "chunked in a folded line": headers(`${length}\r\nX: y\r\n Transfer-Encoding: chunked`),
  "line feeds alone": headers(length).replaceAll("\r\n", "\n"),
  "an empty line of a line feed alone": headers(length).replace("\r\n\r\n", "\r\n\n"),
  "a return alone at the end": headers(length).replace("\r\n\r\n", "\r\n\r"),
  "a folded line": headers(`${length}\r\nX-A: b\r\n c`),
  "a folded first line": headers(` X-A: b\r\n${length}`),
  "a space before the colon": headers(`${length}\r\nX-A : b`),
  "a space in a name": headers(`${length}\r\nX A: b`),
  "no colon": headers(`${length}\r\nXA`),
  "no name": headers(`${length}\r\n: b`),
  "a control character in a value": headers(`${length}\r\nX-A: b\x01c`),
  "a zero in a value": headers(`${length}\r\nX-A: b\0c`),
  "a DEL in a value": headers(`${length}\r\nX-A: b\x7fc`),
  "a tab in a value": headers(`${length}\r\nX-A: b\tc`),
  "a space after a value": headers(`${length}\r\nX-A: b  `),
  "a byte above ASCII in a name": headers(`${length}\r\nX-\xe9: b`),
  "a header twice": headers(`${length}\r\nX-A: b\r\nx-a: c`),
  "the prototype as a name": headers(`${length}\r\n__proto__: b`),
  "a method of every object as a name": headers(`${length}\r\nconstructor: b\r\ntoString: c`),
  "an expectation": headers(`${length}\r\nExpect: 100-continue`),
  "an expectation that nobody knows": headers(`${length}\r\nExpect: tea`),
  "an upgrade": headers(`${length}\r\nConnection: Upgrade\r\nUpgrade: websocket`),
  "an upgrade to HTTP/2": headers(`${length}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA`),
  "an upgrade that is not asked for": headers(`${length}\r\nUpgrade: websocket`),
  "a page of a browser": headers(`${length}\r\nOrigin: https://a`),
  "headers to be removed": headers(`${length}\r\nConnection: close, X-A\r\nX-A: b`),
  "what a proxy is asked for": headers(`${length}\r\nProxy-Connection: close`),
  "trailers are announced": headers(`${length}\r\nTrailer: x`),
  "TE is said": headers(`${length}\r\nTE: trailers\r\nConnection: TE`),
  "a packed body": headers(`${length}\r\nContent-Encoding: gzip`),
  "too many headers": headers(`${length}\r\n${Array.from({ length: 150 }, (_, at) => `X-${at}: ${at}`).join("\r\n")}`),
  "a header that is too large": headers(`${length}\r\nX-A: ${"a".repeat(17_000)}`),
  "a path that is too long": post("hello", "", `/${"a".repeat(17_000)}`),
  "TLS to a port without": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
  "nothing but zeros": "\0".repeat(100),
  "an answer": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
  "half a method": "PO",
  "half a head": "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConten",
  "half a body": headers(length.replace("5", "50")),
  nothing: "",
};

for (const [name, request] of Object.entries(other))
  test(`Node's to answer: ${name}`, async () => {
    const theirs = await outcome(node, request);
    const own = await outcome(ours, request);
    assert.deepEqual(own.seen, theirs.seen);
    assert.equal(own.answers, theirs.answers);
    if (name !== "half a body") assert.equal(own.taken, 0, "the front did not take it");
  });

test("a plain request, then one that is not, on one connection", async () => {
  const socket = await open(ours.port);
  let got = "";
  socket.setEncoding("latin1").on("data", (piece) => {
    got += piece;
  });
  const answered = (count: number) => until(() => (got.match(/HTTP\/1\.1 200/g) ?? []).length === count, `answer ${count}`);
  const before = ours.taken();
  socket.write(post("one"));
  await answered(1);
  socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  await answered(2);
  // It stays Node's.
  socket.write(post("three"));
  await answered(3);
  assert.equal(ours.taken() - before, 1);
  socket.write(`${post("four")}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${post("six")}`);
  await answered(6);
  socket.destroy();
  const both = await ask(ours.port, `${post("one")}GET /two HTTP/1.1\r\nHost: x\r\n\r\n${post("three")}`);
  assert.equal(both.match(/HTTP\/1\.1 200/g)?.length, 3);
  assert.match(both, /"body":"one".*"url":"\/two".*"body":"three"/s);
});

test("cut at every place, a request is read the same way", async () => {
  const request = post("hello, all", "Content-Type: application/json\r\nX-A:  b c\r\nConnection: close\r\n");
  const whole = await ask(ours.port, request);
  await inTurns(request.length - 1, 20, async (index) => {
    const at = index + 1;
    const socket = await open(ours.port);
    let got = "";
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.setEncoding("latin1").on("data", (piece) => {
      got += piece;
    });
    socket.on("end", () => socket.end());
    socket.write(request.slice(0, at), "latin1");
    const { localPort } = socket;
    await until(() => [...ours.sockets].some((one) => one.remotePort === localPort && one.bytesRead === at), "the first part");
    socket.write(request.slice(at), "latin1");
    await closed;
    assert.equal(got.replace(/Date: [^\r]+\r\n/g, ""), whole, `cut at ${at}`);
  });
});

test("byte by byte, a request is read the same way", async () => {
  const request = post("hi") + post("ho", "Connection: close\r\n");
  const socket = await open(ours.port);
  let got = "";
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.setEncoding("latin1").on("data", (piece) => {
    got += piece;
  });
  socket.on("end", () => socket.end());
  const { localPort } = socket;
  for (let at = 0; at < request.length; at += 1) {
    socket.write(request.slice(at, at + 1));
    if (at < request.length - 1)
      await until(() => [...ours.sockets].some((one) => one.remotePort === localPort && one.bytesRead === at + 1), "a byte");
  }
  await closed;
  assert.equal(got.replace(/Date: [^\r]+\r\n/g, ""), await ask(ours.port, request));
});

test("changed at random, a request is understood as Node understands it, or is Node's to answer", async () => {
  const random = createRandom(7);
  const small = [...Object.values(plain), ...Object.values(other)].filter(({ length: size }) => size < 1000);
  const bases: [string, ...string[]] = [post("hello"), ...small];
  let taken = 0;
  for (let round = 0; round < 1500; round += 1) {
    const request = Buffer.from(spoil(random, pick(random, bases)), "latin1");
    const [theirs, own] = await Promise.all([outcome(node, request), outcome(ours, request)]);
    const shown = JSON.stringify(request.toString("latin1"));
    assert.deepEqual(own.seen, theirs.seen, shown);
    // After a whole request Node's error about what follows may overtake its answer.
    if (theirs.seen.length === 0) assert.equal(own.answers, theirs.answers, shown);
    taken += own.taken;
  }
  assert.ok(taken > 100, `only ${taken} were taken`);
});

const spice: readonly [string, ...string[]] = [
  "\r\n",
  "\n",
  "\r",
  " ",
  "\t",
  ":",
  "\0",
  "\x7f",
  "\x80",
  "5",
  ",",
  ";",
  "Content-Length: 5\r\n",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Host: y\r\n",
  "Connection: close\r\n",
  "Expect: 100-continue\r\n",
  "X-A: b\r\n",
  "POST ",
];

function spoil(random: Random, request: string): string {
  let text = request;
  const times = 1 + Math.floor(random() * 2);
  for (let time = 0; time < times; time += 1) {
    // Mostly in the head.
    const end = random() < 0.8 ? text.indexOf("\r\n\r\n") + 4 : text.length;
    const at = Math.floor(random() * Math.max(1, end));
    const to = at + Math.floor(random() * 4);
    const lines = text.split("\r\n");
    text = pick(random, [
      () => text.slice(0, at) + pick(random, spice) + text.slice(at),
      () => text.slice(0, at) + pick(random, spice) + text.slice(to),
      () => text.slice(0, at) + text.slice(to),
      () => text.slice(0, at) + text.slice(at, to) + text.slice(at),
      () => lines.map((line, index) => (index === 1 ? `${line}\r\n${pick(random, spice).trimEnd()}` : line)).join("\r\n"),
      () => lines.toSpliced(Math.floor(random() * lines.length), 1).join("\r\n"),
      () => text + text,
    ])();
  }
  return text;
}

/** So many at a time. */
async function inTurns(count: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let index = next++; index < count; index = next++) await work(index);
    }),
  );
}
