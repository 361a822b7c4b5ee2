// Two gateways with one Redis: limits and breakers are shared; without it each serves on by itself and says so.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat, startGateway, type TestGateway, token } from "../support/gateway.ts";
import { startRedis, type TestRedis, whyNoRedis } from "../support/redis.ts";
import { metricsOf, upstreamsOf } from "../support/two-upstreams.ts";

const missing = whyNoRedis();
const options = missing === undefined ? {} : { skip: missing };
let redis: TestRedis;
let upstream: FakeUpstream;
let spare: FakeUpstream;

before(async () => {
  if (missing === undefined) redis = await startRedis(["--requirepass", "redis-password-01234"]);
  upstream = await startFakeUpstream();
  spare = await startFakeUpstream();
});
after(async () => {
  await redis?.close();
  await upstream.close();
  await spare.close();
});

const teamToken = "team-token-0123456789";
const team = { authorization: `Bearer ${teamToken}` };

function config(keyPrefix: string): ConfigInput {
  const models = [{ id: "fake-model" }];
  return {
    gateway: {
      auth: { token, rateLimit: { maxAttempts: 3, windowMs: 60_000, lockoutMs: 600_000, exemptLoopback: false } },
      trustedProxies: ["127.0.0.1"],
    },
    models: {
      providers: {
        a: { api: "openai-completions", baseUrl: upstream.baseUrl, models },
        b: { api: "openai-completions", baseUrl: spare.baseUrl, models },
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            cluster: { redisUrl: redis.url, redisPassword: "redis-password-01234", keyPrefix, redisTimeoutMs: 10_000 },
            tokens: [{ id: "team", token: teamToken, limits: { requestsPerMinute: 12 } }],
            routing: { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 2, openMs: 60_000 } },
          },
        },
      },
    },
  };
}

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const limit = Date.now() + 30_000; !(await condition()); await pause(20)) assert.ok(Date.now() < limit, what);
}

async function readinessOf(gateway: TestGateway): Promise<{ ready: boolean; degraded: string[] }> {
  return Object(await (await fetch(`${gateway.url}/readyz`, { headers: bearer })).json());
}

async function withTwo(keyPrefix: string, run: (one: TestGateway, two: TestGateway) => Promise<void>): Promise<void> {
  const one = await startGateway(config(keyPrefix));
  const two = await startGateway(config(keyPrefix));
  try {
    for (const gateway of [one, two])
      await until("Redis is there", async () => !(await readinessOf(gateway)).degraded.includes("redis"));
    await run(one, two);
  } finally {
    await one.close();
    await two.close();
  }
}

const ask = async (gateway: TestGateway): Promise<number> => {
  const response = await chat(gateway.url, { model: "a/fake-model" }, team);
  await response.arrayBuffer();
  return response.status;
};

test("a token's limit holds for both together", options, () =>
  withTwo("limits:", async (one, two) => {
    await upstream.script([{}]);
    const answers: number[] = [];
    for (let round = 0; round < 10; round += 1) for (const gateway of [one, two]) answers.push(await ask(gateway));
    assert.ok(answers.includes(429), "the limit is reached");
    const passed = answers.filter((status) => status === 200).length;
    // Leases may leave some unspent for a while; more than the limit is never given.
    assert.ok(passed <= 12 && passed >= 6, `${passed} of 12 passed`);
    for (const line of [...one.lines, ...two.lines]) assert.ok(!line.includes("redis-password"), line);
  }),
);

test("an address that one gateway locks out the other refuses", options, () =>
  withTwo("lockouts:", async (one, two) => {
    await upstream.script([{}]);
    const from = (secret: string) => ({ authorization: `Bearer ${secret}`, "x-forwarded-for": "192.0.2.1" });
    const statusAt = async (gateway: TestGateway, secret: string): Promise<number> =>
      (await chat(gateway.url, { model: "a/fake-model" }, from(secret))).status;
    for (let guess = 0; guess < 3; guess += 1) assert.equal(await statusAt(one, "wrong"), 401);
    await until("both refuse", async () => (await statusAt(one, token)) === 429 && (await statusAt(two, token)) === 429);
    assert.equal(await ask(two), 200, "others are let in");
  }),
);

test("an upstream that fails at one gateway is skipped by the other", options, () =>
  withTwo("breakers:", async (one, two) => {
    await upstream.script([{ status: 500 }]);
    await spare.script([{}]);
    for (let round = 0; round < 2; round += 1) assert.equal(await ask(one), 200);
    await until("the other knows", async () =>
      (await upstreamsOf(two)).some(({ upstream: name, breaker }) => name === "a/fake-model" && breaker === "open"),
    );
    const before = (await upstream.ledger()).length;
    assert.equal(await ask(two), 200);
    assert.equal((await upstream.ledger()).length, before, "it was not asked");
  }),
);

test("Redis lost and back: served without it, said in readiness and a metric, shared again", options, () =>
  withTwo("lost:", async (one, two) => {
    await upstream.script([{}]);
    assert.equal(await ask(one), 200);
    await redis.kill();
    await until("it is noticed", async () => (await readinessOf(one)).degraded.includes("redis"));
    const { ready, degraded } = await readinessOf(one);
    assert.equal(ready, true);
    assert.deepEqual(degraded, ["redis"]);
    assert.match(await metricsOf(one), /openclaw_redis_up 0\n/);
    assert.match(await metricsOf(one), /openclaw_redis_lost_total 1\n/);
    const alone: number[] = [];
    for (let round = 0; round < 14; round += 1) alone.push(await ask(two));
    assert.deepEqual(alone, [...Array.from({ length: 12 }, () => 200), 429, 429], "its own limit holds");
    await redis.start();
    for (const gateway of [one, two]) await until("it is back", async () => (await readinessOf(gateway)).degraded.length === 0);
    // What one spent alone, both know now: nothing is left for the other one either.
    await until("what was spent alone is told", async () => (await ask(one)) === 429);
    assert.match(await metricsOf(one), /openclaw_redis_up 1\n/);
  }),
);
