// The headers in which an answer says what is left of the limits: OpenAI's, Anthropic's, and the IETF's draft.
import type { AnswerHeaders } from "../models/answer-headers.ts";
import type { ClientApi } from "../models/provider.ts";
import type { Taken } from "../store/allowances.ts";
import type { Policy } from "./policy.ts";

/**
 * https://platform.openai.com/docs/guides/rate-limits (x-ratelimit-*), https://docs.anthropic.com/en/api/rate-limits
 * (anthropic-ratelimit-*), draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy).
 */
export function writeLimitHeaders(
  headers: AnswerHeaders,
  api: ClientApi,
  policy: Policy,
  requests: Taken | undefined,
  tokens: Taken | undefined,
  nowMs: number,
): void {
  const anthropic = api === "messages" || api === "count-tokens";
  const names = anthropic ? anthropicNames : openaiNames;
  let now = "";
  if (requests && policy.requests) {
    now = `"requests";${write(headers, names.requests, policy.requests.rule.limit, requests, anthropic, nowMs)}`;
  }
  if (tokens && policy.tokens) {
    const ofTokens = write(headers, names.tokens, policy.tokens.rule.limit, tokens, anthropic, nowMs);
    now = now === "" ? `"tokens";${ofTokens}` : `${now}, "tokens";${ofTokens}`;
  }
  if (now === "") return;
  headers.lines += `ratelimit-policy: ${policy.header}\r\nratelimit: ${now}\r\n`;
}

interface Names {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

/** Gives what the draft's header says of it. */
function write(headers: AnswerHeaders, names: Names, limit: number, taken: Taken, anthropic: boolean, nowMs: number): string {
  const { resetMs } = taken;
  const left = String(Math.max(0, Math.floor(taken.remaining)));
  const reset = anthropic ? new Date(nowMs + resetMs).toISOString() : duration(resetMs);
  headers.lines += `${names.limit}: ${limit}\r\n${names.remaining}: ${left}\r\n${names.reset}: ${reset}\r\n`;
  return `r=${left};t=${Math.ceil(resetMs / 1000)}`;
}

/** Written out: a name that is put together is a new text at each request. */
const openaiNames = {
  requests: {
    limit: "x-ratelimit-limit-requests",
    remaining: "x-ratelimit-remaining-requests",
    reset: "x-ratelimit-reset-requests",
  },
  tokens: {
    limit: "x-ratelimit-limit-tokens",
    remaining: "x-ratelimit-remaining-tokens",
    reset: "x-ratelimit-reset-tokens",
  },
} as const;
const anthropicNames = {
  requests: {
    limit: "anthropic-ratelimit-requests-limit",
    remaining: "anthropic-ratelimit-requests-remaining",
    reset: "anthropic-ratelimit-requests-reset",
  },
  tokens: {
    limit: "anthropic-ratelimit-tokens-limit",
    remaining: "anthropic-ratelimit-tokens-remaining",
    reset: "anthropic-ratelimit-tokens-reset",
  },
} as const;

/** As OpenAI writes it: 20ms, 1.5s, 6m0s. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.ceil((ms - minutes * 60_000) / 100) / 10;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
