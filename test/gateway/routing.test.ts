// What routing promises to users: fast failover, one deadline, connections that were gone, members that stay, checks that bring back.
import assert from "node:assert/strict";
import { after, before, describe, mock, test } from "node:test";
import { createHealth } from "../../gateway/models/health.ts";
import type { Provider } from "../../gateway/models/provider.ts";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { bearer, chat, type TestGateway } from "../support/gateway.ts";
import { metricsOf, shortTimeouts, startWithFallback, upstreamsOf } from "../support/two-upstreams.ts";

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

const fallbacks = { "a/fake-model": ["b/fake-model"] };
const model = "a/fake-model";

async function failoverSeconds(gateway: TestGateway): Promise<number> {
  const sums = (await metricsOf(gateway)).matchAll(/openclaw_model_failover_seconds_sum\{reason="[a-z_]+"\} (\S+)/g);
  return [...sums].reduce((total, [, value]) => total + Number(value), 0);
}

describe("time until another upstream is asked, warm", () => {
  const cases: { name: string; behaviour?: Behaviour; limitMs?: number; stream?: boolean }[] = [
    { name: "refused connection" },
    { name: "reset before headers", behaviour: { reset: "before-headers" } },
    { name: "429", behaviour: { status: 429 } },
    { name: "500", behaviour: { status: 500 } },
    { name: "503", behaviour: { status: 503 } },
    { name: "silence", behaviour: { hang: "before-headers" }, limitMs: shortTimeouts.headersMs, stream: true },
  ];
  for (const { name, behaviour, limitMs = 0, stream = false } of cases) {
    test(`${name}: ${limitMs > 0 ? `the timeout of ${limitMs} ms` : "nothing"} + 50 ms`, async () => {
      await Promise.all([a.script([behaviour ?? {}]), b.script([{}])]);
      const aUrl = behaviour ? a.baseUrl : `http://127.0.0.1:${await freePort()}/v1`;
      const breaker = { failures: 1_000_000, errorRate: { minRequests: 1_000_000 } };
      const gateway = await startWithFallback(aUrl, b, { routing: { fallbacks, breaker } });
      try {
        const times: number[] = [];
        for (let call = 0, before = 0; call < (limitMs > 0 ? 5 : 12); call += 1) {
          const response = await chat(gateway.url, { model, stream });
          assert.equal(response.headers.get("x-openclaw-tries"), "2", await response.text());
          const now = await failoverSeconds(gateway);
          times.push((now - before) * 1000);
          before = now;
        }
        const best = Math.min(...times);
        const shown = times.map((ms) => ms.toFixed(1)).join(" ");
        assert.ok(best < limitMs + 50, shown);
        assert.ok(best > limitMs - 5, shown);
        assert.ok((times[0] ?? 0) < limitMs + 1000, `the first: ${shown}`);
      } finally {
        await gateway.close();
      }
    });
  }
});

describe("a connection that was kept and is gone", () => {
  async function second(behaviours: Behaviour[]) {
    await Promise.all([a.script([{}, ...behaviours]), b.script([{}])]);
    const gateway = await startWithFallback(a.baseUrl, b, { routing: { fallbacks } });
    try {
      await (await chat(gateway.url, { model })).text();
      const response = await chat(gateway.url, { model });
      assert.equal(response.status, 200, await response.text());
      const figures = await metricsOf(gateway);
      const retries = /openclaw_upstream_stale_connections_total\{provider="a"\} (\d+)/.exec(figures)?.[1];
      return {
        by: response.headers.get("x-openclaw-provider"),
        tries: response.headers.get("x-openclaw-tries"),
        retries: Number(retries ?? 0),
        asked: (await a.ledger()).length,
        failures: (await upstreamsOf(gateway))[0]?.failures ?? 0,
      };
    } finally {
      await gateway.close();
    }
  }

  test("is replaced by a new one, which nobody notices", async () => {
    const seen = await second([{ reset: "before-headers" }, {}]);
    assert.deepEqual(seen, { by: "a", tries: "1", retries: 1, asked: 3, failures: 0 });
  });

  test("once: when the new one breaks too it is the upstream's failure", async () => {
    const seen = await second([{ reset: "before-headers" }, { reset: "before-headers" }]);
    assert.deepEqual(seen, { by: "b", tries: "2", retries: 1, asked: 3, failures: 1 });
  });

  test("is a failure when some of the answer had come", async () => {
    const seen = await second([{ raw: "HTTP/1.1 200 OK\r\ncontent-" }]);
    assert.deepEqual(seen, { by: "b", tries: "2", retries: 0, asked: 2, failures: 1 });
  });
});

describe("one deadline for all tries", () => {
  async function late(totalMs: number, aSeconds: number, first: Behaviour) {
    await Promise.all([a.script([first]), b.script([{ hang: "before-headers" }])]);
    const timeouts = { ...shortTimeouts, totalMs };
    const gateway = await startWithFallback(a.baseUrl, b, { timeouts, routing: { fallbacks } }, aSeconds);
    try {
      const response = await chat(gateway.url, { model });
      const text = await response.text();
      return { status: response.status, text, tries: response.headers.get("x-openclaw-tries") };
    } finally {
      await gateway.close();
    }
  }

  test("a later upstream gets what is left", async () => {
    const { status, text, tries } = await late(700, 0.4, { hang: "before-headers" });
    assert.deepEqual([status, tries], [504, "2"], text);
    const limit = Number(/within ([\d.]+) ms/.exec(text)?.[1]);
    assert.ok(limit <= 305, text);
  });

  test("a provider's own time may be longer than everybody's", async () => {
    const { status, tries } = await late(100, 20, { delayMs: 300 });
    assert.deepEqual([status, tries], [200, "1"]);
  });
});

describe("checks", () => {
  test("a provider that is down is passed over, and used again when a look finds it up", async () => {
    await Promise.all([a.script([{ modelsStatus: 500 }]), b.script([{}])]);
    const health = { intervalMs: 50, downIntervalMs: 50 };
    const gateway = await startWithFallback(a.baseUrl, b, { health, routing: { fallbacks } });
    try {
      const ask = async () => {
        const response = await chat(gateway.url, { model });
        await response.text();
        return `${response.headers.get("x-openclaw-provider")} ${response.headers.get("x-openclaw-tries")}`;
      };
      await degraded(gateway, "model:a", true);
      assert.equal(await ask(), "b 1");
      assert.equal((await a.ledger()).length, 0);
      const models = await fetch(`${gateway.url}/readyz/models`);
      assert.equal(models.status, 200, "the fallback lives");
      await a.script([{}]);
      await degraded(gateway, "model:a", false);
      assert.equal(await ask(), "a 1");
    } finally {
      await gateway.close();
    }
  });

  test("where there is no list, /health tells", async () => {
    await Promise.all([a.script([{ modelsStatus: 404, healthStatus: 503 }]), b.script([{}])]);
    const gateway = await startWithFallback(a.baseUrl, b, { health: { intervalMs: 50, downIntervalMs: 50 } });
    try {
      await degraded(gateway, "model:a", true);
      await a.script([{ modelsStatus: 404, healthStatus: 200 }]);
      await degraded(gateway, "model:a", false);
      await a.script([{ modelsStatus: 404 }]);
      for (let looks = 0; looks < 3; looks += 1) await gateway.app.context.runtime().health.check();
      await degraded(gateway, "model:a", false);
    } finally {
      await gateway.close();
    }
  });

  test("one that was down is looked at each downIntervalMs, and is up with the first look that it answers", async () => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      let alive = false;
      const provider: Provider = {
        id: "p",
        kind: "test",
        models: [],
        apis: [],
        call: () => ({ abort() {}, resume() {} }),
        listServed: async () => (alive ? [] : Promise.reject(new Error("dead"))),
        close: async () => {},
      };
      const changes: string[] = [];
      const health = createHealth({
        providers: [provider],
        intervalMs: 30_000,
        timeoutMs: 1000,
        downIntervalMs: 5000,
        onServed: () => {},
        onChange: ({ state }) => changes.push(state),
      });
      await health.check();
      alive = true;
      mock.timers.tick(4999);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(health.of("p").state, "down");
      mock.timers.tick(1);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(changes, ["down", "up"]);
      health.close();
    } finally {
      mock.timers.reset();
    }
  });
});

test("readiness: ready with a dead model, and who may read sees why; models are ready while one of them lives", async () => {
  await Promise.all([a.script([{ modelsStatus: 500 }]), b.script([{ modelsStatus: 500 }])]);
  const gateway = await startWithFallback(a.baseUrl, b, { health: { intervalMs: 50, downIntervalMs: 50 } });
  try {
    await degraded(gateway, "model:b", true);
    await degraded(gateway, "model:a", true);
    const anonymous = await fetch(`${gateway.url}/readyz`);
    assert.equal(anonymous.status, 200);
    const shown: unknown = await anonymous.json();
    assert.deepEqual(Object.keys(Object(shown)).sort(), ["degraded", "failing", "ready", "status"]);
    const detail: unknown = await (await fetch(`${gateway.url}/readyz`, { headers: bearer })).json();
    const providers: unknown = Reflect.get(Object(detail), "providers");
    assert.ok(Array.isArray(providers));
    for (const provider of providers) {
      assert.equal(Reflect.get(Object(provider), "state"), "down");
      assert.match(String(Reflect.get(Object(provider), "reason")), /answered 500/);
    }
    for (const name of ["upstreams", "config", "activeRequests"]) assert.ok(Reflect.has(Object(detail), name), name);
    assert.equal((await fetch(`${gateway.url}/readyz/models`)).status, 503);
    await b.script([{}]);
    assert.equal((await fetch(`${gateway.url}/readyz/models`)).status, 200, "whoever waits is told at once");
  } finally {
    await gateway.close();
  }
});

describe("an engine's prefix cache", () => {
  const pools = { both: { members: ["a/fake-model", "b/fake-model"], sticky: "prompt" as const } };
  const conversations = Array.from({ length: 12 }, (_, index) => `Tell me about number ${index}.`);
  const turn = (first: string, count: number): object => ({
    model: "both",
    messages: [
      { role: "system", content: "You are brief." },
      { role: "user", content: first },
      ...Array.from({ length: count }, (_, at) => [
        { role: "assistant", content: `answer ${at}` },
        { role: "user", content: `and then ${at}?` },
      ]).flat(),
    ],
  });

  test("is used: the turns of a conversation meet the upstream that read its beginning; what a lost member had moves, no more", async () => {
    await Promise.all([a.script([{}]), b.script([{}])]);
    const breaker = { failures: 1, openMs: 60_000, lastResort: false };
    const gateway = await startWithFallback(a.baseUrl, b, { routing: { pools, breaker } });
    try {
      const place = async (first: string, count: number) => {
        const response = await chat(gateway.url, turn(first, count));
        assert.equal(response.status, 200, await response.text());
        return response.headers.get("x-openclaw-provider");
      };
      const homes = new Map<string, string | null>();
      for (const first of conversations) homes.set(first, await place(first, 0));
      assert.deepEqual(new Set(homes.values()), new Set(["a", "b"]), "they are spread");
      for (const count of [1, 2]) for (const first of conversations) assert.equal(await place(first, count), homes.get(first));
      for (const upstream of [a, b]) {
        const read = new Set<string>();
        let missed = 0;
        for (const { body } of await upstream.ledger()) {
          const first = conversations.find((text) => body.includes(JSON.stringify(text))) ?? "";
          if (!read.has(first) && body.includes("and then")) missed += 1;
          read.add(first);
        }
        assert.equal(missed, 0, "each later turn finds its beginning in the cache");
      }
      await a.script([{ reset: "before-headers" }]);
      for (const first of conversations) assert.equal(await place(first, 3), "b");
    } finally {
      await gateway.close();
    }
  });

  test("does not overload its upstream: calls at the same time spill over", async () => {
    await Promise.all([a.script([{ hang: "before-headers" }]), b.script([{ hang: "before-headers" }])]);
    const gateway = await startWithFallback(a.baseUrl, b, {
      timeouts: { ...shortTimeouts, headersMs: 20_000 },
      routing: { pools },
    });
    const leave = new AbortController();
    try {
      const calls: Promise<unknown>[] = [];
      for (let call = 1; call <= 8; call += 1) {
        calls.push(chat(gateway.url, turn("the same", 0), bearer, leave.signal).catch(() => undefined));
        while ((await a.ledger()).length + (await b.ledger()).length < call);
      }
      const counts = [(await a.ledger()).length, (await b.ledger()).length].sort();
      assert.ok((counts[0] ?? 0) >= 2, `${counts}`);
      leave.abort();
      await Promise.all(calls);
    } finally {
      await gateway.close();
    }
  });
});

/** Asks until readiness says so. */
async function degraded(gateway: TestGateway, what: string, wanted: boolean): Promise<void> {
  const until = performance.now() + 20_000;
  for (;;) {
    const body: unknown = await (await fetch(`${gateway.url}/readyz`)).json();
    const list: unknown = Reflect.get(Object(body), "degraded");
    if (Array.isArray(list) && list.includes(what) === wanted) return;
    assert.ok(performance.now() < until, `${what} stays ${wanted ? "away from" : "in"} ${JSON.stringify(list)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
