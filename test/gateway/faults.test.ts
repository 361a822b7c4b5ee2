// Each way in which an upstream can fail: what the client sees, how fast another one answers, the breaker, the figures.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { bearer, chat } from "../support/gateway.ts";
import { startSilentServer } from "../support/silent-server.ts";
import { metricsOf, shortTimeouts, startWithFallback, upstreamsOf } from "../support/two-upstreams.ts";

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
  // Loads what the first request of a process has to load.
  const gateway = await startWithFallback(a.baseUrl, b);
  await (await chat(gateway.url, { model: "a/fake-model" })).text();
  await gateway.close();
});
after(() => Promise.all([a.close(), b.close()]));

interface Fault {
  name: string;
  behaviour?: Behaviour;
  /** Default: both. */
  stream?: boolean;
  status: number;
  code: string;
  /** The timeout that ends it. */
  limitMs?: number;
  /** The whole call at "a". */
  seconds?: number;
  at?: "refuses" | "never connects";
  opensAtOnce?: boolean;
}

const whole = (type: string, body: string, length = Buffer.byteLength(body)): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n${body}`;

const faults: Fault[] = [
  { name: "refused connection", at: "refuses", status: 502, code: "upstream_unreachable" },
  {
    name: "silence while connecting",
    at: "never connects",
    status: 504,
    code: "upstream_timeout",
    limitMs: shortTimeouts.connectMs,
  },
  { name: "reset before headers", behaviour: { reset: "before-headers" }, status: 502, code: "upstream_failed" },
  { name: "reset after headers", behaviour: { reset: "after-headers" }, status: 502, code: "upstream_cut" },
  {
    name: "silence before headers",
    behaviour: { hang: "before-headers" },
    stream: true,
    status: 504,
    code: "upstream_timeout",
    limitMs: shortTimeouts.headersMs,
  },
  {
    name: "silence before the first token",
    behaviour: { hang: "after-headers" },
    stream: true,
    status: 504,
    code: "upstream_timeout",
    limitMs: shortTimeouts.firstTokenMs,
  },
  {
    name: "silence instead of JSON",
    behaviour: { hang: "before-headers" },
    stream: false,
    status: 504,
    code: "upstream_timeout",
    seconds: 0.3,
    limitMs: 300,
  },
  {
    name: "429 with Retry-After",
    behaviour: { status: 429, headers: { "retry-after": "30" } },
    status: 429,
    code: "upstream_rate_limited",
    opensAtOnce: true,
  },
  { name: "500", behaviour: { status: 500 }, status: 502, code: "upstream_failed" },
  { name: "503", behaviour: { status: 503 }, status: 502, code: "upstream_failed" },
  {
    name: "half of the JSON in whole HTTP",
    behaviour: { raw: whole("application/json", '{"id":"x","choices":[{"index":0,"message":{"role":"assis') },
    stream: false,
    status: 502,
    code: "upstream_malformed",
  },
  { name: "a page", behaviour: { raw: whole("text/html", "<p>Please log in.") }, status: 502, code: "upstream_malformed" },
  {
    name: "events instead of JSON",
    behaviour: { raw: whole("text/event-stream", "data: {}\n\ndata: [DONE]\n\n") },
    stream: false,
    status: 502,
    code: "upstream_malformed",
  },
  { name: "no HTTP", behaviour: { raw: "220 mail.example.org ESMTP\r\n" }, status: 502, code: "upstream_malformed" },
  {
    name: "fewer bytes than promised",
    behaviour: { raw: whole("application/json", '{"id":"x"}', 500) },
    stream: false,
    status: 502,
    code: "upstream_cut",
  },
  {
    name: "an empty stream",
    behaviour: { raw: whole("text/event-stream", "") },
    stream: true,
    status: 502,
    code: "upstream_cut",
  },
];

for (const fault of faults) {
  for (const stream of fault.stream === undefined ? [false, true] : [fault.stream]) {
    test(`${fault.name}, ${stream ? "streaming" : "JSON"}`, async () => {
      await Promise.all([a.script([fault.behaviour ?? {}]), b.script([{}])]);
      const silent = fault.at === "never connects" ? await startSilentServer() : undefined;
      const aUrl =
        silent !== undefined
          ? `https://127.0.0.1:${silent.port}/v1`
          : fault.at === "refuses"
            ? `http://127.0.0.1:${await freePort()}/v1`
            : a.baseUrl;
      const gateway = await startWithFallback(aUrl, b, {}, fault.seconds);
      const body = { model: "a/fake-model", stream };
      try {
        const begun = performance.now();
        const saved = await chat(gateway.url, body);
        const text = await saved.text();
        const ms = performance.now() - begun;
        assert.equal(saved.status, 200, text);
        assert.equal(saved.headers.get("x-openclaw-provider"), "b");
        assert.equal(saved.headers.get("x-openclaw-tries"), "2");
        assert.match(text, /Hello/);
        const limitMs = fault.limitMs ?? 0;
        assert.ok(ms >= limitMs - 5, `failed over after ${ms} ms, before the timeout of ${limitMs} ms`);
        assert.ok(ms < limitMs + 900, `failed over after ${ms} ms`);
        if (fault.opensAtOnce) assert.equal((await upstreamsOf(gateway))[0]?.breaker, "open");

        const alone = await chat(gateway.url, body, { ...bearer, "x-openclaw-no-fallback": "1" });
        const failure: unknown = Reflect.get(Object(await alone.json()), "error");
        assert.deepEqual(
          { status: alone.status, code: Reflect.get(Object(failure), "code"), tries: alone.headers.get("x-openclaw-tries") },
          { status: fault.status, code: fault.code, tries: "1" },
        );
        assert.equal(alone.headers.get("retry-after"), fault.opensAtOnce ? "30" : null);

        // Two failures opened the breaker: "a" is not asked any more.
        const asked = (await a.ledger()).length;
        const warm = await chat(gateway.url, body);
        await warm.text();
        assert.equal(warm.headers.get("x-openclaw-provider"), "b");
        assert.equal(warm.headers.get("x-openclaw-tries"), "1");
        assert.equal((await a.ledger()).length, asked);

        const shown = (await upstreamsOf(gateway)).find(({ upstream }) => upstream === "a/fake-model");
        assert.deepEqual(
          { breaker: shown?.breaker, failures: shown?.failures, reason: shown?.reason, active: shown?.active },
          { breaker: "open", failures: 2, reason: fault.code, active: 0 },
        );
        if (fault.opensAtOnce) assert.ok((shown?.openForMs ?? 0) > 25_000 && (shown?.openForMs ?? 0) <= 30_000);
        const figures = await metricsOf(gateway);
        const at = 'provider="a",model="fake-model"';
        assert.ok(figures.includes(`openclaw_model_failover_total{reason="${fault.code}"} 1\n`), "failovers by reason");
        assert.ok(figures.includes(`openclaw_llm_requests_total{${at},outcome="${fault.code}"} 2\n`), "outcomes");
        assert.ok(figures.includes(`openclaw_upstream_breaker_state{${at}} 2\n`), "state of the breaker");
        if (silent) await silent.until(0);
      } finally {
        await gateway.close();
        await silent?.close();
      }
    });
  }
}

describe("once something of the answer is with the client", () => {
  for (const [name, behaviour, code] of [
    ["a stream that is cut", { cutAfterChunks: 2 }, "upstream_cut"],
    ["a stream that falls silent", { hang: "mid-stream" }, "upstream_timeout"],
    [
      "a stream that is no SSE and ends without a terminator",
      { raw: whole("text/event-stream", "data: {oops\n\n") },
      "upstream_cut",
    ],
    ["fewer bytes of a stream than promised", { raw: whole("text/event-stream", "data: {}\n\n", 400) }, "upstream_cut"],
  ] as const) {
    test(`${name} ends in an error event and a broken connection, and nobody else is asked`, async () => {
      await Promise.all([a.script([behaviour]), b.script([{}])]);
      const gateway = await startWithFallback(a.baseUrl, b);
      try {
        const response = await chat(gateway.url, { model: "a/fake-model", stream: true });
        assert.equal(response.headers.get("x-openclaw-provider"), "a");
        let text = "";
        await assert.rejects(async () => {
          for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString("utf8");
        }, "the connection breaks");
        assert.match(text, new RegExp(`\\n\\ndata: \\{"error":\\{.*"code":"${code}".*\\}\\}\\n\\n$`));
        assert.equal((await b.ledger()).length, 0);
        const figures = await metricsOf(gateway);
        assert.doesNotMatch(figures, /openclaw_model_failover_total\{/);
      } finally {
        await gateway.close();
      }
    });
  }

  test("comments of a waiting stream are not an answer: another upstream may still give it", async () => {
    await Promise.all([a.script([{ hang: "after-headers" }]), b.script([{}])]);
    const gateway = await startWithFallback(a.baseUrl, b, {
      timeouts: { ...shortTimeouts, firstTokenMs: 400 },
      http: { sseKeepAliveMs: 50 },
      routing: { fallbacks: { "a/fake-model": ["b/fake-model"] } },
    });
    try {
      const response = await chat(gateway.url, { model: "a/fake-model", stream: true });
      assert.equal(response.headers.get("x-openclaw-provider"), null, "nobody knows yet who will answer");
      const text = await response.text();
      assert.match(text, /^: keep-alive\n\n/);
      assert.match(text, /Hello[\s\S]*data: \[DONE\]\n\n$/);
    } finally {
      await gateway.close();
    }
  });
});

describe("odd but whole answers", () => {
  test("one byte at a time, and 20 MB", async () => {
    const gateway = await startWithFallback(a.baseUrl, b);
    try {
      await a.script([{ drip: true }]);
      const dripped = await chat(gateway.url, { model: "a/fake-model", stream: true });
      assert.match(await dripped.text(), /Hello[\s\S]*\[DONE\]\n\n$/);
      await a.script([{ words: ["x".repeat(20_000_000)] }]);
      const large: unknown = await (await chat(gateway.url, { model: "a/fake-model" })).json();
      assert.ok(JSON.stringify(large).length > 20_000_000);
      assert.deepEqual(await upstreamsOf(gateway), []);
    } finally {
      await gateway.close();
    }
  });
});

test("a request's own fault is not the upstream's: no other one is asked, no breaker counts it", async () => {
  await Promise.all([a.script([{ status: 400 }]), b.script([{}])]);
  const gateway = await startWithFallback(a.baseUrl, b);
  try {
    const response = await chat(gateway.url, { model: "a/fake-model" });
    await response.text();
    assert.equal(response.status, 400);
    assert.equal((await b.ledger()).length, 0);
    assert.deepEqual(await upstreamsOf(gateway), []);
  } finally {
    await gateway.close();
  }
});

test("after its pause one request tries the upstream again, and it is back", async () => {
  await Promise.all([a.script([{ status: 500 }]), b.script([{}])]);
  const routing = { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 1, openMs: 300 } };
  const gateway = await startWithFallback(a.baseUrl, b, { routing });
  try {
    await (await chat(gateway.url, { model: "a/fake-model" })).text();
    assert.equal((await upstreamsOf(gateway))[0]?.breaker, "open");
    await a.script([{}]);
    while ((await upstreamsOf(gateway))[0]?.breaker === "open");
    assert.equal((await upstreamsOf(gateway))[0]?.breaker, "half-open");
    const trial = await chat(gateway.url, { model: "a/fake-model" });
    await trial.text();
    assert.equal(trial.headers.get("x-openclaw-provider"), "a");
    assert.deepEqual(await upstreamsOf(gateway), []);
    assert.match(await metricsOf(gateway), /openclaw_upstream_breaker_state\{provider="a",model="fake-model"\} 0\n/);
  } finally {
    await gateway.close();
  }
});

test("without a last resort a request is refused at once, with the time to wait", async () => {
  await a.script([{ status: 429, headers: { "retry-after": "7" } }]);
  const gateway = await startWithFallback(a.baseUrl, b, { routing: { breaker: { lastResort: false } } });
  try {
    await (await chat(gateway.url, { model: "a/fake-model" })).text();
    const refused = await chat(gateway.url, { model: "a/fake-model" });
    const text = await refused.text();
    assert.equal(refused.status, 503, text);
    assert.match(text, /"code":"upstream_unavailable"/);
    assert.match(refused.headers.get("retry-after") ?? "", /^[67]$/);
    assert.equal((await a.ledger()).length, 1);
    const open: unknown = await (await fetch(`${gateway.url}/readyz`)).json();
    assert.equal(Reflect.get(Object(open), "upstreams"), undefined, "breakers are shown to those who may read");
  } finally {
    await gateway.close();
  }
});

test("a pool answers by its name from any member, and a member that dies costs no request", async () => {
  await Promise.all([a.script([{}]), b.script([{}])]);
  const gateway = await startWithFallback(a.baseUrl, b, {
    routing: { pools: { both: { members: ["a/fake-model", "b/fake-model"] } }, breaker: { failures: 1, openMs: 60_000 } },
  });
  try {
    const answeredBy: (string | null)[] = [];
    const ask = async (model: string): Promise<void> => {
      const response = await chat(gateway.url, { model });
      await response.text();
      assert.equal(response.status, 200);
      answeredBy.push(response.headers.get("x-openclaw-provider"));
    };
    for (let call = 0; call < 4; call += 1) await ask(call % 2 === 0 ? "both" : "fake-model");
    assert.deepEqual(answeredBy.toSorted(), ["a", "a", "b", "b"]);
    await a.script([{ reset: "before-headers" }]);
    for (let call = 0; call < 4; call += 1) await ask("both");
    assert.deepEqual(answeredBy.slice(4), ["b", "b", "b", "b"]);
    assert.equal((await a.ledger()).length, 2, "over the connection that was kept, and once more over a new one");
    const models = await (await fetch(`${gateway.url}/v1/models`, { headers: bearer })).text();
    assert.match(models, /"id":"both"/);
  } finally {
    await gateway.close();
  }
});
