// Answers in memory: bounded by bytes and number, the unused go first, nothing is older than its time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "../../../gateway/models/cache/answers.ts";
import { createMemoryAnswers } from "../../../gateway/models/cache/memory.ts";

function setUp() {
  const shown = new Map<string, number>();
  const gauge = (name: string) => ({
    add: (amount = 1, ...labels: readonly string[]) => {
      const at = [name, ...labels.slice(1)].join(" ");
      shown.set(at, (shown.get(at) ?? 0) + amount);
    },
    set: (value: number) => {
      shown.set(name, value);
    },
  });
  const clock = { now: 1_000_000 };
  const figures = { bytes: gauge("bytes"), entries: gauge("entries"), evictions: gauge("gone") };
  const store = createMemoryAnswers("test", figures, () => clock.now);
  const answer = (bytes: number): Answer => ({
    contentType: "application/json",
    body: Buffer.alloc(bytes),
    provider: "p",
    model: "m",
    usage: undefined,
    storedAt: clock.now,
  });
  return { store, shown, clock, answer };
}

const bounds = { ttlSeconds: 10, maxBytes: 10_000, maxEntries: 100 };

test("the one unused for longest goes when there is no room for bytes", () => {
  const { store, shown, answer } = setUp();
  for (const key of ["a", "b", "c"]) store.set(key, answer(2500), bounds);
  store.get("a", bounds);
  store.set("d", answer(2500), bounds);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => store.get(key, bounds) !== undefined),
    [true, false, true, true],
  );
  assert.equal(shown.get("gone full"), 1);
  assert.equal(shown.get("entries"), 3);
  assert.ok((shown.get("bytes") ?? 0) <= bounds.maxBytes);
});

test("nothing that is larger than all the room pushes the others out", () => {
  const { store, answer } = setUp();
  store.set("a", answer(100), bounds);
  store.set("huge", answer(20_000), bounds);
  assert.ok(store.get("a", bounds));
  assert.equal(store.get("huge", bounds), undefined);
});

test("bounded by number, replaced in place, gone after its time, emptied at once", () => {
  const { store, shown, clock, answer } = setUp();
  for (let key = 0; key < 500; key += 1) store.set(String(key), answer(1), { ...bounds, maxBytes: 1e9 });
  assert.equal(shown.get("entries"), 100);
  for (let time = 0; time < 5; time += 1) store.set("499", answer(time), bounds);
  assert.equal(shown.get("entries"), 19, "512 bytes are counted for each");
  clock.now += 9_999;
  assert.ok(store.get("499", bounds));
  clock.now += 1;
  assert.equal(store.get("499", bounds), undefined);
  assert.equal(shown.get("gone expired"), 1);
  store.clear();
  assert.deepEqual([shown.get("entries"), shown.get("bytes")], [0, 0]);
});
