// What a provider says of its own limits in an answer's headers, in OpenAI's and in Anthropic's spelling.
// https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers and https://docs.anthropic.com/en/api/rate-limits#response-headers

/** A header's value by its name in lower case. */
export type HeaderReader = (name: string) => string | undefined;

export interface RateLimit {
  readonly remaining: number;
  readonly limit: number | undefined;
  /** Until all of it is there again. */
  readonly resetMs: number;
}

export interface RateHeaders {
  readonly requests: RateLimit | undefined;
  readonly tokens: RateLimit | undefined;
  /** Nothing may be sent for so long. */
  readonly retryAfterMs: number | undefined;
}

/** `nowMs` is the time of day. Undefined: the answer says nothing of limits. */
export function readRateHeaders(header: HeaderReader, status: number, nowMs: number = Date.now()): RateHeaders | undefined {
  const openai = header("x-ratelimit-remaining-requests") !== undefined || header("x-ratelimit-remaining-tokens") !== undefined;
  const ofOpenai = (kind: string): RateLimit | undefined =>
    limitOf(
      header(`x-ratelimit-remaining-${kind}`),
      header(`x-ratelimit-limit-${kind}`),
      header(`x-ratelimit-reset-${kind}`),
      nowMs,
    );
  const ofAnthropic = (kind: string): RateLimit | undefined =>
    limitOf(
      header(`anthropic-ratelimit-${kind}-remaining`),
      header(`anthropic-ratelimit-${kind}-limit`),
      header(`anthropic-ratelimit-${kind}-reset`),
      nowMs,
    );
  const requests = openai ? ofOpenai("requests") : ofAnthropic("requests");
  // Anthropic limits what goes in and what comes out apart; its "tokens" are whichever of its limits is closest.
  const tokens = openai
    ? ofOpenai("tokens")
    : scarcest([ofAnthropic("tokens"), ofAnthropic("input-tokens"), ofAnthropic("output-tokens")]);
  // Of other answers it is about the resource, as in a redirect.
  const retryAfterMs = status === 429 || status === 503 || status === 529 ? retryAfter(header, nowMs) : undefined;
  return requests || tokens || retryAfterMs !== undefined ? { requests, tokens, retryAfterMs } : undefined;
}

/** Until `size` of it are there: limits fill up evenly until their reset (token buckets, as both providers describe them). */
export function refillMs({ remaining, limit, resetMs }: RateLimit, size: number): number {
  if (remaining >= size) return 0;
  if (limit === undefined || limit <= remaining) return resetMs;
  return (resetMs * (Math.min(size, limit) - remaining)) / (limit - remaining);
}

/** The one with the least part of it left; of those equally used up the one that is full again last. */
function scarcest(limits: readonly (RateLimit | undefined)[]): RateLimit | undefined {
  const left = ({ remaining, limit }: RateLimit): number => (limit ? remaining / limit : remaining > 0 ? 1 : 0);
  return limits
    .filter((one) => one !== undefined)
    .sort((one, other) => left(one) - left(other) || other.resetMs - one.resetMs)[0];
}

function limitOf(
  remainingText: string | undefined,
  limitText: string | undefined,
  resetText: string | undefined,
  nowMs: number,
): RateLimit | undefined {
  const remaining = count(remainingText);
  const resetMs = resetText === undefined ? undefined : untilMs(resetText, nowMs);
  if (remaining === undefined || resetMs === undefined) return undefined;
  return { remaining, limit: count(limitText), resetMs };
}

function count(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? Math.max(0, value) : undefined;
}

/** retry-after-ms is what OpenAI's SDK looks at first; retry-after is RFC 9110 10.2.3: seconds, or a date. */
function retryAfter(header: HeaderReader, nowMs: number): number | undefined {
  const exact = count(header("retry-after-ms"));
  if (exact !== undefined) return bounded(exact);
  const text = header("retry-after");
  if (text === undefined) return undefined;
  const seconds = count(text);
  if (seconds !== undefined) return bounded(seconds * 1000);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : bounded(date - nowMs);
}

/** No limit of a provider lasts longer; one that is misread must not end its use for ever. */
const longestMs = 86_400_000;

const bounded = (ms: number): number => Math.min(longestMs, Math.max(0, ms));

const unitsMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** "6m0s", "120ms", "1.5s" (OpenAI), seconds as a number, or a time such as 2026-01-27T12:00:00Z (Anthropic). */
function untilMs(text: string, nowMs: number): number | undefined {
  const word = text.trim();
  if (/^\d+(\.\d+)?$/.test(word)) {
    const number = Number(word);
    // Some name the time of day at which it is full again, in seconds or milliseconds since 1970.
    return bounded(number > 1e11 ? number - nowMs : number > 1e9 ? number * 1000 - nowMs : number * 1000);
  }
  const parts = [...word.matchAll(/(\d+(?:\.\d+)?)(ms|d|h|m|s)/g)];
  if (parts.length > 0 && parts.map(([part]) => part).join("") === word) {
    return bounded(parts.reduce((sum, [, value, unit]) => sum + Number(value) * (unitsMs[unit ?? ""] ?? 0), 0));
  }
  const date = Date.parse(word);
  return Number.isNaN(date) ? undefined : bounded(date - nowMs);
}
