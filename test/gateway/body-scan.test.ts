// What is read from the bytes must be what parsing all of them would give.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBody, readModelRequest } from "../../gateway/models/body.ts";
import { scanTop } from "../../gateway/models/body-scan.ts";
import { findLinks, mayHoldLinks } from "../../gateway/models/linked/find.ts";
import { randomFrom } from "../support/random.ts";

function scan(text: string): { model: unknown; stream: boolean } | undefined {
  const found = scanTop(Buffer.from(text));
  return found && { model: found.model, stream: found.stream };
}

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
  const random = randomFrom(11);
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

const wordsOf = (body: object) => scanTop(Buffer.from(JSON.stringify(body)))?.words;

test("names of links are seen wherever they stand and however they are written, and other words are none", () => {
  const part = (content: unknown) => ({ model: "a", messages: [{ role: "user", content: [content] }] });
  for (const content of [
    { type: "image_url", image_url: { url: "https://a/b.png" } },
    { type: "input_image", image_url: "https://a/b.png" },
    { type: "input_file", file_url: "https://a/b.pdf" },
    { type: "document", source: { type: "url", url: "https://a/b.pdf" } },
    { type: "image", source: { type: "url", url: "https://a/b.png" } },
  ]) {
    assert.equal(wordsOf(part(content))?.mayHoldLinks, true, JSON.stringify(content));
    // As JSON's readers see them, with one letter or all of them as escapes.
    const text = JSON.stringify(part(content));
    const asEscape = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
    for (const name of ["image_url", "input_image", "file_url", "document", "image"]) {
      for (let at = 0; at < name.length; at += 1) {
        const written = name.slice(0, at) + asEscape(name[at] ?? "") + name.slice(at + 1);
        const all = [...name].map(asEscape).join("");
        for (const other of [written, all, all.toUpperCase().replaceAll("U", "u")]) {
          const body = Buffer.from(text.replaceAll(`"${name}"`, `"${other}"`));
          assert.equal(scanTop(body)?.words.mayHoldLinks, true, body.toString());
        }
      }
    }
  }
  for (const text of ["an image", "input", "images", "file", "documents", "\u00e9t\u00e9", "data", "a data:"]) {
    const found = wordsOf(part({ type: "text", text }));
    assert.deepEqual([found?.mayHoldLinks, found?.mayHoldData], [text === "images", false], text);
  }
});

test("who has no links by the words has none", () => {
  const random = randomFrom(5);
  const words = [
    "image_url",
    "file_url",
    "url",
    "source",
    "type",
    "image",
    "document",
    "input_image",
    "text",
    "https://a/b",
    "é",
  ];
  const word = (): string => words[random(words.length)] ?? "";
  const value = (depth: number): unknown => {
    if (depth > 4 || random(3) === 0) return word();
    if (random(3) === 0) return Array.from({ length: random(3) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: random(4) }, () => [word(), value(depth + 1)]));
  };
  let [with_, without] = [0, 0];
  for (let round = 0; round < 4000; round += 1) {
    const object = { messages: [value(0), value(1)] };
    const plain = JSON.stringify(object);
    const text = plain.replace(/[a-z]/g, (letter) => (random(40) === 0 ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter));
    const found = scanTop(Buffer.from(text));
    // A name at the top that is written with escapes.
    if (found === undefined) continue;
    if (found.words.mayHoldLinks) with_ += 1;
    else {
      without += 1;
      assert.deepEqual([findLinks(JSON.parse(text)), mayHoldLinks(Buffer.from(plain))], [[], false], text);
    }
  }
  assert.ok(with_ > 300 && without > 300, `${with_} ${without}`);
});

test("the length of an answer, and data in addresses", () => {
  const limit = (body: object) => wordsOf(body)?.outputLimit;
  assert.equal(limit({ model: "a" }), undefined);
  assert.equal(limit({ max_output_tokens: 7 }), 7);
  assert.equal(limit({ max_tokens: 5, max_completion_tokens: 6, max_output_tokens: 7 }), 5);
  assert.equal(limit({ max_output_tokens: 7, max_completion_tokens: 6 }), 6);
  assert.equal(limit({ max_completion_tokens: 6, max_tokens: null }), 6);
  assert.equal(limit({ metadata: { max_tokens: 3 } }), undefined);
  assert.equal(wordsOf({ messages: [{ content: "data:image/png;base64,AAAA" }] })?.mayHoldData, true);
});

test("what is wrong inside a long text is said by whoever reads it", () => {
  const text = `{"model":"a","messages":[{"role":"user","content":"${long}\\x"}]}`;
  const body = Buffer.from(text);
  assert.equal(readModelRequest(body).model, "a");
  assert.throws(() => parseBody(body), /The body is not JSON/);
});
