// The head of an answer: read the same whether its lines were seen before or not, and as the plain way of reading says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLines, readHead } from "../../../gateway/models/http1/answer-head.ts";
import { randomFrom } from "../../support/random.ts";

/** Slow and plain: the lines one after the other, by RFC 9112. */
function plainly(text: string): unknown {
  const [statusLine = "", ...lines] = text.slice(0, -2).split("\r\n");
  if (lines.length > 255) return "refused";
  if (!/^HTTP\/1\.[01] [1-5]\d\d($| )/.test(statusLine) || /[\0-\x08\x0a-\x1f\x7f]/.test(statusLine)) return "refused";
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [, name = "", value = ""] =
      /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0-\x08\x0a-\x1f\x7f]*?)[ \t]*$/.exec(line) ?? [];
    if (name === "") return "refused";
    const key = name.toLowerCase();
    if (headers[key] !== undefined && /^(content-length|transfer-encoding)$/.test(key)) return "refused";
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  const status = Number(statusLine.slice(9, 12));
  const isOld = statusLine[7] === "0";
  const { "content-length": length, "transfer-encoding": encoding, connection } = headers;
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return "refused";
  if (encoding !== undefined && (length !== undefined || isOld || !/^chunked$/i.test(encoding))) return "refused";
  const hasNone = status < 200 || status === 204 || status === 304;
  const body = hasNone ? 0 : encoding ? "chunked" : length === undefined ? "close" : Number(length);
  return { status, headers: { ...headers }, body, keepAlive: !isOld && !/\bclose\b/i.test(connection ?? "") };
}

function read(text: string, known = noLines()): unknown {
  try {
    const head = readHead(text, known);
    return { ...head, headers: { ...head.headers } };
  } catch (error) {
    assert.equal(error instanceof Error && Reflect.get(error, "code"), "HTTP_MALFORMED");
    return "refused";
  }
}

const random = randomFrom(11);
const one = (of: readonly string[]): string => of[random(of.length)] ?? "";

const statuses = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200",
  "HTTP/1.1 204 No Content",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 503 Busy",
  "HTTP/2 200",
  "HTTP/1.1 20",
  "HTTP/1.1 600 X",
];
const lines = [
  "content-type: application/json",
  "Content-Type:application/json",
  "content-length: 12",
  "Content-Length: 12x",
  "content-length:",
  "transfer-encoding: chunked",
  "Transfer-Encoding: gzip",
  "connection: keep-alive",
  "Connection: Close",
  "keep-alive: timeout=5",
  "date: Sat, 21 Nov 2026 19:49:35 GMT",
  "x-a:  \t two words \t",
  "x-a:",
  "__proto__: x",
  "constructor: y",
  " folded: z",
  "no colon",
  "bad name: x",
  ": x",
  "x-b: caf\u00e9",
  "x-\u00e9: v",
];

function generated(): string {
  let text = `${random(4) === 0 ? one(statuses) : "HTTP/1.1 200 OK"}\r\n`;
  const most = random(3) === 0 ? lines.length : 10;
  for (let count = random(7); count > 0; count -= 1) text += `${lines[random(most)]}\r\n`;
  if (random(4) > 0) return text;
  const at = random(text.length - 2);
  const put = one(["", "\r", "\n", "\0", "\x7f", "\t", " ", ":", "\x0b", "\u0080", "a"]);
  return text.slice(0, at) + put + text.slice(at + random(2));
}

test("heads are read as the plain way reads them, also after others on the same connection", () => {
  const known = noLines();
  const outcomes = { read: 0, refused: 0 };
  for (let round = 0; round < 20_000; round += 1) {
    const text = generated();
    // What was cut out may be the end of the last line, which the parser never gives.
    if (!text.endsWith("\r\n")) continue;
    const expected = plainly(text);
    outcomes[expected === "refused" ? "refused" : "read"] += 1;
    assert.deepEqual(read(text), expected, JSON.stringify(text));
    assert.deepEqual(read(text, known), expected, JSON.stringify(text));
  }
  assert.ok(outcomes.read > 2000 && outcomes.refused > 2000, JSON.stringify(outcomes));
});

test("as many lines as there may be, and one more", () => {
  const of = (count: number): string => `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(count)}`;
  assert.notEqual(read(of(255)), "refused");
  assert.equal(read(of(256)), "refused");
});

test("a line that begins like the one before is not taken for it", () => {
  const known = noLines();
  const head = (line: string): string => `HTTP/1.1 200 OK\r\n${line}\r\nx-z: 1\r\n`;
  for (const line of ["x-a: 1", "x-a: 12", "x-a: 1", "x-ab: 1", "x-a:", "X-A: 1"]) {
    assert.deepEqual(read(head(line), known), plainly(head(line)));
  }
});
