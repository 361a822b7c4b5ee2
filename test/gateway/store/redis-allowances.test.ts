// Allowances in a real Redis: the same suite as in memory, then a Redis that goes and comes back.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Rule } from "../../../gateway/store/allowances.ts";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { createRedisAllowances } from "../../../gateway/store/redis/allowances.ts";
import { openRedis } from "../../../gateway/store/redis/link.ts";
import { allowancesConformance } from "../../support/allowances-conformance.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { startRedis, type TestRedis, whyNoRedis } from "../../support/redis.ts";

const missing = whyNoRedis();
let redis: TestRedis;
let number = 0;

before(async () => {
  if (missing === undefined) redis = await startRedis();
});
after(() => redis?.close());

const openLink = (keyPrefix: string) => openRedis({ url: redis.url, keyPrefix, deadlineMs: 2000, onLost: () => undefined });

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const limit = Date.now() + 20_000; !condition(); await pause(10)) assert.ok(Date.now() < limit, what);
}

if (missing !== undefined) test("allowances in Redis", { skip: missing }, () => undefined);
else {
  allowancesConformance("allowances in Redis", async () => {
    number += 1;
    let time = 1_800_000_000_000;
    const link = openLink(`t${number}:`);
    await until(() => link.available, "Redis answers");
    const local = createLocalAllowances({ now: () => time });
    return {
      allowances: createRedisAllowances({ link, local, node: "n", now: () => time, leaseMs: 1000 }),
      leaseMs: 1000,
      pass(ms) {
        time += ms;
      },
      close: () => link.close(),
    };
  });

  test("Redis lost: each counts alone at once; back: shared again, and nothing counts twice", async () => {
    const links = ["a", "b"].map(() => openLink("lost:"));
    await until(() => links.every((link) => link.available), "Redis answers");
    const [a, b] = links.map((link, index) =>
      createRedisAllowances({ link, local: createLocalAllowances(), node: `n${index}`, leaseMs: 1000 }),
    );
    assert.ok(a && b);
    const rule: Rule = { kind: "window", limit: 10, windowMs: 3_600_000 };
    const lease = async (of: typeof a, need: number) =>
      (await of.lease({ holder: "h", key: "k", rule, need, want: need, spare: 0, held: 0 })).granted;
    try {
      assert.equal(await lease(a, 4), 4);
      assert.equal(await lease(b, 7), 0, "shared");
      // Its memory stays: what was leased before is still known to it afterwards.
      redis.freeze();
      const begun = performance.now();
      assert.equal(await lease(b, 3), 3, "counted alone");
      assert.ok(performance.now() - begun < 10_000, "waited no longer than its deadline");
      const after = performance.now();
      for (let round = 0; round < 100; round += 1) await lease(b, 20);
      assert.ok(performance.now() - after < 1000, "once it is known to be away nobody waits");
      redis.thaw();
      await until(() => links.every((link) => link.available), "Redis is back");
      // 4 of before and 3 of the time away: 3 are left, for both together.
      assert.equal(await lease(a, 4), 0);
      assert.equal(await lease(a, 2), 2);
      assert.equal(await lease(b, 2), 0);
      assert.equal(await lease(b, 1), 1);
    } finally {
      redis.thaw();
      for (const link of links) await link.close();
    }
  });

  test("what a slow Redis does late is done once, and scripts that it forgot are sent again", async () => {
    const link = openRedis({ url: redis.url, keyPrefix: "late:", deadlineMs: 300, onLost: () => undefined });
    await until(() => link.available, "Redis answers");
    const allowances = createRedisAllowances({ link, local: createLocalAllowances(), node: "n", leaseMs: 1000 });
    const rule: Rule = { kind: "period", limit: 100, endsMs: Date.now() + 3_600_000 };
    const lease = async (need: number) =>
      (await allowances.lease({ holder: "h", key: "k", rule, need, want: need, spare: 0, held: 0 })).remaining;
    try {
      assert.equal(await lease(50), 50);
      redis.freeze();
      allowances.settle("k", rule, -30, 0);
      await until(() => !link.available, "it is known to be slow");
      redis.thaw();
      await until(() => link.available, "Redis is back");
      assert.equal(await lease(0), 80);
      await link.command(["SCRIPT", "FLUSH"]);
      await lease(0);
      assert.equal(await lease(5), 75, "counted in Redis again");
    } finally {
      redis.thaw();
      await link.close();
    }
  });

  test("over TLS, with an authority of one's own, and a password that must be right", async () => {
    const folder = mkdtempSync(join(tmpdir(), "openclaw-redis-tls-"));
    const authority = makeAuthority(folder);
    const own = { ...authority.issue("redis", ["127.0.0.1"]), caPath: authority.caPath };
    const secured = await startRedis(["--requirepass", "right-password"], own);
    const lost: string[] = [];
    const open = (password: string, caFile?: string) =>
      openRedis({
        url: secured.url,
        password,
        keyPrefix: "",
        deadlineMs: 5000,
        onLost: (reason) => lost.push(reason),
        ...(caFile === undefined ? {} : { caFile }),
      });
    const right = open("right-password", own.caPath);
    const wrong = open("wrong-password", own.caPath);
    const unknown = open("right-password");
    try {
      await until(() => right.available, "the right one is let in");
      assert.equal(await right.command(["SET", right.key("a"), "1"]), "OK");
      await until(() => lost.length >= 2, "the others are told why not");
      assert.equal(wrong.available || unknown.available, false);
      assert.ok(
        lost.some((reason) => /WRONGPASS/.test(reason)) && lost.some((reason) => /CERT|ISSUER|VERIF/.test(reason)),
        lost.join(),
      );
    } finally {
      for (const link of [right, wrong, unknown]) await link.close();
      await secured.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("a Redis that lost its memory learns what each gateway had spent of a budget, once", async () => {
    const link = openLink("budget:");
    await until(() => link.available, "Redis answers");
    const rule: Rule = { kind: "period", limit: 100, endsMs: Date.now() + 3_600_000 };
    const spent = new Map([
      ["n0", 30],
      ["n1", 20],
    ]);
    const [a, b] = [...spent].map(([node, used]) =>
      createRedisAllowances({ link, local: createLocalAllowances(), node, usedBefore: () => used }),
    );
    assert.ok(a && b);
    const left = async (of: typeof a) =>
      (await of.lease({ holder: "h", key: "k", rule, need: 0, want: 0, spare: 0, held: 0 })).remaining;
    try {
      assert.equal(await left(a), 70);
      assert.equal(await left(b), 50);
      assert.equal(await left(a), 50);
      await link.command(["FLUSHALL"]);
      // In the record already, with which the next question begins.
      a.settle("k", rule, 10, 0);
      assert.equal(await left(a), 70);
      a.settle("k", rule, 10, 0);
      assert.equal(await left(a), 60);
    } finally {
      await link.close();
    }
  });
}
