// Kept answers in a real Redis: shared by two gateways, and a miss while it is away.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway } from "../../support/gateway.ts";
import { startRedis, type TestRedis, whyNoRedis } from "../../support/redis.ts";
import { metricsOf } from "../../support/two-upstreams.ts";

const missing = whyNoRedis();
let redis: TestRedis;
let upstream: FakeUpstream;
let gateways: TestGateway[] = [];

before(async () => {
  if (missing !== undefined) return;
  [redis, upstream] = await Promise.all([startRedis(), startFakeUpstream()]);
  const stack = {
    cluster: { redisUrl: redis.url, redisTimeoutMs: 2000 },
    cache: { enabled: true, store: "redis" as const },
    idempotency: { store: "redis" as const },
  };
  gateways = await Promise.all([1, 2].map(() => startGateway(fakeConfig(upstream.baseUrl, stack))));
  await both("openclaw_redis_up 1");
});
after(async () => {
  await Promise.all(gateways.map((gateway) => gateway.close()));
  await Promise.all([redis?.close(), upstream?.close()]);
});

async function both(line: string): Promise<void> {
  for (const gateway of gateways)
    for (const until = Date.now() + 20_000; !(await metricsOf(gateway)).includes(`${line}\n`); await pause(10))
      assert.ok(Date.now() < until, line);
}

async function ask(index: number, body: object, headers: Record<string, string> = {}) {
  const response = await chat(gateways[index]?.url ?? "", { model: "fake-model", ...body }, { ...bearer, ...headers });
  const text = await response.text();
  return { text, status: response.status, of: (name: string) => response.headers.get(name) };
}

/** The answer is written to Redis behind the client's back. */
async function askUntil(index: number, body: object, headers: Record<string, string>, name: string, value: string) {
  for (const until = Date.now() + 20_000; ; await pause(10)) {
    const answer = await ask(index, body, headers);
    if (answer.of(name) === value) return answer;
    assert.ok(Date.now() < until, `${name} is ${answer.of(name)}`);
  }
}

for (const stream of [false, true]) {
  test(`what one gateway was answered the other one gives, ${stream ? "as a stream" : "as JSON"}`, {
    skip: missing,
  }, async () => {
    await upstream.script([{ words: ["größe", " 👍"] }]);
    const first = await ask(0, { stream });
    const again = await askUntil(1, { stream }, {}, "x-openclaw-cache", "hit");
    assert.equal(again.text, first.text);
    assert.match(again.text, /größe/);
    assert.equal(again.of("x-openclaw-provider"), "fake");
  });
}

test("an idempotency key means the same to both", { skip: missing }, async () => {
  await upstream.script([{}]);
  const key = { "idempotency-key": "shared-1", "x-openclaw-cache": "off" };
  const first = await ask(0, { user: "i" }, key);
  const again = await askUntil(1, { user: "i" }, key, "idempotent-replayed", "true");
  assert.equal(again.text, first.text);
  assert.equal((await ask(1, { user: "other" }, key)).status, 422);
});

test("Redis lost: a miss, no failure; back: kept again", { skip: missing }, async () => {
  await upstream.script([{}]);
  await ask(0, { user: "lost" });
  await askUntil(1, { user: "lost" }, {}, "x-openclaw-cache", "hit");
  await redis.kill();
  await both("openclaw_redis_up 0");
  const without = await ask(1, { user: "lost" });
  assert.deepEqual([without.status, without.of("x-openclaw-cache")], [200, "miss"]);
  await redis.start();
  await both("openclaw_redis_up 1");
  await askUntil(0, { user: "lost" }, {}, "x-openclaw-cache", "hit");
});
