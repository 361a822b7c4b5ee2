// Four workers before one engine: what was bought is bought once, whichever worker a request comes to. The engine's own ledger judges.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { type FakeVllm, mostWithin, startFakeVllm } from "../support/fake-vllm.ts";
import { freePort } from "../support/free-port.ts";
import { bearer, chat, type Folder, type GatewayProcess, makeFolder, spawnGateway, token } from "../support/gateway.ts";

let a: FakeVllm;
let b: FakeVllm;
let folder: Folder;
let running: GatewayProcess | undefined;

before(async () => {
  [a, b] = await Promise.all([startFakeVllm(), startFakeVllm()]);
});
after(() => Promise.all([a.close(), b.close()]));
beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  await running?.stop();
  folder.remove();
});

async function start(stack: object): Promise<string> {
  const port = await freePort();
  const models = [{ id: "fake-model" }];
  const path = folder.write("openclaw.json", {
    gateway: { port, auth: { token } },
    models: {
      providers: {
        a: { api: "openai-completions", baseUrl: a.baseUrl, models },
        b: { api: "openai-completions", baseUrl: b.baseUrl, models },
      },
    },
    plugins: { entries: { "openclaw-stack": { config: { workers: 4, ...stack } } } },
  });
  running = spawnGateway(path, folder.path, port);
  await running.says("gateway_ready");
  return running.url;
}

/** Each over a connection of its own, which any worker may accept. */
const ask = (url: string): Promise<Response> =>
  chat(url, { model: "a/fake-model" }, { ...bearer, connection: "close" }).then(async (response) => {
    await response.arrayBuffer();
    return response;
  });

test("requests at the same time: those bought of the provider, and those that an upstream may have", async () => {
  const queue = { maxWaitMs: 120_000 };
  for (const stack of [
    { quotas: { a: { concurrent: 5 } }, admission: { queue } },
    { admission: { queue, upstreams: { a: { maxConcurrent: 5 } } } },
  ]) {
    await a.set({ maxSeqs: 1000, serviceMs: 30 });
    const url = await start(stack);
    const answers = await Promise.all(Array.from({ length: 120 }, () => ask(url)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const ledger = await a.ledger();
    assert.equal(ledger.length, 120);
    const most = Math.max(...ledger.map(({ ranWith }) => ranWith));
    assert.ok(most <= 5, `${most} at the same time`);
    assert.ok(most >= 4, `what was bought is used: ${most}`);
    await running?.stop();
  }
});

test("requests in a sliding window", async () => {
  const windowMs = 2000;
  await a.set({ maxSeqs: 1000, serviceMs: 5 });
  const url = await start({
    admission: { queue: { maxWaitMs: 120_000 } },
    quotas: { a: { windowMs, guardMs: 1500, requestsPerMinute: 40 } },
  });
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(url)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const ledger = await a.ledger();
  assert.equal(ledger.length, 100);
  assert.ok(mostWithin(ledger, windowMs) <= 40, `${mostWithin(ledger, windowMs)} within the window`);
});

test("a fallback answers what is over the limit, and nothing before", async () => {
  await Promise.all([a.set({ maxSeqs: 1000, serviceMs: 5 }), b.set({ maxSeqs: 1000, serviceMs: 5 })]);
  const url = await start({
    routing: { fallbacks: { "a/fake-model": ["b/fake-model"] } },
    quotas: { a: { concurrent: 3 } },
  });
  for (let count = 0; count < 20; count += 1) assert.equal((await ask(url)).status, 200);
  assert.equal((await a.ledger()).length, 20, "one after the other: never more than one at the same time");
  await a.set({ maxSeqs: 1000, serviceMs: 5, held: true });
  const held = Array.from({ length: 12 }, () => ask(url));
  const deadline = Date.now() + 30_000;
  while ((await b.ledger()).filter(({ state }) => state === "finished").length < 9) {
    assert.ok(Date.now() < deadline, "nine of twelve are answered by the fallback");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await a.release();
  assert.ok((await Promise.all(held)).every(({ status }) => status === 200));
  assert.deepEqual([(await a.ledger()).length, (await b.ledger()).length], [3, 9]);
});
