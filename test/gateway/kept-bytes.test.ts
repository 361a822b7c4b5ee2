// What is kept is what came, however it came.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KeptBytes } from "../../gateway/models/kept-bytes.ts";
import { Tail } from "../../gateway/models/usage.ts";
import { randomFrom } from "../support/random.ts";

describe("bytes that are kept", () => {
  test("pieces that lie side by side are not copied, others are", () => {
    const memory = Buffer.allocUnsafeSlow(100).fill("a");
    const kept = new KeptBytes();
    for (const [from, to] of [
      [10, 20],
      [20, 21],
      [21, 60],
    ] as const)
      kept.push(memory.subarray(from, to));
    assert.equal(kept.bytes.buffer, memory.buffer);
    assert.equal(kept.length, 50);
    kept.push(memory.subarray(70, 75));
    assert.notEqual(kept.bytes.buffer, memory.buffer);
    memory.fill("b");
    assert.equal(kept.bytes.toString(), "a".repeat(55));
  });

  test("random pieces, the last of them, and nothing", () => {
    const random = randomFrom(3);
    for (let round = 0; round < 300; round += 1) {
      const kept = new KeptBytes();
      let all = Buffer.alloc(0);
      for (let step = random(40); step > 0; step -= 1) {
        const piece = Buffer.alloc(random(random(10) === 0 ? 5000 : 200), String.fromCharCode(97 + random(26)));
        kept.push(piece);
        all = Buffer.concat([all, piece]);
        if (random(8) === 0) {
          const count = random(all.length + 10);
          kept.keepLast(count);
          all = all.subarray(Math.max(0, all.length - count));
        } else if (random(20) === 0) {
          kept.clear();
          all = Buffer.alloc(0);
        }
        assert.equal(kept.length, all.length);
        assert.ok(kept.bytes.equals(all));
      }
    }
  });

  test("the tail of an answer is its last four kilobytes", () => {
    const text = Array.from({ length: 3000 }, (_, at) => `${at},`).join("");
    for (const size of [1, 7, 100, 4000, 4096, 4097, 10_000, text.length]) {
      const tail = new Tail();
      for (let at = 0; at < text.length; at += size) tail.push(Buffer.from(text.slice(at, at + size)));
      const last = tail.text();
      assert.ok(text.endsWith(last), `${size}`);
      assert.equal(last.length, 4096, `${size}`);
    }
  });
});
