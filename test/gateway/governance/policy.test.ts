// What a config allows a token, without a gateway around it: periods of budgets, names of models, figures in headers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decimal, duration, writeLimitHeaders } from "../../../gateway/governance/headers.ts";
import { mayAsk } from "../../../gateway/governance/models.ts";
import { type Policy, periodOf } from "../../../gateway/governance/policy.ts";
import { AnswerHeaders } from "../../../gateway/models/answer-headers.ts";
import type { Provider } from "../../../gateway/models/provider.ts";
import { createRouter } from "../../../gateway/models/router.ts";

describe("periods of a budget, in UTC", () => {
  const cases: ["day" | "week" | "month", string, string, string][] = [
    ["day", "2026-03-01T23:59:59.999Z", "2026-03-01", "2026-03-02"],
    ["week", "2026-03-02T00:00:00Z", "2026-03-02", "2026-03-09"],
    ["week", "2026-03-01T12:00:00Z", "2026-02-23", "2026-03-02"],
    ["month", "2026-12-31T23:00:00Z", "2026-12-01", "2027-01-01"],
    ["month", "2028-02-29T00:00:00Z", "2028-02-01", "2028-03-01"],
  ];
  for (const [window, now, start, end] of cases) {
    test(`${window} of ${now}`, () => {
      const { startMs, endsMs } = periodOf(window, Date.parse(now));
      assert.deepEqual(
        [new Date(startMs).toISOString(), new Date(endsMs).toISOString()],
        [`${start}T00:00:00.000Z`, `${end}T00:00:00.000Z`],
      );
    });
  }
  test("total never ends", () => assert.ok(periodOf("total", Date.now()).endsMs > Date.parse("9999-01-01")));
});

function provider(id: string, models: string[]): Provider {
  return {
    id,
    kind: "fake",
    models: models.map((model) => ({ id: model })),
    apis: [],
    call: () => ({ abort() {}, resume() {} }),
    listServed: async () => [],
    close: async () => {},
  };
}

describe("models that a token may ask for", () => {
  const router = createRouter({
    providers: [provider("openai", ["gpt-5", "gpt-5-mini"]), provider("local", ["Qwen/Qwen3-8B", "gpt-5-mini"])],
    primary: "openai/gpt-5",
    fallbacks: [],
    aliases: new Map([["fast", "local/Qwen/Qwen3-8B"]]),
    routing: {
      fallbacks: {},
      pools: { shared: { members: ["openai/gpt-5-mini", "local/gpt-5-mini"], sticky: "none" } },
    },
  });
  const cases: [string[], string, boolean][] = [
    [["openai/gpt-5"], "openai/gpt-5", true],
    [["openai/gpt-5"], "openai/gpt-5-mini", false],
    [["gpt-5"], "openai/gpt-5", true],
    [["openai/*"], "openai/gpt-5-mini", true],
    [["openai/*"], "local/gpt-5-mini", false],
    [["gpt-5*"], "local/gpt-5-mini", true],
    [["*mini"], "openai/gpt-5", false],
    [["*"], "shared", true],
    [["shared"], "shared", true],
    [["shared"], "openai/gpt-5-mini", false],
    [["openai/gpt-5-mini"], "shared", false],
    [["fast"], "fast", true],
    [["fast"], "local/Qwen/Qwen3-8B", true],
    [["fast"], "openai/gpt-5", false],
    [["local/*8B"], "fast", true],
    [["gpt*5*mini"], "openai/gpt-5-mini", true],
    [["gpt-5-mini*mini"], "openai/gpt-5-mini", false],
    [["nothing"], "openai/gpt-5", false],
  ];
  for (const [models, asked, wanted] of cases)
    test(`${models} ${wanted ? "allows" : "refuses"} ${asked}`, () =>
      assert.equal(mayAsk(models, router, router.resolve(asked)), wanted));
});

describe("headers", () => {
  test("durations as OpenAI writes them", () =>
    assert.deepEqual([0, 20, 1000, 1450, 59_900, 60_000, 361_000].map(duration), [
      "0ms",
      "20ms",
      "1s",
      "1.5s",
      "59.9s",
      "1m0s",
      "6m1s",
    ]));

  const perMinute = { kind: "window", limit: 60, windowMs: 60_000 } as const;
  const policy: Policy = {
    tokenId: "ci",
    allRequests: undefined,
    requests: { key: "r", rule: perMinute, one: { key: "r", rule: perMinute, reason: "requests", amount: 1, least: 1 } },
    tokens: { key: "t", rule: { kind: "window", limit: 1000, windowMs: 60_000 } },
    concurrent: undefined,
    budget: undefined,
    models: undefined,
    header: '"requests";q=60;w=60, "tokens";q=1000;w=60',
  };
  const taken = { ok: true, remaining: 42, resetMs: 1500, retryAfterMs: 0, stamp: 0, amount: 1 };
  const now = (): number => Date.parse("2026-03-01T00:00:00Z");

  test("numbers and times as they are read everywhere", () => {
    for (const whole of [0, 7, 999, 1000, 1001, 10_010, 999_999, 1_000_000, 100_000_000_000, 123_456_789_012])
      assert.equal(decimal(whole), String(whole));
    const times = [0, 0.2, 20, 999.5, 1000, 1001, 1500, 59_900, 59_999, 60_000, 61_250, 360_000, 3_600_000];
    assert.deepEqual(times.map(duration), [
      "0ms",
      "1ms",
      "20ms",
      "1000ms",
      "1s",
      "1.1s",
      "1.5s",
      "59.9s",
      "1m0s",
      "1m0s",
      "1m1.3s",
      "6m0s",
      "60m0s",
    ]);
  });

  test("of OpenAI's APIs", () => {
    const headers = new AnswerHeaders();
    writeLimitHeaders(headers, "responses", policy, taken, { ...taken, remaining: -7 }, now);
    assert.deepEqual(headers.toObject(), {
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "42",
      "x-ratelimit-reset-requests": "1.5s",
      "x-ratelimit-limit-tokens": "1000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "1.5s",
      "ratelimit-policy": '"requests";q=60;w=60, "tokens";q=1000;w=60',
      ratelimit: '"requests";r=42;t=2, "tokens";r=0;t=2',
    });
  });

  test("of Anthropic's", () => {
    const headers = new AnswerHeaders();
    writeLimitHeaders(headers, "messages", { ...policy, tokens: undefined }, taken, undefined, now);
    assert.deepEqual(headers.toObject(), {
      "anthropic-ratelimit-requests-limit": "60",
      "anthropic-ratelimit-requests-remaining": "42",
      "anthropic-ratelimit-requests-reset": "2026-03-01T00:00:01.500Z",
      "ratelimit-policy": policy.header,
      ratelimit: '"requests";r=42;t=2',
    });
  });
});
