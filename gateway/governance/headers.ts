// The headers in which an answer says what is left of the limits: OpenAI's, Anthropic's, and the IETF's draft.
import type { AnswerHeaders } from "../models/answer-headers.ts";
import type { ClientApi } from "../models/provider.ts";
import type { Taken } from "../store/allowances.ts";
import type { Counted, Policy } from "./policy.ts";

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
  const { forRequests, forTokens, policyLine } = textsOf(policy, anthropic);
  let now = "";
  if (requests && forRequests) {
    const left = leftOf(requests);
    headers.lines += `${forRequests.begin}${left}${forRequests.middle}${resetOf(requests, anthropic, nowMs)}\r\n`;
    now = `"requests";r=${left};t=${Math.ceil(requests.resetMs / 1000)}`;
  }
  if (tokens && forTokens) {
    const left = leftOf(tokens);
    headers.lines += `${forTokens.begin}${left}${forTokens.middle}${resetOf(tokens, anthropic, nowMs)}\r\n`;
    now += `${now === "" ? "" : ", "}"tokens";r=${left};t=${Math.ceil(tokens.resetMs / 1000)}`;
  }
  if (now !== "") headers.lines += `${policyLine}${now}\r\n`;
}

const leftOf = ({ remaining }: Taken): string => String(Math.max(0, Math.floor(remaining)));
const resetOf = ({ resetMs }: Taken, anthropic: boolean, nowMs: number): string =>
  anthropic ? new Date(nowMs + resetMs).toISOString() : duration(resetMs);

/** What stands around the figures of one limit. */
interface Around {
  readonly begin: string;
  readonly middle: string;
}

interface Texts {
  readonly forRequests: Around | undefined;
  readonly forTokens: Around | undefined;
  readonly policyLine: string;
}

/** Made once a policy. */
const ofOpenai = new WeakMap<Policy, Texts>();
const ofAnthropic = new WeakMap<Policy, Texts>();

function textsOf(policy: Policy, anthropic: boolean): Texts {
  const texts = anthropic ? ofAnthropic : ofOpenai;
  const known = texts.get(policy);
  if (known) return known;
  const around = (counted: Counted | undefined, { limit, remaining, reset }: Names): Around | undefined =>
    counted && { begin: `${limit}: ${counted.rule.limit}\r\n${remaining}: `, middle: `\r\n${reset}: ` };
  const names = anthropic ? anthropicNames : openaiNames;
  const made = {
    forRequests: around(policy.requests, names.requests),
    forTokens: around(policy.tokens, names.tokens),
    policyLine: `ratelimit-policy: ${policy.header}\r\nratelimit: `,
  };
  texts.set(policy, made);
  return made;
}

interface Names {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
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
