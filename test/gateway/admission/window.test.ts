// A quota in a sliding span is never exceeded at the provider, however late requests arrive there, and is used to the full.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createWindow, type WindowLimits } from "../../../gateway/models/admission/window.ts";
import { manualClock } from "../../support/manual-clock.ts";

const minute = 60_000;

function setUp(limits: Partial<WindowLimits>, guardMs = 2000) {
  const clock = manualClock();
  const window = createWindow({
    windowMs: minute,
    guardMs,
    limits: { requests: undefined, tokens: undefined, ...limits },
    now: clock.now,
  });
  return { clock, window };
}

/** The largest number of arrivals in any span of a minute, as the provider would count them. */
function most(arrivals: readonly number[]): number {
  const times = [...arrivals].sort((a, b) => a - b);
  let from = 0;
  let found = 0;
  for (const [to, time] of times.entries()) {
    while (time - (times[from] ?? 0) >= minute) from += 1;
    found = Math.max(found, to - from + 1);
  }
  return found;
}

test("a burst, then one for each that leaves the span: never more than bought in any minute at the provider", () => {
  const { clock, window } = setUp({ requests: 60 });
  // Always the same numbers, spread like random ones: up to 1.5 s on the way.
  let seed = 7;
  const delay = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return (seed / 2 ** 31) * 1500;
  };
  const arrivals: number[] = [];
  const answers: { at: number; arrived: () => void }[] = [];
  while (clock.now() < 10 * minute) {
    for (const answer of answers.splice(0)) {
      if (answer.at <= clock.now()) answer.arrived();
      else answers.push(answer);
    }
    while (window.waitMs(0) === 0) {
      const use = window.use(0);
      const at = clock.now() + delay();
      arrivals.push(at);
      // The answer's head is here a while after the request was there.
      answers.push({ at: at + delay(), arrived: () => use.arrived() });
    }
    clock.advance(50);
  }
  assert.ok(most(arrivals) <= 60, `${most(arrivals)} in one minute`);
  assert.ok(arrivals.length >= 560, `${arrivals.length} in ten minutes: what was bought is used`);
});

test("an answer that takes long keeps its place no longer than the guard says", () => {
  const { clock, window } = setUp({ requests: 1 });
  window.use(0);
  assert.equal(window.waitMs(0), minute + 2000);
  clock.advance(minute + 2000);
  assert.equal(window.waitMs(0), 0);
});

test("tokens count as guessed until they are known", () => {
  const { clock, window } = setUp({ tokens: 1000 }, 0);
  const first = window.use(800);
  assert.equal(window.waitMs(300), minute);
  assert.equal(window.waitMs(200), 0);
  first.settle(500);
  assert.equal(window.waitMs(300), 0);
  const second = window.use(300);
  second.settle(700);
  assert.equal(window.waitMs(100), minute, "more than guessed counts too");
  clock.advance(minute);
  assert.equal(window.waitMs(1000), 0);
  assert.equal(window.left(), 1);
});

test("a settlement after the span changes nothing", () => {
  const { clock, window } = setUp({ tokens: 1000 }, 0);
  const use = window.use(800);
  clock.advance(minute);
  assert.equal(window.waitMs(1000), 0);
  use.settle(5);
  use.arrived();
  assert.equal(window.left(), 1);
});

test("one that was never sent does not count; one larger than everything goes alone", () => {
  const { window } = setUp({ requests: 1, tokens: 100 }, 0);
  window.use(50).cancel();
  assert.equal(window.waitMs(5000), 0);
  window.use(5000);
  assert.equal(window.waitMs(1), minute);
});

test("until the last of several: each span takes as many as were bought", () => {
  const { clock, window } = setUp({ requests: 10 }, 0);
  for (let index = 0; index < 10; index += 1) {
    window.use(0).arrived();
    clock.advance(1000);
  }
  assert.equal(window.waitForMs(1, 0), 50_000);
  assert.equal(window.waitForMs(10, 0), 59_000);
  assert.equal(window.waitForMs(11, 0), 110_000);
});

test("one that hangs does not keep those after it from ending", () => {
  const { clock, window } = setUp({ requests: 2 }, 30_000);
  window.use(0);
  clock.advance(100);
  const second = window.use(0);
  clock.advance(100);
  second.arrived();
  assert.equal(window.waitMs(0), minute);
  clock.advance(minute);
  assert.equal(window.waitMs(0), 0);
  window.use(0).arrived();
  // The one that hangs counts until the guard is over, and is the first to end.
  assert.equal(window.waitMs(0), 30_000 - 200);
});

test("how long it takes is guessed by when answers usually begin, not by when they may at the latest", () => {
  const { clock, window } = setUp({ requests: 2 }, 30_000);
  const uses = [window.use(0), window.use(0)];
  assert.equal(window.waitForMs(1, 0), minute, "nothing is known yet");
  assert.equal(window.waitMs(0), minute + 30_000, "and nothing is sent before its time");
  clock.advance(200);
  for (const use of uses) use.arrived();
  assert.equal(window.waitForMs(3, 0), 2 * minute);
  clock.advance(minute);
  window.use(0);
  window.use(0);
  assert.equal(window.waitForMs(1, 0), minute + 200);
  clock.advance(5000);
  assert.equal(window.waitForMs(1, 0), minute, "one that is late may still begin at any time");
});
