// What providers say of their limits: OpenAI's and Anthropic's headers, as their documentation shows them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readRateHeaders, refillMs } from "../../../gateway/models/admission/rate-headers.ts";

const now = Date.parse("2026-01-27T12:00:00Z");
const read = (headers: Record<string, string>, status = 200) => readRateHeaders((name) => headers[name], status, now);

test("OpenAI's: remaining, limit, and reset as a duration", () => {
  const headers = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
  };
  assert.deepEqual(read(headers), {
    requests: { remaining: 59, limit: 60, resetMs: 1000 },
    tokens: { remaining: 149_984, limit: 150_000, resetMs: 360_000 },
    retryAfterMs: undefined,
  });
  for (const [text, ms] of [
    ["120ms", 120],
    ["1h2m3.5s", 3_723_500],
    ["17", 17_000],
  ] as const) {
    assert.equal(read({ ...headers, "x-ratelimit-reset-requests": text })?.requests?.resetMs, ms);
  }
});

test("a time of day in place of a span is one, and nothing that is said lasts longer than a day", () => {
  const day = 86_400_000;
  const resetOf = (text: string) =>
    read({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": text })?.requests?.resetMs;
  assert.equal(resetOf(String(now / 1000 + 30)), 30_000);
  assert.equal(resetOf(String(now + 30_000)), 30_000);
  for (const text of ["9".repeat(400), "900d", "2999-01-01T00:00:00Z"]) assert.equal(resetOf(text), day, text);
  for (const text of ["99999999", "Thu, 01 Jan 2999 00:00:00 GMT"])
    assert.equal(read({ "retry-after": text }, 429)?.retryAfterMs, day, text);
});

test("Anthropic's: reset as a time", () => {
  const headers = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-01-27T12:00:30Z",
  };
  assert.deepEqual(read(headers)?.requests, { remaining: 0, limit: 1000, resetMs: 30_000 });
  assert.equal(read(headers)?.tokens, undefined);
});

test("Anthropic's limits of tokens in and tokens out: the scarcer one counts", () => {
  const of = (kind: string, remaining: number, limit: number, reset: string) => ({
    [`anthropic-ratelimit-${kind}-limit`]: String(limit),
    [`anthropic-ratelimit-${kind}-remaining`]: String(remaining),
    [`anthropic-ratelimit-${kind}-reset`]: reset,
  });
  const input = of("input-tokens", 40_000, 50_000, "2026-01-27T12:00:12Z");
  const output = of("output-tokens", 100, 10_000, "2026-01-27T12:00:50Z");
  assert.deepEqual(read({ ...input, ...output })?.tokens, { remaining: 100, limit: 10_000, resetMs: 50_000 });
  assert.deepEqual(read(input)?.tokens, { remaining: 40_000, limit: 50_000, resetMs: 12_000 });
  const both = of("tokens", 0, 60_000, "2026-01-27T12:00:20Z");
  assert.deepEqual(read({ ...both, ...input, ...output })?.tokens, { remaining: 0, limit: 60_000, resetMs: 20_000 });
});

test("retry-after: finer before coarser, seconds or a date, and only of a refusal", () => {
  const date = new Date(now + 7000).toUTCString();
  assert.equal(read({ "retry-after-ms": "1500", "retry-after": "2" }, 429)?.retryAfterMs, 1500);
  assert.equal(read({ "retry-after": "2" }, 429)?.retryAfterMs, 2000);
  assert.equal(read({ "retry-after": date }, 503)?.retryAfterMs, 7000);
  assert.equal(read({ "retry-after": "2" }, 200), undefined);
});

test("what cannot be read says nothing", () => {
  assert.equal(read({}), undefined);
  assert.equal(read({ "x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "soon" }), undefined);
  assert.equal(read({ "retry-after": "soon" }, 429), undefined);
});

test("limits fill up evenly until their reset", () => {
  assert.equal(refillMs({ remaining: 5, limit: 60, resetMs: 55_000 }, 1), 0);
  assert.equal(refillMs({ remaining: 0, limit: 60, resetMs: 60_000 }, 1), 1000);
  assert.equal(refillMs({ remaining: 0, limit: undefined, resetMs: 60_000 }, 1), 60_000);
  assert.equal(refillMs({ remaining: 500, limit: 1000, resetMs: 30_000 }, 5000), 30_000, "never more than all of it");
});
