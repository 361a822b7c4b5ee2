// What every authority of allowances must do, whoever counts: run against each implementation.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Allowances, Lease, LeaseRequest, Rule } from "../../gateway/store/allowances.ts";

export interface AllowancesUnderTest {
  readonly allowances: Allowances;
  /** How long its leases may be spent; 0: at once only. */
  readonly leaseMs: number;
  /** Lets this time pass, on the clock that the authority goes by. */
  pass(ms: number): Promise<void> | void;
  close(): Promise<void> | void;
}

/** `open` makes a fresh authority, or one whose keys nobody used before. */
export function allowancesConformance(name: string, open: () => Promise<AllowancesUnderTest> | AllowancesUnderTest): void {
  const minute: Rule = { kind: "window", limit: 3, windowMs: 60_000 };

  async function using(run: (under: AllowancesUnderTest, lease: Asker) => Promise<void>): Promise<void> {
    const under = await open();
    try {
      await run(under, async (rule, need, more = {}) =>
        under.allowances.lease({ holder: "a", key: "k", rule, need, want: need, spare: 0, held: 0, ...more }),
      );
    } finally {
      await under.close();
    }
  }
  type Asker = (rule: Rule, need: number, more?: Partial<LeaseRequest>) => Promise<Lease>;

  describe(name, () => {
    test("a window gives its limit and no more, to all holders together", () =>
      using(async (_, lease) => {
        const grants: number[] = [];
        for (const holder of ["a", "b", "c", "d"]) grants.push((await lease(minute, 1, { holder })).granted);
        assert.deepEqual(grants, [1, 1, 1, 0]);
      }));

    test("a refusal says when it is worth while again, and then it is", () =>
      using(async ({ pass, leaseMs }, lease) => {
        await lease(minute, 2);
        await pass(20_000);
        await lease(minute, 1);
        const { granted, retryAfterMs, remaining } = await lease(minute, 2);
        assert.equal(granted, 0);
        assert.equal(remaining, 0);
        assert.ok(retryAfterMs > 39_000 && retryAfterMs <= 41_500 + leaseMs, `${retryAfterMs} ms`);
        await pass(retryAfterMs);
        assert.equal((await lease(minute, 2)).granted, 2);
        assert.equal((await lease(minute, 1)).granted, 0, "the one of 20 s later still counts");
      }));

    test("no stretch of a window's length sees more than the limit", () =>
      using(async ({ pass, leaseMs }, lease) => {
        const rule: Rule = { kind: "window", limit: 10, windowMs: 10_000 };
        const spent: number[] = [];
        let time = 0;
        for (let round = 0; round < 300; round += 1) {
          const { granted } = await lease(rule, 1 + (round % 3));
          // At the end of its lease, the worst that a holder may do.
          for (let unit = 0; unit < granted; unit += 1) spent.push(time + leaseMs);
          await pass(130);
          time += 130;
        }
        assert.ok(spent.length >= 30, `${spent.length} in ${time} ms`);
        for (const [index, at] of spent.entries()) {
          const within = spent.slice(index).filter((later) => later < at + rule.windowMs).length;
          assert.ok(within <= rule.limit, `${within} from ${at} ms`);
        }
      }));

    test("part of the want is given where the need is met; spare only of a plenty", () =>
      using(async (_, lease) => {
        const rule: Rule = { kind: "period", limit: 100, endsMs: Number.MAX_SAFE_INTEGER };
        assert.equal((await lease(rule, 1, { want: 70 })).granted, 70);
        const { granted, remaining } = await lease(rule, 5, { want: 10, spare: 100 });
        assert.ok(granted >= 10 && granted <= 15, `${granted}`);
        assert.equal(remaining, 30 - granted);
        assert.equal((await lease(rule, 1, { want: 70 })).granted, 30 - granted);
        assert.equal((await lease(rule, 1)).granted, 0);
      }));

    test("what comes back can be given again, what was more is debt", () =>
      using(async ({ allowances, pass }, lease) => {
        const rule: Rule = { kind: "window", limit: 10, windowMs: 60_000 };
        const first = await lease(rule, 10);
        allowances.settle("k", rule, -4, first.stamp);
        assert.equal((await lease(rule, 5)).granted, 0);
        assert.equal((await lease(rule, 4)).granted, 4);
        allowances.settle("k", rule, 3, 0);
        assert.equal((await lease(rule, 0)).remaining, -3);
        await pass(62_000);
        allowances.settle("k", rule, -4, first.stamp);
        assert.equal((await lease(rule, 0)).remaining, 10, "units of a window that is over give no credit");
      }));

    test("a period counts until its end, and its debt stays", () =>
      using(async ({ allowances, pass }, lease) => {
        const rule: Rule = { kind: "period", limit: 1_000_000, endsMs: Number.MAX_SAFE_INTEGER };
        assert.equal((await lease(rule, 900_000)).granted, 900_000);
        allowances.settle("k", rule, 150_000, 0);
        await pass(120_000);
        const { granted, remaining } = await lease(rule, 1);
        assert.equal(granted, 0);
        assert.equal(remaining, -50_000);
      }));

    test("at the same time: a holder's word of what it has replaces the one before", () =>
      using(async ({ allowances }, lease) => {
        const rule: Rule = { kind: "concurrent", limit: 3 };
        assert.equal((await lease(rule, 2)).granted, 2);
        assert.equal((await lease(rule, 2, { holder: "b" })).granted, 0);
        assert.equal((await lease(rule, 1, { holder: "b" })).granted, 1);
        assert.equal((await lease(rule, 0, { held: 1 })).remaining, 1);
        assert.equal((await lease(rule, 1, { holder: "b", held: 1 })).granted, 1);
        allowances.drop("b");
        assert.equal((await lease(rule, 2, { held: 1 })).granted, 2, "what a dead process held is free");
      }));

    test("a limit that changes counts from the next question on", () =>
      using(async (_, lease) => {
        await lease(minute, 3);
        assert.equal((await lease({ ...minute, limit: 5 }, 2)).granted, 2);
        assert.equal((await lease({ ...minute, limit: 2 }, 1)).granted, 0);
      }));

    test("more than a limit can never be had", () =>
      using(async (_, lease) => {
        const { granted, retryAfterMs } = await lease(minute, 4);
        assert.equal(granted, 0);
        assert.equal(retryAfterMs, Number.POSITIVE_INFINITY);
      }));
  });
}
