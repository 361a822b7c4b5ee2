// What the config allows a token: its limits ready to be counted, its budget, its models. Worked out once a config.
import type { BudgetConfig } from "../config/governance.ts";
import type { StackConfig } from "../config/stack.ts";
import type { Rule } from "../store/allowances.ts";

export interface Counted {
  readonly key: string;
  readonly rule: Rule;
}

export interface Ask extends Counted {
  readonly reason: "requests" | "tokens" | "concurrent" | "budget";
  readonly amount: number;
  /** Less will do, down to this. */
  readonly least: number;
}

/** A limit of which each call takes the same. */
export interface CountedByCall extends Counted {
  /** What a call asks for. */
  readonly one: Ask;
}

export interface Policy {
  readonly tokenId: string;
  /** Of the gateway as a whole. */
  readonly allRequests: CountedByCall | undefined;
  readonly requests: CountedByCall | undefined;
  readonly tokens: Counted | undefined;
  readonly concurrent: CountedByCall | undefined;
  readonly budget: (BudgetConfig & { readonly currency: string }) | undefined;
  /** Names with * for any text; undefined: all. */
  readonly models: readonly string[] | undefined;
  /** RateLimit-Policy of the answers. */
  readonly header: string;
}

const minuteMs = 60_000;
const known = new WeakMap<StackConfig, Map<string, Policy | undefined>>();

/** Undefined: nothing limits this caller. Ids come from the config, so there are not many. */
export function policyOf(stack: StackConfig, tokenId: string): Policy | undefined {
  let policies = known.get(stack);
  if (!policies) {
    policies = new Map();
    known.set(stack, policies);
  }
  if (policies.has(tokenId)) return policies.get(tokenId);
  const policy = makePolicy(stack, tokenId);
  policies.set(tokenId, policy);
  return policy;
}

function makePolicy(stack: StackConfig, tokenId: string): Policy | undefined {
  const token = stack.tokens.find(({ id }) => id === tokenId);
  const { rateLimit } = stack;
  const perMinute = (name: string, limit: number | undefined): Counted | undefined =>
    limit === undefined ? undefined : { key: name, rule: { kind: "window", limit, windowMs: minuteMs } };
  const requests = token?.limits?.requestsPerMinute ?? rateLimit?.maxRequestsPerMinutePerToken;
  const tokens = token?.limits?.tokensPerMinute;
  const concurrent = token?.limits?.concurrent;
  const policy: Policy = {
    tokenId,
    allRequests: byCall("requests", perMinute("gateway:requests", rateLimit?.maxRequestsPerMinute)),
    requests: byCall("requests", perMinute(`token:${tokenId}:requests`, requests)),
    tokens: perMinute(`token:${tokenId}:tokens`, tokens),
    concurrent: byCall(
      "concurrent",
      concurrent === undefined
        ? undefined
        : { key: `token:${tokenId}:concurrent`, rule: { kind: "concurrent", limit: concurrent } },
    ),
    budget: token?.budget && { ...token.budget, currency: stack.usage.currency },
    models: token?.models,
    header: [
      ...(requests === undefined ? [] : [`"requests";q=${requests};w=60`]),
      ...(tokens === undefined ? [] : [`"tokens";q=${tokens};w=60`]),
    ].join(", "),
  };
  const limits = [policy.allRequests, policy.requests, policy.tokens, policy.concurrent, policy.budget, policy.models];
  return limits.every((limit) => limit === undefined) ? undefined : policy;
}

const byCall = (reason: Ask["reason"], counted: Counted | undefined): CountedByCall | undefined =>
  counted && { ...counted, one: { ...counted, reason, amount: 1, least: 1 } };

/** Weeks begin on Monday; all in UTC, so that every replica means the same. */
export function periodOf(window: BudgetConfig["window"], nowMs: number): { startMs: number; endsMs: number } {
  const now = new Date(nowMs);
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  if (window === "total") return { startMs: 0, endsMs: Number.MAX_SAFE_INTEGER };
  if (window === "month") return { startMs: Date.UTC(year, month), endsMs: Date.UTC(year, month + 1) };
  const first = window === "week" ? day - ((now.getUTCDay() + 6) % 7) : day;
  return { startMs: Date.UTC(year, month, first), endsMs: Date.UTC(year, month, first + (window === "week" ? 7 : 1)) };
}
