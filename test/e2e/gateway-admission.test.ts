// Two engines with real figures behind a gateway: the least loaded is asked, nobody is crowded out, and what was bought is never exceeded.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FakeVllm, mostWithin, startFakeVllm } from "../support/fake-vllm.ts";
import { bearer, chat, startGateway, type TestGateway, token } from "../support/gateway.ts";
import { metricsOf } from "../support/two-upstreams.ts";

let a: FakeVllm;
let b: FakeVllm;
before(async () => {
  [a, b] = await Promise.all([startFakeVllm(), startFakeVllm()]);
});
after(() => Promise.all([a.close(), b.close()]));

function startStack(stack: object, apiKey?: string): Promise<TestGateway> {
  const models = [{ id: "fake-model" }];
  const key = apiKey === undefined ? {} : { apiKey };
  return startGateway({
    gateway: { auth: { token } },
    models: {
      providers: {
        a: { api: "openai-completions", baseUrl: a.baseUrl, models, ...key },
        b: { api: "openai-completions", baseUrl: b.baseUrl, models },
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            routing: { pools: { pool: { members: ["a/fake-model", "b/fake-model"], sticky: "none" } } },
            ...stack,
          },
        },
      },
    },
  });
}

const pollMs = 1000;
const engine = { metrics: true, maxWaiting: 2 };

/** Polls the gateway's own figures: nothing here depends on how fast the machine is. */
async function until(gateway: TestGateway, wanted: RegExp): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const text = await metricsOf(gateway);
    if (wanted.test(text)) return;
    if (performance.now() > deadline) assert.fail(`never saw ${wanted} in\n${text.replace(/^(?!openclaw_(up|qu)).*\n/gm, "")}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("the least loaded engine is asked within one look, also when the load is somebody else's", async () => {
  const gateway = await startStack({ admission: { pollMs, upstreams: { a: engine, b: engine } } });
  try {
    for (const [busy, idle] of [
      [a, b],
      [b, a],
    ] as const) {
      await Promise.all([busy.set({ maxSeqs: 64, serviceMs: 50, others: 40 }), idle.set({ maxSeqs: 64, serviceMs: 50 })]);
      const name = busy === a ? "a" : "b";
      await until(gateway, new RegExp(`openclaw_upstream_running\\{provider="${name}",model="fake-model"\\} (40|4[0-9])\n`));
      await until(
        gateway,
        new RegExp(`openclaw_upstream_running\\{provider="${name === "a" ? "b" : "a"}",model="fake-model"\\} [0-9]\n`),
      );
      const answers = await Promise.all(Array.from({ length: 20 }, () => chat(gateway.url, { model: "pool" })));
      assert.ok(answers.every(({ status }) => status === 200));
      assert.equal((await idle.ledger()).length, 20, "all at the idle one");
      assert.equal((await busy.ledger()).length, 0);
    }
    await Promise.all([a.set({ maxSeqs: 64, serviceMs: 300, others: 10 }), b.set({ maxSeqs: 64, serviceMs: 300 })]);
    await until(gateway, /openclaw_upstream_running\{provider="a",model="fake-model"\} 10\n/);
    await until(gateway, /openclaw_upstream_running\{provider="b",model="fake-model"\} 0\n/);
    await Promise.all(Array.from({ length: 30 }, () => chat(gateway.url, { model: "pool" })));
    const [ofA, ofB] = [(await a.ledger()).length, (await b.ledger()).length];
    assert.ok(Math.abs(ofB - ofA - 10) <= 4, `own calls since the look are counted: ${ofA} and ${ofB}`);
  } finally {
    await gateway.close();
  }
});

test("an engine's own queue stays short: the rest waits here, and a second token's first passes another one's hundred", async () => {
  const engines = { maxSeqs: 4, serviceMs: 50, held: true };
  await Promise.all([a.set(engines), b.set(engines)]);
  const limits = { metrics: true, maxWaiting: 2, maxConcurrent: 4 };
  const gateway = await startStack({
    tokens: [{ id: "other", token: "other-token-0123456789" }],
    admission: { pollMs, upstreams: { a: limits, b: limits } },
  });
  try {
    const crowd = Array.from({ length: 108 }, () => chat(gateway.url, { model: "pool", user: "busy" }));
    await until(gateway, /openclaw_queue_lane_size\{lane="normal"\} 100\n/);
    const other = chat(gateway.url, { model: "pool", user: "other" }, { authorization: "Bearer other-token-0123456789" });
    await until(gateway, /openclaw_queue_lane_size\{lane="normal"\} 101\n/);
    await Promise.all([a.release(), b.release()]);
    assert.equal((await other).status, 200);
    assert.ok((await Promise.all(crowd)).every(({ status }) => status === 200));
    const ledger = [...(await a.ledger()), ...(await b.ledger())].sort((one, next) => one.atMs - next.atMs);
    assert.equal(ledger.length, 109);
    assert.ok(ledger.every(({ ranWith }) => ranWith <= 4));
    const place = ledger.findIndex(({ tag }) => tag === "other");
    assert.ok(place <= 8 + 2 * 8, `two service times of 8 places after the first 8 that ran: ${place} were before it`);
  } finally {
    await gateway.close();
  }
});

test("queued clients that leave are never sent, streams get comments while they wait, and the queue says 429 beyond its bound", async () => {
  await Promise.all([a.set({ maxSeqs: 1, serviceMs: 2000 }), b.set({ maxSeqs: 1, serviceMs: 2000 })]);
  const gateway = await startStack({
    http: { sseKeepAliveMs: 50 },
    admission: { upstreams: { a: { maxConcurrent: 1 } }, queue: { maxLength: 20 } },
  });
  try {
    const first = chat(gateway.url, { model: "a/fake-model" });
    await until(gateway, /openclaw_llm_requests_active\{provider="a"\} 1\n/);
    const leave = new AbortController();
    const queued = Array.from({ length: 19 }, () =>
      chat(gateway.url, { model: "a/fake-model" }, bearer, leave.signal).catch(() => 0),
    );
    await until(gateway, /openclaw_queue_lane_size\{lane="normal"\} 19\n/);
    const stream = await chat(gateway.url, { model: "a/fake-model", stream: true }, bearer, leave.signal);
    const reader = stream.body?.getReader();
    assert.match(new TextDecoder().decode((await reader?.read())?.value), /^:/, "a comment, before anybody was asked");
    const refused = await chat(gateway.url, { model: "a/fake-model" });
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.ok(Number(refused.headers.get("retry-after-ms")) >= 1);
    assert.equal(refused.headers.get("x-openclaw-error"), "overloaded");
    leave.abort();
    await Promise.all(queued);
    await until(gateway, /openclaw_queue_lane_size\{lane="normal"\} 0\n/);
    assert.equal((await first).status, 200);
    assert.equal((await chat(gateway.url, { model: "a/fake-model" })).status, 200);
    assert.equal((await a.ledger()).length, 2, "those that left never reached it");
    await until(gateway, /openclaw_queue_wait_seconds_count\{priority="normal",outcome="left"\} 20\n/);
  } finally {
    await gateway.close();
  }
});

test("Retry-After is within 30 % of what a request in that place of the queue really waits", async () => {
  const serviceMs = 400;
  await a.set({ maxSeqs: 2, serviceMs });
  const gateway = await startStack({ admission: { upstreams: { a: { maxConcurrent: 2 } }, queue: { maxLength: 16 } } });
  try {
    const send = () => chat(gateway.url, { model: "a/fake-model" });
    await Promise.all(Array.from({ length: 6 }, send));
    const queued = Array.from({ length: 18 }, send);
    await until(gateway, /openclaw_queue_lane_size\{lane="normal"\} 16\n/);
    const begun = performance.now();
    const refused = await send();
    const said = Number(refused.headers.get("retry-after-ms"));
    assert.equal(refused.status, 429);
    await Promise.all(queued);
    // One behind the last of the queue would have been sent when that one ended.
    const truth = performance.now() - begun;
    assert.ok(Math.abs(said - truth) <= 0.3 * truth, `said ${said}, was ${truth}`);
  } finally {
    await gateway.close();
  }
});

// With the span that providers really count in, in about three minutes: QUOTA_WINDOW_MS=60000, and --test-name-pattern="a quota is never".
test("a quota is never exceeded in a sliding window at the provider, by its own ledger; nobody sees a refusal", async () => {
  const windowMs = Number(process.env.QUOTA_WINDOW_MS ?? 2000);
  await a.set({ maxSeqs: 1000, serviceMs: 5 });
  const gateway = await startStack({
    admission: { queue: { maxWaitMs: 30 * windowMs } },
    quotas: { a: { windowMs, guardMs: 60_000, requestsPerMinute: 60 } },
  });
  try {
    const answers = await Promise.all(Array.from({ length: 200 }, () => chat(gateway.url, { model: "a/fake-model" })));
    assert.ok(answers.every(({ status }) => status === 200));
    const ledger = await a.ledger();
    assert.equal(ledger.length, 200);
    assert.ok(mostWithin(ledger, windowMs) <= 60, `${mostWithin(ledger, windowMs)} within the window`);
    const times = ledger.map(({ atMs }) => atMs);
    const tookMs = Math.max(...times) - Math.min(...times);
    // 60 at once, and three more windows for the rest; twice that for a busy machine.
    assert.ok(tookMs < 2 * 4 * windowMs, `all of what was bought is used: ${tookMs} ms`);
  } finally {
    await gateway.close();
  }
});

test("several keys: each within its own quota; a provider that counts more strictly is believed, and no client hears of it", async () => {
  const windowMs = 1500;
  await a.set({ maxSeqs: 1000, serviceMs: 5, bought: { requests: 5, windowMs } });
  const gateway = await startStack({
    admission: { queue: { maxWaitMs: 60_000 } },
    quotas: {
      a: {
        windowMs,
        guardMs: 60_000,
        keys: [
          { id: "one", apiKey: "key-one-0123456789", requestsPerMinute: 5 },
          // Bought as 5, written as 8: its refusals are not passed on.
          { id: "two", apiKey: "key-two-0123456789", requestsPerMinute: 8 },
        ],
      },
    },
  });
  try {
    const answers = await Promise.all(Array.from({ length: 40 }, () => chat(gateway.url, { model: "a/fake-model" })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const ledger = await a.ledger();
    const of = (key: string) => ledger.filter((request) => request.key === key && request.state !== "refused");
    const [one, two] = [of("key-one-0123456789"), of("key-two-0123456789")];
    assert.equal(one.length + two.length, 40);
    assert.ok(mostWithin(one, windowMs) <= 5);
    assert.ok(one.length >= 10 && two.length >= 10, `${one.length} and ${two.length}`);
    assert.ok(
      ledger.some(({ state }) => state === "refused"),
      "the second key was refused at least once",
    );
    const shown: unknown = await (await fetch(`${gateway.url}/readyz`, { headers: bearer })).json();
    const detail = JSON.stringify(shown);
    assert.match(detail, /"quotas":\{"a":\[\{"key":"one"/);
    for (const text of [detail, gateway.lines.join("\n"), await metricsOf(gateway)])
      assert.doesNotMatch(text, /key-(one|two)-0123/);
  } finally {
    await gateway.close();
  }
});

test("over the quota the fallback answers, or, where the settings say so, the request waits", async () => {
  for (const whenFull of ["fallback", "wait"]) {
    await Promise.all([a.set({ maxSeqs: 100, serviceMs: 5 }), b.set({ maxSeqs: 100, serviceMs: 5 })]);
    const gateway = await startStack({
      routing: { fallbacks: { "a/fake-model": ["b/fake-model"] } },
      admission: { whenFull },
      quotas: { a: { windowMs: whenFull === "wait" ? 1000 : 60_000, requestsPerMinute: 3 } },
    });
    try {
      const answers = await Promise.all(Array.from({ length: 5 }, () => chat(gateway.url, { model: "a/fake-model" })));
      const from = answers.map(({ headers }) => headers.get("x-openclaw-provider")).sort();
      assert.deepEqual(from, whenFull === "fallback" ? ["a", "a", "a", "b", "b"] : ["a", "a", "a", "a", "a"]);
    } finally {
      await gateway.close();
    }
  }
});
