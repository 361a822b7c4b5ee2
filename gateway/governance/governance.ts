// The outermost layer of a model call: what a token's limits and budget allow, reserved when it begins and settled when it ends.
import { GatewayError, toGatewayError } from "../errors.ts";
import { guessUsage } from "../models/admission/guess-tokens.ts";
import type { AnswerHeaders } from "../models/answer-headers.ts";
import type { CallRecord } from "../models/call.ts";
import { costOf } from "../models/cost.ts";
import type { RestartableSink } from "../models/failover.ts";
import type { CallHandle } from "../models/provider.ts";
import type { Route } from "../models/router.ts";
import type { ModelWork, Recorder, Serve } from "../models/work.ts";
import type { Metrics } from "../observability/metrics.ts";
import { budgetKey, type Meter, type Taken } from "../store/allowances.ts";
import { writeLimitHeaders } from "./headers.ts";
import { mayAsk, modelRefusal } from "./models.ts";
import { type Ask, type Counted, type Policy, periodOf, policyOf } from "./policy.ts";
import { giveBack, type Reservation, reserve, settle } from "./reservation.ts";

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
    if (!asks.some(isBudget)) return;
    const count = (underBudget.get(tokenId) ?? 0) + change;
    if (count > 0) underBudget.set(tokenId, count);
    else underBudget.delete(tokenId);
  }

  function begin(work: ModelWork, sink: RestartableSink, policy: Policy, reservation: Reservation): CallHandle {
    const { taken, refused } = reservation;
    writeLimitHeaders(
      work.answerHeaders,
      work.api,
      policy,
      takenOf(reservation, policy.requests),
      takenOf(reservation, policy.tokens),
      now,
    );
    if (refused) throw refusal(work, policy, refused, taken.at(-1)?.retryAfterMs ?? 0);
    countUnderBudget(reservation, policy.tokenId, 1);
    const call = new LimitedCall(work.recorder, sink, policy, reservation, books);
    work.recorder = call;
    return call.start(work, next);
  }

  const books: LimitBooks = {
    finished(policy, reservation, tokens, cost) {
      countUnderBudget(reservation, policy.tokenId, -1);
      const { budgetLeft } = settle(meter, reservation, tokens, Math.round(cost * millionths));
      if (budgetLeft !== undefined) metrics.budgetLeft.set(Math.max(0, budgetLeft) / millionths, policy.tokenId);
    },
    late: (reservation, tokens, cost) => addLate(meter, reservation, tokens, cost),
    owe,
  };

  /**
   * Nothing was reserved for a model without a price, but one that has a price was asked in its place. Counted before the
   * record of usage holds it: what a budget begins with is read there.
   */
  function owe({ asks }: Reservation, policy: Policy, cost: number): void {
    const counted = asks.some(isBudget) ? undefined : budgetOf(policy, now);
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
    headers: AnswerHeaders,
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
    headers.set("x-should-retry", "false");
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
    const reservation = reserve(meter, asksOf(work, policy, now));
    if (!(reservation instanceof Promise)) return begin(work, sink, policy, reservation);
    let handle: CallHandle | undefined;
    let gone = false;
    reservation.then((made) => {
      if (gone) {
        if (!made.refused) giveBack(meter, made);
        return;
      }
      try {
        handle = begin(work, sink, policy, made);
      } catch (error) {
        sink.fail(toGatewayError(error));
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

interface LimitBooks {
  /** The call is over: what was set aside for it becomes what it used. */
  finished(policy: Policy, reservation: Reservation, tokens: number, cost: number): void;
  /** Of an upstream that was asked beside the one that answered, and is heard of late. */
  late(reservation: Reservation, tokens: number, cost: number): void;
  owe(reservation: Reservation, policy: Policy, cost: number): void;
}

/** One call within a token's limits: stands between the layers before and those behind, until it is over. */
class LimitedCall implements RestartableSink, Recorder, CallHandle {
  readonly #recorder: Recorder;
  readonly #sink: RestartableSink;
  readonly #policy: Policy;
  readonly #reservation: Reservation;
  readonly #books: LimitBooks;
  #handle: CallHandle | undefined;
  #tokens = 0;
  #cost = 0;
  #over = false;

  constructor(recorder: Recorder, sink: RestartableSink, policy: Policy, reservation: Reservation, books: LimitBooks) {
    this.#recorder = recorder;
    this.#sink = sink;
    this.#policy = policy;
    this.#reservation = reservation;
    this.#books = books;
  }

  start(work: ModelWork, next: Serve): CallHandle {
    try {
      this.#handle = next(work, this);
    } catch (error) {
      this.#finish();
      throw error;
    }
    return this;
  }

  onRecord(route: Route, record: CallRecord): void {
    if (!record.cached) {
      const { usage, cost } = record;
      const used = usage ? usage.input + usage.output : 0;
      this.#tokens += used;
      this.#cost += cost ?? 0;
      if (this.#over) this.#books.late(this.#reservation, used, cost ?? 0);
      if (cost) this.#books.owe(this.#reservation, this.#policy, cost);
    }
    this.#recorder.onRecord(route, record);
  }

  head(type: string, length: number | undefined): void {
    this.#sink.head(type, length);
  }
  data(chunk: Buffer): boolean {
    return this.#sink.data(chunk);
  }
  restart(): boolean {
    return this.#sink.restart();
  }
  end(): void {
    this.#finish();
    this.#sink.end();
  }
  fail(error: GatewayError): void {
    this.#finish();
    this.#sink.fail(error);
  }
  resume(): void {
    this.#handle?.resume();
  }
  abort(): void {
    this.#handle?.abort();
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#books.finished(this.#policy, this.#reservation, this.#tokens, this.#cost);
  }
}

const isBudget = ({ reason }: Ask): boolean => reason === "budget";

/** What was taken of this limit. */
function takenOf({ asks, taken }: Reservation, counted: Counted | undefined): Taken | undefined {
  if (counted === undefined) return undefined;
  for (let index = 0; index < asks.length; index += 1) if (asks[index]?.key === counted.key) return taken[index];
  return undefined;
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
function budgetOf({ tokenId, budget }: Policy, now: () => number): Counted | undefined {
  if (!budget) return undefined;
  const { startMs, endsMs } = periodOf(budget.window, now());
  return { key: budgetKey(tokenId, startMs), rule: { kind: "period", limit: Math.round(budget.amount * millionths), endsMs } };
}

const wholeSeconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

/** What a call is taken to need, until its end says what it was. */
function asksOf(work: ModelWork, policy: Policy, now: () => number): Ask[] {
  const asks: Ask[] = [];
  const { allRequests, requests, tokens, concurrent, budget } = policy;
  if (allRequests) asks.push(allRequests.one);
  if (requests) asks.push(requests.one);
  if (concurrent) asks.push(concurrent.one);
  // Counting tokens costs none.
  if (work.api === "count-tokens" || (!tokens && !budget)) return asks;
  const guess = guessUsage(work.body, work.words);
  if (tokens) {
    // A call larger than the limit would never be let in: it may use all of a minute.
    // Of a form nothing is guessed, and nothing is never given.
    const amount = Math.max(1, Math.min(guess.input + guess.output, tokens.rule.limit));
    asks.push({ key: tokens.key, rule: tokens.rule, reason: "tokens", amount, least: amount });
  }
  const counted = budgetOf(policy, now);
  const price = counted && costOf(work.route, guess);
  // Models without a price cost nothing, and may be used when nothing is left.
  if (counted && price !== undefined) {
    // The last of a budget may be spent by a call that is guessed to need more: calls under way are the most that it is overspent by.
    const amount = Math.max(1, Math.round(price * millionths));
    asks.push({ key: counted.key, rule: counted.rule, reason: "budget", amount, least: 1 });
  }
  return asks;
}
