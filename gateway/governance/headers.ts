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
  now: () => number,
): void {
  const anthropic = api === "messages" || api === "count-tokens";
  const { forRequests, forTokens, policyLine } = textsOf(policy, anthropic);
  let left = "";
  if (requests && forRequests) {
    const count = leftOf(requests);
    headers.lines += `${forRequests.begin}${count}${forRequests.middle}${resetOf(requests, anthropic, now)}\r\n`;
    left = `"requests";r=${count};t=${Math.ceil(requests.resetMs / 1000)}`;
  }
  if (tokens && forTokens) {
    const count = leftOf(tokens);
    headers.lines += `${forTokens.begin}${count}${forTokens.middle}${resetOf(tokens, anthropic, now)}\r\n`;
    left += `${left === "" ? "" : ", "}"tokens";r=${count};t=${Math.ceil(tokens.resetMs / 1000)}`;
  }
  if (left !== "") headers.lines += `${policyLine}${left}\r\n`;
}

const leftOf = ({ remaining }: Taken): string => decimal(Math.max(0, Math.floor(remaining)));
const resetOf = ({ resetMs }: Taken, anthropic: boolean, now: () => number): string =>
  anthropic ? new Date(now() + resetMs).toISOString() : duration(resetMs);

const threeDigits = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, "0"));

/** What is left is another number each time, and V8 takes long for one whose text it does not know. */
export function decimal(whole: number): string {
  if (whole < 1000) return String(whole);
  const thousands = Math.floor(whole / 1000);
  return decimal(thousands) + threeDigits[whole - thousands * 1000];
}

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
  const tenths = Math.ceil(ms / 100);
  if (tenths !== lastTenths) {
    const minutes = Math.floor(tenths / 600);
    const seconds = (tenths - minutes * 600) / 10;
    lastTenths = tenths;
    lastDuration = minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
  }
  return lastDuration;
}

/** Most calls of a tenth of a second are told the same. */
let lastTenths = 0;
let lastDuration = "";
