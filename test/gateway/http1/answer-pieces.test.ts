/** Pieces of an answer are copies, and lie side by side where its length is known. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { AnswerPieces, joined } from "../../../gateway/models/http1/answer-pieces.ts";

function taken(pieces: AnswerPieces, bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const reader = Buffer.alloc(bytes.length);
  let at = 0;
  return sizes.map((size) => {
    bytes.copy(reader, 0, at, at + size);
    at += size;
    const copy = pieces.copy(reader.subarray(0, size));
    // The reader's next bytes.
    reader.fill(0xff);
    return copy;
  });
}

test("one after the other: joined without a copy", () => {
  const pieces = new AnswerPieces();
  for (const sizes of [[60_000, 5_000, 536], [20_000, 45_536], [65_536], [40_000, 1, 1, 25_534]]) {
    const bytes = randomBytes(65_536);
    pieces.expect(bytes.length);
    const [first, ...more] = taken(pieces, bytes, sizes);
    assert.ok(first);
    const whole = joined(first, more, bytes.length);
    assert.ok(whole.equals(bytes));
    assert.equal(whole.buffer, first.buffer);
  }
});

test("a length alone takes no memory, and one that is not known or not kept is none", () => {
  const pieces = new AnswerPieces();
  for (const length of [Number.NaN, 1_000_000, 2_000_000_000]) {
    pieces.expect(length);
    const bytes = randomBytes(20_000);
    const [first, ...more] = taken(pieces, bytes, [10_000, 10_000]);
    assert.ok(first);
    assert.ok(first.buffer.byteLength < 100_000);
    assert.ok(joined(first, more, bytes.length).equals(bytes));
  }
});

test("more than was said stays apart", () => {
  const pieces = new AnswerPieces();
  pieces.expect(1000);
  const bytes = randomBytes(1500);
  const [first, ...more] = taken(pieces, bytes, [600, 900]);
  assert.ok(first);
  assert.ok(joined(first, more, bytes.length).equals(bytes));
});

test("answers one after the other do not share", () => {
  const pieces = new AnswerPieces();
  const [one, two] = [randomBytes(30_000), randomBytes(30_000)];
  pieces.expect(30_000);
  const first = taken(pieces, one, [20_000]);
  pieces.expect(30_000);
  const second = taken(pieces, two, [20_000, 10_000]);
  assert.ok(first[0]?.equals(one.subarray(0, 20_000)));
  assert.ok(Buffer.concat(second).equals(two));
});
