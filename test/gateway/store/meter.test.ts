// Several processes that spend leases of one authority: never more than the limit together, and few questions.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Allowances, Meter, Rule, Taken } from "../../../gateway/store/allowances.ts";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { createMeter } from "../../../gateway/store/meter.ts";

const minute = (limit: number): Rule => ({ kind: "window", limit, windowMs: 60_000 });

interface Cluster {
  readonly meters: readonly Meter[];
  pass(ms: number): void;
  questions(): number;
  close(): void;
}

/** An authority that is reached by messages, which arrive in order. */
function cluster(size: number, leaseMs = 1000): Cluster {
  let time = 1_800_000_000_000;
  let asked = 0;
  const authority = createLocalAllowances({ now: () => time, leaseMs });
  const remote: Allowances = {
    async lease(request) {
      asked += 1;
      return authority.lease(request);
    },
    settle: (...all) => authority.settle(...all),
    drop: (holder) => authority.drop(holder),
  };
  const meters = Array.from({ length: size }, (_, index) =>
    createMeter(remote, { holder: `worker-${index}`, direct: false, now: () => time }),
  );
  return {
    meters,
    pass(ms) {
      time += ms;
    },
    questions: () => asked,
    close() {
      for (const meter of meters) meter.close();
    },
  };
}

async function using(size: number, run: (all: Cluster) => Promise<void>): Promise<void> {
  const all = cluster(size);
  try {
    await run(all);
  } finally {
    all.close();
  }
}

const worker = (meters: readonly Meter[], index: number): Meter => {
  const meter = meters[index % meters.length];
  if (!meter) throw new Error("no worker");
  return meter;
};

describe("four processes", () => {
  test("share a small limit exactly: three of forty, whoever asks", () =>
    using(4, async ({ meters }) => {
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, index) => worker(meters, index).take("k", 1, minute(3))),
      );
      assert.equal(answers.filter((taken) => taken.ok).length, 3);
      for (const taken of answers.filter(({ ok }) => !ok)) {
        assert.equal(taken.remaining, 0);
        assert.ok(taken.retryAfterMs > 55_000 && taken.retryAfterMs < 63_000, `${taken.retryAfterMs} ms`);
      }
    }));

  test("one process alone may use all of a small limit", () =>
    using(4, async ({ meters }) => {
      const answers: Taken[] = [];
      for (let count = 0; count < 5; count += 1) answers.push(await worker(meters, 1).take("k", 1, minute(3)));
      assert.deepEqual(
        answers.map(({ ok }) => ok),
        [true, true, true, false, false],
      );
    }));

  test("never let more through in any minute, and hardly less over many", () =>
    using(4, async ({ meters, pass }) => {
      const limit = 60;
      const let_in: number[] = [];
      let time = 0;
      for (let round = 0; round < 6000; round += 1) {
        // Uneven load: the first takes half.
        const taken = await worker(meters, round % 2 === 0 ? 0 : round).take("k", 1, minute(limit));
        if (taken.ok) let_in.push(time);
        pass(50);
        time += 50;
      }
      for (const [index, at] of let_in.entries()) {
        const within = let_in.slice(index, index + limit + 1).filter((later) => later < at + 60_000).length;
        assert.ok(within <= limit, `${within} in the minute from ${at} ms`);
      }
      assert.ok(let_in.length >= 0.9 * 5 * limit, `${let_in.length} in five minutes`);
    }));

  test("ask about once a second for what they use much of", () =>
    using(4, async ({ meters, pass, questions }) => {
      const rule = minute(1_000_000);
      let let_in = 0;
      for (let ms = 0; ms < 10_000; ms += 1) {
        for (let index = 0; index < 4; index += 1) if ((await worker(meters, index).take("k", 1, rule)).ok) let_in += 1;
        pass(1);
      }
      assert.equal(let_in, 40_000);
      assert.ok(questions() < 4 * 30, `${questions()} questions for 40,000 requests`);
    }));

  test("a flood of refused requests is not one of questions", () =>
    using(4, async ({ meters, pass, questions }) => {
      for (let ms = 0; ms < 1000; ms += 1) {
        await worker(meters, ms).take("k", 1, minute(3));
        pass(1);
      }
      assert.ok(questions() < 100, `${questions()} questions for 1,000 requests`);
    }));

  test("hold no more at the same time than allowed, and give all of it back", () =>
    using(4, async ({ meters }) => {
      const rule: Rule = { kind: "concurrent", limit: 5 };
      for (let round = 0; round < 20; round += 1) {
        const taken: { index: number; one: Taken }[] = await Promise.all(
          Array.from({ length: 16 }, async (_, index) => ({ index, one: await worker(meters, index).take("c", 1, rule) })),
        );
        const held = taken.filter(({ one }) => one.ok);
        assert.equal(held.length, 5, `round ${round}`);
        for (const { index, one } of held) worker(meters, index).settle("c", -1, rule, one);
        // What was given back is known once the messages under way have arrived.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }));

  test("one that ends while another is asked for is not one too many elsewhere", () =>
    using(2, async ({ meters }) => {
      const rule: Rule = { kind: "concurrent", limit: 2 };
      const [a, b] = [worker(meters, 0), worker(meters, 1)];
      const first = await a.take("c", 1, rule);
      const asked = a.take("c", 1, rule);
      a.settle("c", -1, rule, first);
      assert.equal((await asked).ok, true);
      await new Promise((resolve) => setImmediate(resolve));
      const others = [await b.take("c", 1, rule), await b.take("c", 1, rule)];
      assert.deepEqual(
        others.map(({ ok }) => ok),
        [true, false],
      );
    }));

  test("what was reserved and not used comes back; what was used beyond it is owed", () =>
    using(2, async ({ meters }) => {
      const rule: Rule = { kind: "period", limit: 1000, endsMs: Number.MAX_SAFE_INTEGER };
      const [a, b] = [worker(meters, 0), worker(meters, 1)];
      const first = await a.take("b", 900, rule, 1);
      assert.equal(first.amount, 900);
      a.settle("b", -800, rule, first);
      a.close();
      const second = await b.take("b", 900, rule, 1);
      assert.equal(second.amount, 900);
      b.settle("b", 50, rule, second);
      assert.equal((await b.take("b", 1, rule)).ok, false);
    }));

  test("less is taken rather than nothing where that is asked for", () =>
    using(4, async ({ meters }) => {
      const rule: Rule = { kind: "period", limit: 100, endsMs: Number.MAX_SAFE_INTEGER };
      assert.equal((await worker(meters, 0).take("b", 70, rule, 1)).amount, 70);
      assert.equal((await worker(meters, 1).take("b", 70, rule, 1)).amount, 30);
      assert.equal((await worker(meters, 2).take("b", 70, rule, 1)).ok, false);
    }));
});

test("nobody to ask is a refusal, not a failure, and the next one asks again", async () => {
  const authority = createLocalAllowances({ leaseMs: 1000 });
  let away = true;
  let time = 0;
  const meter = createMeter(
    {
      ...authority,
      lease: async (request) => {
        if (away) throw new Error("gone");
        return authority.lease(request);
      },
    },
    { holder: "a", direct: false, now: () => time },
  );
  assert.equal((await meter.take("k", 1, minute(3))).ok, false);
  away = false;
  time += 200;
  assert.equal((await meter.take("k", 1, minute(3))).ok, true);
  meter.close();
});

test("in one process every answer comes at once and every figure is exact", () => {
  let time = 1_800_000_000_000;
  const meter = createMeter(createLocalAllowances({ now: () => time }), { holder: "a", direct: true, now: () => time });
  const take = (amount: number, rule: Rule): Taken => {
    const taken = meter.take("k", amount, rule);
    if (taken instanceof Promise) throw new Error("it was asked for");
    return taken;
  };
  assert.deepEqual(
    [1, 1, 1, 1].map((amount) => take(amount, minute(3)).remaining),
    [2, 1, 0, 0],
  );
  time += 61_000;
  const taken = take(3, minute(3));
  assert.equal(taken.ok, true);
  meter.settle("k", -2, minute(3), taken);
  assert.equal(take(2, minute(3)).ok, true);
  assert.equal(take(1, minute(3)).ok, false);
  meter.close();
});
