// Who goes next of those that wait: evenly between tokens, by weight between priorities, and nobody overtakes in a lane.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Priority } from "../../../gateway/config/admission.ts";
import { createFairQueue, type Waiting } from "../../../gateway/models/admission/fair-queue.ts";

const weights = { interactive: 16, normal: 4, batch: 1 };

/** A queue before upstreams with so many free places by lane; `went` is the order in which they went. */
function setUp(places: Record<string, number> = { lane: 0 }) {
  const queue = createFairQueue((priority) => weights[priority]);
  const went: string[] = [];
  const add = (caller: string, priority: Priority = "normal", lane = "lane"): Waiting => {
    const waiting: Waiting = {
      caller,
      priority,
      lane,
      takePlace() {
        // A lane "x y" may use the places of both.
        const free = lane.split(" ").find((name) => (places[name] ?? 0) > 0);
        if (free === undefined) return false;
        places[free] = (places[free] ?? 0) - 1;
        return true;
      },
      go: () => went.push(caller),
    };
    queue.push(waiting);
    return waiting;
  };
  const free = (count: number, lane = "lane"): void => {
    places[lane] = (places[lane] ?? 0) + count;
    queue.pump();
  };
  return { queue, went, add, free };
}

test("a token with 100 waiting requests delays another's first by one place", () => {
  const { went, add, free } = setUp();
  for (let index = 0; index < 100; index += 1) add("busy");
  free(10);
  add("other");
  free(2);
  assert.ok(went.slice(10).includes("other"), "it is among the next two");
});

test("tokens that wait get every place in turn, whatever they have waiting", () => {
  const { went, add, free } = setUp();
  for (let index = 0; index < 30; index += 1) add("a");
  for (let index = 0; index < 10; index += 1) add("b");
  for (let index = 0; index < 10; index += 1) add("c");
  free(30);
  const count = (caller: string): number => went.filter((one) => one === caller).length;
  assert.deepEqual([count("a"), count("b"), count("c")], [10, 10, 10]);
  free(20);
  assert.equal(count("a"), 30, "who is left alone gets all");
});

test("one that was away gets no more than its share when it is back", () => {
  const { went, add, free } = setUp();
  for (let index = 0; index < 50; index += 1) add("steady");
  free(30);
  for (let index = 0; index < 10; index += 1) add("back");
  free(10);
  const of = went.slice(30).filter((one) => one === "back").length;
  assert.ok(of >= 5 && of <= 6, `${of} of 10`);
});

test("priorities share by weight, and the lowest is never starved", () => {
  const { went, add, free } = setUp();
  for (let index = 0; index < 200; index += 1) {
    add("i", "interactive");
    add("n", "normal");
    add("b", "batch");
  }
  free(105);
  const count = (caller: string): number => went.filter((one) => one === caller).length;
  assert.ok(Math.abs(count("i") - 80) <= 1 && Math.abs(count("n") - 20) <= 1 && Math.abs(count("b") - 5) <= 1, went.join(""));
});

test("an interactive request that comes while only batch is served goes next", () => {
  const { went, add, free } = setUp();
  for (let index = 0; index < 50; index += 1) add("b", "batch");
  free(20);
  add("i", "interactive");
  free(2);
  assert.ok(went.slice(20).includes("i"));
});

test("what leaves does not go, and frees the way for those behind it", () => {
  const { queue, went, add, free } = setUp();
  const first = add("a");
  add("b");
  assert.equal(queue.remove(first), true);
  assert.equal(queue.remove(first), false);
  free(2);
  assert.deepEqual(went, ["b"]);
  assert.equal(queue.length, 0);
});

test("a lane that has no place does not hold up the others, and one that may use both gets its share", () => {
  const { went, add, free } = setUp({ x: 0, y: 0 });
  for (let index = 0; index < 5; index += 1) add("only-x", "normal", "x");
  for (let index = 0; index < 5; index += 1) add("both", "normal", "x y");
  free(3, "y");
  assert.deepEqual(went, ["both", "both", "both"]);
  free(4, "x");
  assert.ok(went.slice(3).filter((one) => one === "only-x").length >= 2, went.join());
});

test("how many are ahead: of the own token all, of others at most as many and one", () => {
  const { queue, add } = setUp();
  for (let index = 0; index < 100; index += 1) add("busy");
  add("one");
  assert.equal(queue.ahead("lane", "new", "normal"), 2);
  assert.equal(queue.ahead("lane", "busy", "normal"), 101);
  assert.equal(queue.ahead("lane", "new", "interactive"), 0.25, "of the four times smaller share of the others");
  assert.equal(queue.ahead("lane", "new", "batch"), 4);
});

test("a request that fails as it goes, and so frees its place at once, does not confuse the order", () => {
  const queue = createFairQueue(() => 1);
  const went: string[] = [];
  let places = 0;
  const add = (caller: string): void =>
    queue.push({
      caller,
      priority: "normal",
      lane: "lane",
      takePlace() {
        if (places === 0) return false;
        places -= 1;
        return true;
      },
      go() {
        went.push(caller);
        places += 1;
        queue.pump();
      },
    });
  for (const caller of ["a", "b", "c"]) add(caller);
  places = 1;
  queue.pump();
  assert.deepEqual(went, ["a", "b", "c"]);
});
