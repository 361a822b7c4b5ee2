// Answers in HTTP/1.1, cut at every place: read the same way; what could be read in two ways is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../../gateway/models/http1/answer-head.ts";
import { createAnswerParser } from "../../../gateway/models/http1/answer-parser.ts";

interface Read {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** Undefined: it did not end. */
  readonly kept: boolean | undefined;
  readonly ends: boolean;
}

function read(pieces: readonly Buffer[]): Read {
  const found: { status: number; headers: Record<string, string>; body: string; kept: boolean | undefined } = {
    status: 0,
    headers: {},
    body: "",
    kept: undefined,
  };
  const parser = createAnswerParser({
    onHead(status, headers) {
      assert.equal(found.status, 0, "one head");
      found.status = status;
      found.headers = { ...headers };
    },
    onData(chunk) {
      assert.ok(chunk.length > 0);
      found.body += chunk.toString("latin1");
    },
    onEnd(keepAlive) {
      assert.equal(found.kept, undefined, "one end");
      found.kept = keepAlive;
    },
  });
  parser.expect();
  for (const piece of pieces) parser.push(piece);
  const before = found.kept;
  const ends = parser.end();
  return { ...found, kept: before, ends };
}

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const everyCut = (text: string): Buffer[][] => {
  const all = bytes(text);
  const cuts = [[all], [...all].map((byte) => Buffer.from([byte]))];
  for (let at = 1; at < all.length; at += 1) cuts.push([all.subarray(0, at), all.subarray(at)]);
  for (let size = 2; size < 9; size += 1)
    cuts.push(
      Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.subarray(index * size, (index + 1) * size)),
    );
  return cuts;
};

const head = "HTTP/1.1 200 OK\r\n";
const whole: Record<string, { text: string; body: string; kept: boolean; status?: number }> = {
  "a length": { text: `${head}Content-Length: 5\r\n\r\nhello`, body: "hello", kept: true },
  "no body": { text: `${head}content-length:0\r\n\r\n`, body: "", kept: true },
  chunks: {
    text: `${head}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n06\r\n world\r\n0\r\n\r\n`,
    body: "hello world",
    kept: true,
  },
  "chunks with extensions and trailers": {
    text: `${head}transfer-encoding: chunked\r\n\r\nA;a=b;c="d"\r\n0123456789\r\n000\r\nx: y\r\nz: \r\n\r\n`,
    body: "0123456789",
    kept: true,
  },
  "line ends inside of chunks": {
    text: `${head}transfer-encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n`,
    body: "\r\n0\r\n\r\n",
    kept: true,
  },
  "connection: close": {
    text: `${head}Connection: keep-alive, Close\r\ncontent-length: 2\r\n\r\nhi`,
    body: "hi",
    kept: false,
  },
  "HTTP/1.0": { text: "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", body: "hi", kept: false },
  "no content": { text: "HTTP/1.1 204 No Content\r\n\r\n", body: "", kept: true, status: 204 },
  "no reason": { text: "HTTP/1.1 429\r\ncontent-length: 1\r\n\r\n!", body: "!", kept: true, status: 429 },
  "interim answers": {
    text: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${head}content-length: 2\r\n\r\nhi`,
    body: "hi",
    kept: true,
  },
};

for (const [name, { text, body, kept, status = 200 }] of Object.entries(whole)) {
  test(`${name}: read the same wherever it is cut`, () => {
    for (const pieces of everyCut(text)) {
      const found = read(pieces);
      assert.deepEqual([found.status, found.body, found.kept, found.ends], [status, body, kept, true]);
    }
  });
}

test("without a length the end of the connection is the end", () => {
  for (const pieces of everyCut(`${head}content-type: text/plain\r\n\r\nall of it`)) {
    const found = read(pieces);
    assert.deepEqual([found.body, found.kept, found.ends], ["all of it", undefined, true]);
  }
});

test("a connection that ends in the middle is no end", () => {
  for (const { text } of Object.values(whole)) {
    const all = bytes(text);
    for (let at = 0; at < all.length; at += 1) {
      const found = read(at === 0 ? [] : [all.subarray(0, at)]);
      assert.deepEqual([found.kept, found.ends], [undefined, false], JSON.stringify(text.slice(0, at)));
    }
  }
});

test("headers: names in lower case, values without blanks around, repeated ones joined", () => {
  const text = `${head}X-Ratelimit-Remaining:\t 7 \t\r\nVia: a\r\nVIA: b\r\nEmpty:\r\n__proto__: x\r\nContent-Length: 0\r\n\r\n`;
  const { headers } = read([bytes(text)]);
  assert.equal(headers["x-ratelimit-remaining"], "7");
  assert.equal(headers.via, "a, b");
  assert.equal(headers.empty, "");
  assert.equal(Object.keys(headers).length, 5);
});

const chunked = `${head}transfer-encoding: chunked\r\n\r\n`;
const refused: Record<string, string> = {
  "length and chunks": `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  "two lengths": `${head}content-length: 5\r\ncontent-length: 5\r\n\r\nhello`,
  "a list of lengths": `${head}content-length: 5, 5\r\n\r\nhello`,
  "a signed length": `${head}content-length: +5\r\n\r\nhello`,
  "a negative length": `${head}content-length: -5\r\n\r\nhello`,
  "a length in hex": `${head}content-length: 0x5\r\n\r\nhello`,
  "an empty length": `${head}content-length:\r\n\r\n`,
  "a length with a blank that is none": `${head}content-length: 5\xa0\r\n\r\nhello`,
  "another encoding": `${head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "two encodings": `${head}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunks in HTTP/1.0": "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  "a folded line": `${head}x: a\r\n b\r\ncontent-length: 0\r\n\r\n`,
  "a blank before the colon": `${head}content-length : 0\r\n\r\n`,
  "no colon": `${head}content-length\r\n\r\n`,
  "a name with a blank": `${head}a b: c\r\n\r\n`,
  "no name": `${head}: c\r\n\r\n`,
  "a lone line feed in the head": `${head}x: a\ncontent-length: 0\r\n\r\n`,
  "a lone carriage return in the head": `${head}x: a\rcontent-length: 0\r\n\r\n`,
  "a zero byte": `${head}x: a\0b\r\n\r\n`,
  "another protocol": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
  "HTTP/2": "HTTP/2.0 200 OK\r\n\r\n",
  "a status that is none": "HTTP/1.1 099 What\r\n\r\n",
  "a status that is too long": "HTTP/1.1 2000 What\r\n\r\n",
  "switching protocols": "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
  "interim answers without end": "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20),
  "a chunk without a size": `${chunked}\r\nhello\r\n`,
  "a chunk whose size is a word": `${chunked}five\r\nhello\r\n`,
  "a chunk with a sign": `${chunked}+5\r\nhello\r\n`,
  "a chunk with a blank before its size": `${chunked} 5\r\nhello\r\n`,
  "a chunk that is too large": `${chunked}123456789\r\n`,
  "a chunk that is longer than it says": `${chunked}4\r\nhello\r\n0\r\n\r\n`,
  "a chunk size that ends in a line feed": `${chunked}5\nhello\r\n0\r\n\r\n`,
  "a chunk that ends in a line feed": `${chunked}5\r\nhello\n0\r\n\r\n`,
  "a carriage return alone after a size": `${chunked}5\rhello\r\n`,
  "a control character in an extension": `${chunked}5;a\x01\r\nhello\r\n`,
};

for (const [name, text] of Object.entries(refused)) {
  test(`${name}: refused wherever it is cut`, () => {
    for (const pieces of everyCut(text)) assert.throws(() => read(pieces), ProtocolError);
  });
}

test("heads, extensions and trailers have a bound", () => {
  const endless: [string, string][] = [
    [head, "x: yyyyyyyyyyyyyyyy\r\n"],
    [`${chunked}5;`, "aaaaaaaaaaaaaaaa"],
    [`${chunked}0\r\n`, "x: yyyyyyyyyyyyyyyy\r\n"],
  ];
  for (const [start, more] of endless) {
    const pieces = [bytes(start), ...Array.from({ length: 4096 }, () => bytes(more))];
    assert.throws(() => read(pieces), ProtocolError);
  }
});

test("bytes after an answer are not taken for the next one", () => {
  const found = read([bytes(`${head}content-length: 2\r\n\r\nhi${head}content-length: 3\r\n\r\nbad`)]);
  assert.deepEqual([found.body, found.kept], ["hi", false]);
  const parser = createAnswerParser({ onHead: () => {}, onData: () => {}, onEnd: () => {} });
  assert.throws(() => parser.push(bytes(head)), ProtocolError);
});

test("one connection, one answer after the other", () => {
  const bodies: string[] = [];
  let body = "";
  const parser = createAnswerParser({
    onHead: () => {
      body = "";
    },
    onData: (chunk) => {
      body += chunk.toString("latin1");
    },
    onEnd: () => {
      bodies.push(body);
    },
  });
  for (let round = 0; round < 3; round += 1) {
    for (const { text } of Object.values(whole)) {
      parser.expect();
      parser.push(bytes(text));
    }
  }
  const wanted = Object.values(whole).map((one) => one.body);
  assert.deepEqual(bodies, [...wanted, ...wanted, ...wanted]);
});

test("who stops in the middle is told nothing more", () => {
  const seen: string[] = [];
  const parser = createAnswerParser({
    onHead: () => seen.push("head"),
    onData: (chunk) => {
      seen.push(chunk.toString());
      parser.stop();
    },
    onEnd: () => seen.push("end"),
  });
  parser.expect();
  parser.push(bytes(`${chunked}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n`));
  parser.push(bytes("more"));
  assert.equal(parser.end(), true);
  assert.deepEqual(seen, ["head", "hello"]);
});
