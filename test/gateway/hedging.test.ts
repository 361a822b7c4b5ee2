// A second upstream is asked when the first is slow to answer: who wins, who is dropped, and when it never happens.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat } from "../support/gateway.ts";
import { metricsOf, type shortTimeouts, startWithFallback, upstreamsOf } from "../support/two-upstreams.ts";

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

const patient = { connectMs: 30_000, headersMs: 30_000, firstTokenMs: 30_000, betweenTokensMs: 30_000, totalMs: 30_000 };
const fallbacks = { "a/fake-model": ["b/fake-model"] };

async function start(first: Behaviour[], second: Behaviour[], hedge: object, timeouts: typeof shortTimeouts = patient) {
  await Promise.all([a.script(first), b.script(second)]);
  return startWithFallback(a.baseUrl, b, { timeouts, routing: { fallbacks, hedge: { maxShare: 1, ...hedge } } });
}

for (const stream of [false, true]) {
  test(`the first is silent: the second answers and the first is dropped, which is no failure of it (stream ${stream})`, async () => {
    const gateway = await start([{ hang: "before-headers" }], [{}], { afterMs: 30 });
    try {
      const response = await chat(gateway.url, { model: "a/fake-model", stream });
      assert.match(await response.text(), /Hello/);
      assert.equal(response.headers.get("x-openclaw-provider"), "b");
      assert.equal(response.headers.get("x-openclaw-tries"), "2");
      assert.equal((await a.waitFor("aborted")).length, 1);
      assert.deepEqual(await upstreamsOf(gateway), [], "nothing is under way, nothing failed");
      const figures = await metricsOf(gateway);
      assert.match(figures, /openclaw_model_hedges_total\{provider="b"\} 1\n/);
      assert.match(figures, /openclaw_model_hedge_wins_total\{provider="b"\} 1\n/);
      assert.match(figures, /openclaw_llm_requests_total\{provider="a",model="fake-model",outcome="lost"\} 1\n/);
      assert.doesNotMatch(figures, /openclaw_llm_cancellations_total\{|openclaw_model_failover_total\{/);
    } finally {
      await gateway.close();
    }
  });
}

test("the loser is gone from its upstream within 50 ms of the winner's first bytes", async () => {
  const gateway = await start([{ hang: "before-headers" }], [{}], { afterMs: 30 });
  try {
    const times: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      await Promise.all([a.script([{ hang: "after-headers" }]), b.script([{ hang: "mid-stream" }])]);
      const leave = new AbortController();
      const response = await chat(gateway.url, { model: "a/fake-model", stream: true }, bearer, leave.signal);
      await response.body?.getReader().read();
      const begun = performance.now();
      await a.waitFor("aborted");
      times.push(performance.now() - begun);
      leave.abort();
      await b.waitFor("aborted");
    }
    times.sort((one, other) => one - other);
    assert.ok((times[2] ?? Number.POSITIVE_INFINITY) < 50, times.map((ms) => ms.toFixed(0)).join(" "));
  } finally {
    await gateway.close();
  }
});

test("the first answers after all: the second is dropped", async () => {
  const gateway = await start([{ gate: "first" }], [{ hang: "before-headers" }], { afterMs: 30 });
  try {
    const asked = chat(gateway.url, { model: "a/fake-model", stream: true });
    await b.waitFor("open");
    await a.open("first");
    const response = await asked;
    assert.match(await response.text(), /Hello[\s\S]*\[DONE\]/);
    assert.equal(response.headers.get("x-openclaw-provider"), "a");
    await b.waitFor("aborted");
    const figures = await metricsOf(gateway);
    assert.match(figures, /openclaw_model_hedges_total\{provider="b"\} 1\n/);
    assert.doesNotMatch(figures, /openclaw_model_hedge_wins_total\{/);
    assert.deepEqual(await upstreamsOf(gateway), []);
  } finally {
    await gateway.close();
  }
});

test("the first fails while the second is under way: the second answers", async () => {
  const gateway = await start([{ gate: "first", status: 500 }], [{ gate: "second" }], { afterMs: 30 });
  try {
    const asked = chat(gateway.url, { model: "a/fake-model" });
    await b.waitFor("open");
    await a.open("first");
    await a.waitFor("finished");
    await b.open("second");
    const response = await asked;
    assert.equal(response.status, 200, await response.text());
    assert.equal(response.headers.get("x-openclaw-provider"), "b");
    assert.equal((await b.ledger()).length, 1);
    assert.match(await metricsOf(gateway), /openclaw_model_failover_total\{reason="upstream_failed"\} 1\n/);
  } finally {
    await gateway.close();
  }
});

test("the second fails: the first still answers, and nobody else is asked", async () => {
  const gateway = await start([{ gate: "first" }], [{ status: 500 }], { afterMs: 30 });
  try {
    const asked = chat(gateway.url, { model: "a/fake-model" });
    await b.waitFor("finished");
    await a.open("first");
    const response = await asked;
    assert.equal(response.status, 200, await response.text());
    assert.equal(response.headers.get("x-openclaw-provider"), "a");
    assert.doesNotMatch(await metricsOf(gateway), /openclaw_model_failover_total\{/);
    assert.equal((await upstreamsOf(gateway))[0]?.upstream, "b/fake-model", "its failure is its own");
  } finally {
    await gateway.close();
  }
});

test("both fail: the client hears of it once", async () => {
  const gateway = await start([{ gate: "first", status: 500 }], [{ gate: "second", status: 503 }], { afterMs: 30 });
  try {
    const asked = chat(gateway.url, { model: "a/fake-model" });
    await b.waitFor("open");
    await Promise.all([a.open("first"), b.open("second")]);
    const response = await asked;
    assert.equal(response.status, 502, await response.text());
  } finally {
    await gateway.close();
  }
});

describe("one upstream alone is asked", () => {
  const alone: { name: string; body?: object; headers?: Record<string, string>; hedge?: object; path?: string }[] = [
    { name: "where hedging is not asked for", hedge: {} },
    { name: "for a model that is excepted", hedge: { afterMs: 1, models: { "a/fake-model": false } } },
    { name: "when the client forbids fallbacks", headers: { ...bearer, "x-openclaw-no-fallback": "1" } },
    { name: "for an answer that the provider keeps", body: { store: true } },
    { name: "while there are too few answers for a quantile", hedge: { quantile: 0.5 } },
  ];
  for (const { name, body, headers, hedge } of alone) {
    test(name, async () => {
      const gateway = await start([{ gate: "first" }], [{}], hedge ?? { afterMs: 1 });
      try {
        const asked = chat(gateway.url, { model: "a/fake-model", ...body }, headers);
        await a.waitFor("open");
        // Far more than the delay: another round trip through the same process, several times.
        for (let round = 0; round < 5; round += 1) await metricsOf(gateway);
        await a.open("first");
        const response = await asked;
        assert.equal(response.headers.get("x-openclaw-provider"), "a", await response.text());
        assert.equal((await b.ledger()).length, 0);
      } finally {
        await gateway.close();
      }
    });
  }

  test("once the first bytes are here, however long the rest takes", async () => {
    // So long that also a busy machine has the first bytes before.
    const gateway = await start([{ gateAt: 1 }], [{}], { afterMs: 1000 });
    try {
      const begun = performance.now();
      const response = await chat(gateway.url, { model: "a/fake-model", stream: true });
      const reader = response.body?.getReader();
      await reader?.read();
      const until = begun + 1200;
      while (performance.now() < until) await metricsOf(gateway);
      assert.equal((await b.ledger()).length, 0);
      await a.open("stream");
    } finally {
      await gateway.close();
    }
  });
});

test("by a quantile: the delay is what most answers need less than", async () => {
  const gateway = await start([{}], [{}], { quantile: 0.9 });
  try {
    for (let call = 0; call < 20; call += 1) await (await chat(gateway.url, { model: "a/fake-model" })).text();
    await Promise.all([a.script([{ hang: "before-headers" }]), b.script([{}])]);
    const response = await chat(gateway.url, { model: "a/fake-model" });
    assert.equal(response.headers.get("x-openclaw-provider"), "b", await response.text());
  } finally {
    await gateway.close();
  }
});

test("only a share of the requests is asked twice: ten at once, and then few", async () => {
  const gateway = await start([{ hang: "before-headers" }], [{}], { afterMs: 10, maxShare: 0.01 });
  try {
    for (let call = 0; call < 10; call += 1) {
      const response = await chat(gateway.url, { model: "a/fake-model" });
      assert.equal(response.headers.get("x-openclaw-provider"), "b", await response.text());
    }
    const leave = new AbortController();
    const left = chat(gateway.url, { model: "a/fake-model" }, bearer, leave.signal).catch(() => undefined);
    await a.waitFor("any", 11);
    const until = performance.now() + 100;
    while (performance.now() < until) await metricsOf(gateway);
    leave.abort();
    await left;
    await a.waitFor("aborted", 11);
    assert.equal((await b.ledger()).length, 10);
  } finally {
    await gateway.close();
  }
});
