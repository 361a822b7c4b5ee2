// Counts of tokens found in bytes: the same as in the text, wherever they stand and however the bytes are cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { guessUsage } from "../../gateway/models/admission/guess-tokens.ts";
import { countTokens } from "../../gateway/models/token-count.ts";
import { readUsage, Tail } from "../../gateway/models/usage.ts";
import { randomFrom } from "../support/random.ts";

const random = randomFrom(5);
const one = (of: readonly string[]): string => of[random(of.length)] ?? "";

const counts = [
  "prompt",
  "completion",
  "input",
  "output",
  "cache_read_input",
  "cache_creation_input",
  "cached",
  "max",
  "max_completion",
  "max_output",
];
const piece = (): string => {
  const kind = random(4);
  if (kind === 0)
    return `${one(['"', "", '\\"'])}${one(counts)}_tokens"${one([":", " : ", ""])}${one([" ", "\n", "", "x"])}${random(3000)}`;
  if (kind === 1) return one(['_tokens"', "_tokens", '"usage":{', "}", ",", '"']);
  return "word ".repeat(random(random(5) === 0 ? 1500 : 20));
};
const text = (): string => Array.from({ length: 1 + random(12) }, piece).join(one(["", ",", " "]));

test("usage is read from the bytes as it is from the text of the tail", () => {
  let found = 0;
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Buffer.from(text());
    const tail = new Tail(one(["", "head"]) === "" ? 0 : 64);
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + random(bytes.length);
      tail.push(bytes.subarray(at, end));
      at = end;
    }
    const expected = readUsage(tail.text());
    if (expected) found += 1;
    assert.deepEqual(tail.usage(), expected);
  }
  assert.ok(found > 100, `${found}`);
  assert.equal(new Tail().usage(), undefined);
});

test("the limit of an answer is the one that the plain way finds", () => {
  const plainly = (body: string): number => {
    for (const name of ['"max_tokens"', '"max_completion_tokens"', '"max_output_tokens"']) {
      const at = body.indexOf(name);
      const found = at === -1 ? null : /^\s*:\s*(\d{1,9})/.exec(body.slice(at + name.length, at + name.length + 16));
      if (found?.[1]) return Number(found[1]);
    }
    return 500;
  };
  let found = 0;
  for (let round = 0; round < 3000; round += 1) {
    const body = `{${text()}}`;
    const expected = plainly(body);
    if (expected !== 500) found += 1;
    assert.equal(guessUsage(Buffer.from(body)).output, expected, body);
  }
  assert.ok(found > 300, `${found}`);
});

test("tokens are counted as the runs of one sort of characters say", () => {
  const runs = /[A-Za-z']+|[0-9]+|[\t-\r ]+|[\u2e80-\ufdff]|[^\0-\u00bf\u2e80-\ufdff]+|[^A-Za-z'0-9\t-\r \u00c0-\uffff]+/g;
  const tokensOf = (run: string): number => {
    if (/^[A-Za-z']/.test(run)) return run.length <= 9 ? 1 : 1 + Math.ceil((run.length - 9) / 5);
    if (/^[\t-\r ]/.test(run)) return run.length > 1 ? 1 : 0;
    if (/^[\u2e80-\ufdff]/.test(run)) return 1;
    return Math.ceil(run.length / (/^[0-9]|^[^\0-\u00bf]/.test(run) ? 3 : 2));
  };
  const parts = [
    "word",
    "x".repeat(14),
    " ",
    "  ",
    "\n",
    "12",
    "1234567",
    ".",
    "!!!",
    "é",
    "Ж",
    "日",
    "\ufe10",
    "\0",
    "'",
    "😀",
    "¿",
  ];
  for (let round = 0; round < 3000; round += 1) {
    const sample = Array.from({ length: random(20) }, () => one(parts)).join("");
    const expected = (sample.match(runs) ?? []).reduce((sum, run) => sum + tokensOf(run), 0);
    assert.equal(countTokens(sample), expected, JSON.stringify(sample));
  }
});
