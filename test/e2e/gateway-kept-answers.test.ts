// Kept answers of a gateway with workers, and of several gateways: an idempotency key is one call, and the cache in Redis is everybody's.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import {
  bearer,
  chat,
  type Folder,
  fakeConfig,
  type GatewayProcess,
  makeFolder,
  spawnGateway,
  token,
} from "../support/gateway.ts";
import { startRedis, type TestRedis, whyNoRedis } from "../support/redis.ts";
import { metricsOf } from "../support/two-upstreams.ts";

type Stack = NonNullable<Parameters<typeof fakeConfig>[1]>;

const missing = whyNoRedis();
let redis: TestRedis | undefined;
let upstream: FakeUpstream;
let folder: Folder;
let running: GatewayProcess[] = [];

before(async () => {
  if (missing === undefined) redis = await startRedis();
  upstream = await startFakeUpstream();
});
after(() => Promise.all([redis?.close(), upstream.close()]));
beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  await Promise.all(running.map((gateway) => gateway.stop()));
  running = [];
  folder.remove();
});

async function start(stack: Stack, name = "one"): Promise<string> {
  const port = await freePort();
  const config = { ...fakeConfig(upstream.baseUrl, stack), gateway: { port, auth: { token } } };
  const path = folder.write(`${name}.json`, config);
  const gateway = spawnGateway(path, `${folder.path}/${name}`, port);
  running.push(gateway);
  await gateway.says("gateway_ready");
  return gateway.url;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await look())) {
    assert.ok(Date.now() < deadline, `${what} did not come about`);
    await pause(20);
  }
}

/** Over a connection of its own, which any worker may accept. */
async function ask(url: string, headers: Record<string, string>, body: object = {}) {
  const response = await chat(url, { model: "fake-model", ...body }, { ...bearer, connection: "close", ...headers });
  const { status, headers: got } = response;
  return { status, text: await response.text(), replayed: got.get("idempotent-replayed"), cache: got.get("x-openclaw-cache") };
}

/** The upstream has one of them; without that none is answered. */
const heldOf = (asked: readonly Promise<{ status: number }>[]): Promise<unknown> =>
  Promise.race([
    upstream.waitFor("open"),
    Promise.any(asked).then(({ status }) => assert.fail(`answered with ${status} before the upstream was asked`)),
  ]);

/** Sends the same at the same moment, to all that there are. */
async function onceForAll(urls: readonly string[], key: string): Promise<void> {
  await upstream.script([{ gate: "go" }]);
  const asked = Array.from({ length: 12 }, (_, index) =>
    ask(urls[index % urls.length] ?? "", { "idempotency-key": key, "x-openclaw-cache": "off" }),
  );
  await heldOf(asked);
  await upstream.open("go");
  const answers = await Promise.all(asked);
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  assert.equal(answers.filter(({ replayed }) => replayed === null).length, 1, "one was the first");
  for (let count = 0; count < 8; count += 1)
    assert.equal((await ask(urls[count % urls.length] ?? "", { "idempotency-key": key })).replayed, "true");
  assert.equal((await upstream.ledger()).length, 1);
}

test("four workers that are given the same key at the same moment call once; later all of them know the answer", async () => {
  const url = await start({ workers: 4 });
  await onceForAll([url], "k-1");
  const other = await ask(url, { "idempotency-key": "k-1" }, { user: "somebody else" });
  assert.equal(other.status, 422, "the same key with another request");
});

test("a call that failed is made again by one of those that waited", async () => {
  const url = await start({ workers: 4, routing: { breaker: { failures: 1000 } } });
  await upstream.script([{ gate: "go", status: 500 }, {}]);
  const asked = Array.from({ length: 8 }, () => ask(url, { "idempotency-key": "k-2" }));
  await heldOf(asked);
  await upstream.open("go");
  // Those that had joined the failed call in its own worker are told of its failure; those of other workers make it again.
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  assert.ok(
    statuses.every((status) => status === 200 || status === 502),
    statuses.join(),
  );
  assert.equal((await ask(url, { "idempotency-key": "k-2" })).status, 200);
  assert.equal((await upstream.ledger()).length, 2);
});

test("two gateways over Redis call once for the same key", { skip: missing }, async () => {
  const cluster = { redisUrl: redis?.url ?? "", redisTimeoutMs: 5000, keyPrefix: "keys:" };
  const stack: Stack = { cluster, idempotency: { store: "redis" } };
  const urls = await Promise.all(["one", "two"].map((name) => start(stack, name)));
  for (const url of urls) await until("Redis", async () => (await metricsOf({ url })).includes("openclaw_redis_up 1\n"));
  await onceForAll(urls, "k-3");
});

test("the cache in Redis is that of all workers", { skip: missing }, async () => {
  await upstream.script([{}]);
  const cluster = { redisUrl: redis?.url ?? "", redisTimeoutMs: 5000, keyPrefix: "cache:" };
  const url = await start({ workers: 4, cluster, cache: { enabled: true, store: "redis" } });
  // Until each worker has its connection: then one call is enough for all of them.
  let round = 0;
  await until("hits at every worker", async () => {
    round += 1;
    const user = `round-${round}`;
    const before = (await upstream.ledger()).length;
    await ask(url, {}, { user });
    await until("a hit", async () => (await ask(url, {}, { user })).cache === "hit");
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask(url, {}, { user })));
    assert.ok(answers.every(({ status }) => status === 200));
    return answers.every(({ cache }) => cache === "hit") && (await upstream.ledger()).length === before + 1;
  });
  // With a memory of its own each of four workers asks.
  await upstream.script([{}]);
  const own = await start({ workers: 4, cache: { enabled: true } }, "two");
  await until("a miss at every worker", async () => {
    await Promise.all(Array.from({ length: 8 }, () => ask(own, {})));
    return (await upstream.ledger()).length === 4;
  });
});
