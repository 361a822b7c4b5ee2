// The outermost layer of a model call: what a token's limits and budget allow, reserved when it begins and settled when it ends.
import { GatewayError } from "../errors.ts";
import { guessUsage } from "../models/admission/guess-tokens.ts";
import { costOf } from "../models/cost.ts";
import type { RestartableSink } from "../models/failover.ts";
import type { CallHandle } from "../models/provider.ts";
import type { ModelWork, Serve } from "../models/work.ts";
import type { Metrics } from "../observability/metrics.ts";
import { budgetKey, type Meter, type Taken } from "../store/allowances.ts";
import { writeLimitHeaders } from "./headers.ts";
import { mayAsk, modelRefusal } from "./models.ts";
import { type Counted, type Policy, periodOf, policyOf } from "./policy.ts";
import { type Ask, type Reason, type Reservation, reserve, settle } from "./reservation.ts";

interface Deps {
  readonly meter: Meter;
  readonly metrics: Pick<Metrics, "limitsRejected" | "budgetLeft">;
  /** Epoch in milliseconds. */
  readonly now?: () => number;
}

/** Money is counted in millionths, so a price for a million tokens is the price of one. */
const millionths = 1_000_000;

/** Callers without limits pass through as if this layer were not there. */
export function createGovernance({ meter, metrics, now = Date.now }: Deps, next: Serve): Serve {
  /** Calls under way that have some of their token's budget set aside. */
  const underBudget = new Map<string, number>();

  function countUnderBudget({ asks }: Reservation, tokenId: string, change: 1 | -1): void {
    if (!asks.some(({ reason }) => reason === "budget")) return;
    const count = (underBudget.get(tokenId) ?? 0) + change;
    if (count > 0) underBudget.set(tokenId, count);
    else underBudget.delete(tokenId);
  }

  function begin(work: ModelWork, sink: RestartableSink, policy: Policy, reservation: Reservation): CallHandle {
    const { asks, taken, refused } = reservation;
    const of = (reason: Reason) => taken[asks.findIndex((ask) => ask.reason === reason && ask.key !== policy.allRequests?.key)];
    writeLimitHeaders(work.answerHeaders, work.api, policy, of("requests"), of("tokens"), now());
    if (refused) throw refusal(work, policy, refused, taken.at(-1)?.retryAfterMs ?? 0);

    let tokens = 0;
    let cost = 0;
    let over = false;
    countUnderBudget(reservation, policy.tokenId, 1);
    const finish = (): void => {
      if (over) return;
      over = true;
      countUnderBudget(reservation, policy.tokenId, -1);
      const used = { requests: undefined, concurrent: 0, tokens, budget: Math.round(cost * millionths) };
      const { budgetLeft } = settle(meter, reservation, used);
      if (budgetLeft !== undefined) metrics.budgetLeft.set(Math.max(0, budgetLeft) / millionths, policy.tokenId);
    };
    const watched: RestartableSink = {
      head: (type, length) => sink.head(type, length),
      data: (chunk) => sink.data(chunk),
      restart: () => sink.restart(),
      end() {
        finish();
        sink.end();
      },
      fail(error) {
        finish();
        sink.fail(error);
      },
    };
    const watchedWork: ModelWork = {
      ...work,
      onRecord(route, record) {
        if (!record.cached) {
          const used = (record.usage?.input ?? 0) + (record.usage?.output ?? 0);
          tokens += used;
          cost += record.cost ?? 0;
          // Of an upstream that was asked beside the one that answered, and is heard of late.
          if (over) addLate(meter, reservation, used, record.cost ?? 0);
          if (record.cost) owe(reservation, policy, record.cost);
        }
        work.onRecord(route, record);
      },
    };
    let handle: CallHandle;
    try {
      handle = next(watchedWork, watched);
    } catch (error) {
      finish();
      throw error;
    }
    return {
      resume: () => handle.resume(),
      abort() {
        handle.abort();
        finish();
      },
    };
  }

  /**
   * Nothing was reserved for a model without a price, but one that has a price was asked in its place. Counted before the
   * record of usage holds it: what a budget begins with is read there.
   */
  function owe({ asks }: Reservation, policy: Policy, cost: number): void {
    const counted = asks.some(({ reason }) => reason === "budget") ? undefined : budgetOf(policy, now());
    if (counted) meter.settle(counted.key, Math.round(cost * millionths), counted.rule, nothing);
  }

  function refusal({ answerHeaders }: ModelWork, policy: Policy, ask: Ask, retryAfterMs: number): GatewayError {
    const { tokenId, budget, allRequests } = policy;
    metrics.limitsRejected.add(1, ask.reason, tokenId);
    if (ask.reason === "budget" && budget) return budgetRefusal(answerHeaders, tokenId, budget, retryAfterMs);
    const seconds = wholeSeconds(retryAfterMs);
    const whose = ask.key === allRequests?.key ? "The gateway" : `The token ${tokenId}`;
    const { limit } = ask.rule;
    const what = {
      requests: `${limit} requests a minute`,
      tokens: `${limit} model tokens a minute`,
      concurrent: `${limit} requests at the same time`,
      budget: "its budget",
    }[ask.reason];
    return new GatewayError("rate_limit_exceeded", `${whose} is limited to ${what}: send it again in ${seconds} s.`, {
      retryAfter: String(seconds),
    });
  }

  function budgetRefusal(
    headers: Record<string, string>,
    tokenId: string,
    { amount, currency, window }: NonNullable<Policy["budget"]>,
    retryAfterMs: number,
  ): GatewayError {
    const what = `${amount} ${currency} ${window === "total" ? "in all" : `a ${window}`}`;
    if (underBudget.has(tokenId)) {
      const message = `What is left of the budget of the token ${tokenId} (${what}) is set aside for its requests under way.`;
      return new GatewayError("insufficient_quota", message, { retryAfter: "1" });
    }
    metrics.budgetLeft.set(0, tokenId);
    // What OpenAI's and Anthropic's clients go by: sending it again soon is of no use.
    headers["x-should-retry"] = "false";
    const message = `The budget of the token ${tokenId} is used up: ${what}.`;
    const retryAfter = window === "total" ? {} : { retryAfter: String(wholeSeconds(retryAfterMs)) };
    return new GatewayError("insufficient_quota", message, retryAfter);
  }

  return (work, sink) => {
    const { stack, router } = work.runtime;
    const policy = policyOf(stack, work.callerId);
    if (policy === undefined) return next(work, sink);
    if (policy.models && !mayAsk(policy.models, router, work.route)) {
      metrics.limitsRejected.add(1, "model", policy.tokenId);
      throw modelRefusal(stack, router, policy.tokenId, work.asked);
    }
    const reservation = reserve(meter, asksOf(work, policy, now()));
    if (!(reservation instanceof Promise)) return begin(work, sink, policy, reservation);
    let handle: CallHandle | undefined;
    let gone = false;
    reservation.then((made) => {
      if (gone) {
        if (!made.refused) settle(meter, made, { requests: 0, concurrent: 0, tokens: 0, budget: 0 });
        return;
      }
      try {
        handle = begin(work, sink, policy, made);
      } catch (error) {
        sink.fail(
          error instanceof GatewayError
            ? error
            : new GatewayError("internal", "The gateway failed at this request; its log says why.", { cause: error }),
        );
      }
    });
    return {
      resume: () => handle?.resume(),
      abort() {
        gone = true;
        handle?.abort();
      },
    };
  };
}

function addLate(meter: Meter, { asks, taken }: Reservation, tokens: number, cost: number): void {
  for (const [index, ask] of asks.entries()) {
    const one = taken[index];
    if (!one) continue;
    if (ask.reason === "tokens") meter.settle(ask.key, tokens, ask.rule, one);
    if (ask.reason === "budget") meter.settle(ask.key, Math.round(cost * millionths), ask.rule, one);
  }
}

const nothing: Taken = { ok: true, remaining: 0, resetMs: 0, retryAfterMs: 0, stamp: 0, amount: 0 };

/** Undefined where the token has none. */
function budgetOf({ tokenId, budget }: Policy, nowMs: number): Counted | undefined {
  if (!budget) return undefined;
  const { startMs, endsMs } = periodOf(budget.window, nowMs);
  return { key: budgetKey(tokenId, startMs), rule: { kind: "period", limit: Math.round(budget.amount * millionths), endsMs } };
}

const wholeSeconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

/** What a call is taken to need, until its end says what it was. */
function asksOf(work: ModelWork, policy: Policy, nowMs: number): Ask[] {
  const asks: Ask[] = [];
  const { allRequests, requests, tokens, concurrent, budget } = policy;
  if (allRequests) asks.push({ ...allRequests, reason: "requests", amount: 1, least: 1 });
  if (requests) asks.push({ ...requests, reason: "requests", amount: 1, least: 1 });
  if (concurrent) asks.push({ ...concurrent, reason: "concurrent", amount: 1, least: 1 });
  // Counting tokens costs none.
  if (work.api === "count-tokens" || (!tokens && !budget)) return asks;
  const guess = guessUsage(work.body);
  if (tokens) {
    // A call larger than the limit would never be let in: it may use all of a minute.
    // Of a form nothing is guessed, and nothing is never given.
    const amount = Math.max(1, Math.min(guess.input + guess.output, tokens.rule.limit));
    asks.push({ ...tokens, reason: "tokens", amount, least: amount });
  }
  const counted = budgetOf(policy, nowMs);
  const price = counted && costOf(work.route, guess);
  // Models without a price cost nothing, and may be used when nothing is left.
  if (counted && price !== undefined) {
    // The last of a budget may be spent by a call that is guessed to need more: calls under way are the most that it is overspent by.
    asks.push({ ...counted, reason: "budget", amount: Math.max(1, Math.round(price * millionths)), least: 1 });
  }
  return asks;
}
