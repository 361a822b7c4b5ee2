// What is read from the bytes must be what parsing all of them would give.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBody, readModelRequest } from "../../gateway/models/body.ts";
import { scanTop } from "../../gateway/models/body-scan.ts";

const scan = (text: string) => scanTop(Buffer.from(text));
const long = "a long text without end, ".repeat(200);

function parsed(text: string): { model: unknown; stream: boolean } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return { model: Reflect.get(value, "model"), stream: Reflect.get(value, "stream") === true };
  } catch {
    return undefined;
  }
}

test("requests as they are", () => {
  const messages = [
    { role: "user", content: [{ type: "text", text: `${long}"quoted"\\\n` }] },
    { role: "tool", content: "{}" },
  ];
  const body = { model: "a/b", messages, temperature: -0.5e-3, n: 1, stop: null, tools: [], metadata: {}, logprobs: true };
  assert.deepEqual(scan(JSON.stringify(body)), { model: "a/b", stream: false });
  assert.deepEqual(scan(JSON.stringify({ ...body, stream: true }, null, 2)), { model: "a/b", stream: true });
  assert.deepEqual(scan(` \r\n\t${JSON.stringify({ messages, stream: false })} \n`), { model: undefined, stream: false });
  assert.deepEqual(scan(JSON.stringify({ x: { model: "inner", stream: true }, y: ["model"], model: "é🦀" })), {
    model: "é🦀",
    stream: false,
  });
  assert.deepEqual(scan("{}"), { model: undefined, stream: false });
});

for (const text of [
  '{"model":"a","model":"b"}',
  '{"stream":true,"stream":false}',
  '{"Model":"a"}',
  '{"model":"a","MODEL":"b"}',
  '{"mod\\u0065l":"a"}',
  '{"str\\u0065am":true}',
  '{"model":"a\\u0062"}',
  '{"model":null}',
  '{"model":""}',
  '{"model":7}',
  '{"stream":"true"}',
  '{"stream":null}',
  "[]",
  '"text"',
  "",
  "{",
  "{}}",
  "{,}",
  '{"a":1,}',
  '{"a":[1,]}',
  '{"a":[,]}',
  '{"a" 1}',
  '{"a":}',
  '{"a":tru}',
  '{"a":nullx}',
  '{"a":01}',
  '{"a":+1}',
  '{"a":.5}',
  '{"a":1.}',
  '{"a":1e}',
  '{"a":-}',
  '{"a":NaN}',
  '{"a":"b}',
  "{a:1}",
  "{'a':1}",
  '{"a":[}',
  '{"a":{]}',
  '{"a":"line\nbreak"}',
  `{"a":${"[".repeat(70)}${"]".repeat(70)}}`,
  '\ufeff{"a":1}',
  '{"a":1}\u00a0',
])
  test(`needs a closer look: ${text.slice(0, 30)}`, () => assert.equal(scan(text), undefined));

test("a text that is full of quotes is JSON.parse's", () => {
  const text = JSON.stringify({ model: "a", x: '"'.repeat(500) });
  assert.equal(scan(text), undefined);
  assert.equal(readModelRequest(Buffer.from(text.padEnd(4000))).model, "a");
});

test("random objects, whole and with one letter changed", () => {
  let seed = 11;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const words = [
    "model",
    "stream",
    '"',
    "\\",
    "}",
    "{",
    ",",
    ":",
    "é",
    "x",
    "a longer one that is not walked through to its end, but sought",
  ];
  const word = (): string => words[random(words.length)] ?? "";
  const value = (depth: number): unknown => {
    const kind = random(depth > 3 ? 4 : 7);
    if (kind === 0) return random(1000) / 7 - 50;
    if (kind === 1) return [true, false, null][random(3)];
    if (kind < 4) return Array.from({ length: random(4) }, word).join("");
    if (kind === 4) return Array.from({ length: random(4) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: random(4) }, () => [word(), value(depth + 1)]));
  };
  const changes = ['"', "\\", "{", "}", "[", "]", ",", ":", "0", "e", "-", ".", " ", "x", "\n"];
  let agreed = 0;
  for (let round = 0; round < 4000; round += 1) {
    const members = Object.fromEntries(Array.from({ length: random(5) }, (_, at) => [`k${at}${word()}`, value(0)]));
    const object = {
      ...members,
      ...(random(4) > 0 ? { model: "name" } : {}),
      ...(random(2) > 0 ? { stream: random(2) === 1 } : {}),
    };
    const text = random(2) === 0 ? JSON.stringify(object) : JSON.stringify(object, null, 1);
    const whole = scan(text);
    if (whole !== undefined) {
      agreed += 1;
      assert.deepEqual(whole, parsed(text), text);
    }
    const at = random(text.length);
    const changed = text.slice(0, at) + changes[random(changes.length)] + text.slice(at + random(2));
    const found = scan(changed);
    if (found === undefined) continue;
    const known = parsed(changed);
    if (known !== undefined) assert.deepEqual(found, known, changed);
    // Only the inside of a text may be wrong.
    else assert.doesNotThrow(() => JSON.parse(changed.replace(/"(?:[^"\\]|\\.)*"/gs, '""')), changed);
  }
  assert.ok(agreed > 2000, `${agreed}`);
});

test("what is wrong inside a long text is said by whoever reads it", () => {
  const text = `{"model":"a","messages":[{"role":"user","content":"${long}\\x"}]}`;
  const body = Buffer.from(text);
  assert.equal(readModelRequest(body).model, "a");
  assert.throws(() => parseBody(body), /The body is not JSON/);
});
