// What was bought under one key of a provider, or from the provider as a whole: used up or not, by our own books, the provider's word, and what other processes used.
import type { SecretInput } from "../../config/fields.ts";
import type { Meter, Rule, Taken } from "../../store/allowances.ts";
import type { Clock } from "./clock.ts";
import { type HeaderReader, type RateHeaders, readRateHeaders, refillMs } from "./rate-headers.ts";
import { createWindow, type Use } from "./window.ts";

export interface Bought {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  readonly concurrent?: number | undefined;
}

/** One call that is counted. */
export interface Charge {
  /** The answer's head is here. True: it says for how long nothing may be sent. */
  headers(status: number, header: HeaderReader): boolean;
  /** The call is over; `tokens` is what it used, undefined where nobody knows. `sent` false: it never left. */
  end(sent: boolean, tokens: number | undefined): void;
}

export interface Account {
  readonly id: string;
  readonly key: SecretInput | undefined;
  readonly active: number;
  /** 0: a call of so many tokens may go. Infinity: when another one ends. */
  waitMs(tokens: number): number;
  /** The same for the last of `count` calls. */
  waitForMs(count: number, tokens: number): number;
  /** 0 to 1. */
  left(): number;
  /** Undefined: not now after all, since other processes used it up or are being asked; `onOpen` tells when to look again. */
  charge(tokens: number): Charge | undefined;
  /** The provider refuses this key for a while. */
  block(ms: number): void;
}

interface Settings {
  readonly id: string;
  readonly key: SecretInput | undefined;
  readonly bought: Bought;
  readonly windowMs: number;
  readonly guardMs: number;
  readonly clock: Clock;
  /** Set where other processes use the same key; `name` is its name among them. */
  readonly shared: { readonly meter: Meter; readonly name: string } | undefined;
  /** Something may be possible now that was not. */
  readonly onOpen: () => void;
}

export function createAccount(settings: Settings): Account {
  const { id, key, bought, windowMs, guardMs, clock, shared, onOpen } = settings;
  const limits = { requests: bought.requestsPerMinute, tokens: bought.tokensPerMinute };
  const window = createWindow({ windowMs, guardMs, limits, now: clock.now });
  const sharedRequests = sharedLimit(shared, "requests", limits.requests, windowMs + guardMs);
  const sharedTokens = sharedLimit(shared, "tokens", limits.tokens, windowMs + guardMs);
  let active = 0;
  /** Sent, and their answers' headers are not here: the provider's word does not know of them. */
  let unanswered = 0;
  let blockedUntil = 0;
  let said: { readonly at: number; readonly limits: RateHeaders } | undefined;

  function saidWaitMs(tokens: number): number {
    if (!said) return 0;
    const gone = clock.now() - said.at;
    const { requests, tokens: ofTokens } = said.limits;
    const forRequests = requests ? refillMs(requests, unanswered + 1) : 0;
    const forTokens = ofTokens ? refillMs(ofTokens, Math.max(1, Math.min(tokens, ofTokens.limit ?? tokens))) : 0;
    return Math.max(0, forRequests - gone, forTokens - gone);
  }

  function waitMs(tokens: number): number {
    if (bought.concurrent !== undefined && active >= bought.concurrent) return Number.POSITIVE_INFINITY;
    // The answer says when to look again.
    if (sharedRequests?.isAsking() || sharedTokens?.isAsking()) return Number.POSITIVE_INFINITY;
    return Math.max(0, blockedUntil - clock.now(), saidWaitMs(tokens), window.waitMs(tokens));
  }

  function sharedUnits(tokens: number): SharedUnits | undefined {
    const requests = sharedRequests?.take(1);
    if (requests === undefined && sharedRequests) return refuse(sharedRequests);
    const ofTokens = sharedTokens?.take(Math.min(tokens, limits.tokens ?? tokens));
    if (ofTokens === undefined && sharedTokens) {
      if (requests) sharedRequests?.settle(-1, requests);
      return refuse(sharedTokens);
    }
    return { requests, tokens: ofTokens };
  }

  function refuse(limit: SharedLimit): undefined {
    if (!limit.isAsking()) blockedUntil = Math.max(blockedUntil, clock.now() + limit.retryAfterMs());
    return undefined;
  }

  return {
    id,
    key,
    get active() {
      return active;
    },
    waitMs,
    waitForMs: (count, tokens) => Math.max(0, blockedUntil - clock.now(), saidWaitMs(tokens), window.waitForMs(count, tokens)),
    left() {
      const ofPlaces = bought.concurrent === undefined ? 1 : 1 - active / bought.concurrent;
      const { requests, tokens } = said?.limits ?? {};
      const saidLeft = Math.min(share(requests), share(tokens));
      return Math.max(0, Math.min(window.left(), ofPlaces, saidLeft));
    },
    charge(tokens) {
      const units = sharedUnits(tokens);
      if (!units) return undefined;
      const use: Use = window.use(tokens);
      active += 1;
      unanswered += 1;
      let answered = false;
      const answer = (): void => {
        if (answered) return;
        answered = true;
        unanswered -= 1;
      };
      return {
        headers(status, header) {
          answer();
          use.arrived();
          const limitsNow = readRateHeaders(header, status);
          if (!limitsNow) return false;
          said = { at: clock.now(), limits: limitsNow };
          if (limitsNow.retryAfterMs === undefined) return false;
          blockedUntil = Math.max(blockedUntil, clock.now() + limitsNow.retryAfterMs);
          return true;
        },
        end(sent, used) {
          answer();
          active -= 1;
          if (!sent) use.cancel();
          else if (used !== undefined) use.settle(used);
          if (units.requests && !sent) sharedRequests?.settle(-1, units.requests);
          if (units.tokens) {
            const real = sent ? (used ?? units.tokens.amount) : 0;
            sharedTokens?.settle(real - units.tokens.amount, units.tokens);
          }
        },
      };
    },
    block(ms) {
      blockedUntil = Math.max(blockedUntil, clock.now() + ms);
    },
  };

  function sharedLimit(
    at: Settings["shared"],
    kind: string,
    limit: number | undefined,
    spanMs: number,
  ): SharedLimit | undefined {
    if (!at || limit === undefined) return undefined;
    return createSharedLimit(at.meter, `quota:${at.name}:${kind}`, { kind: "window", limit, windowMs: spanMs }, onOpen);
  }
}

interface SharedUnits {
  readonly requests: Taken | undefined;
  readonly tokens: Taken | undefined;
}

const share = (limit: { remaining: number; limit: number | undefined } | undefined): number =>
  limit?.limit ? limit.remaining / limit.limit : 1;

interface SharedLimit {
  /** Undefined: used up, or being asked for. */
  take(amount: number): Taken | undefined;
  settle(delta: number, taken: Taken): void;
  isAsking(): boolean;
  /** After a refusal. */
  retryAfterMs(): number;
}

/** Others are not asked again sooner. */
const leastRetryMs = 20;

/** While others are asked, a call waits in the queue; what they gave is for the first that goes then. */
function createSharedLimit(meter: Meter, name: string, rule: Rule, onOpen: () => void): SharedLimit {
  let kept: Taken | undefined;
  let asking = false;
  let retryAfterMs = 0;
  return {
    take(amount) {
      if (kept) {
        const units = kept;
        if (units.amount < amount) {
          meter.settle(name, -units.amount, rule, units);
          kept = undefined;
          return this.take(amount);
        }
        kept = undefined;
        if (units.amount > amount) meter.settle(name, amount - units.amount, rule, units);
        return { ...units, amount };
      }
      retryAfterMs = 0;
      if (asking) return undefined;
      const answer = meter.take(name, amount, rule);
      if (!(answer instanceof Promise)) {
        if (answer.ok) return answer;
        retryAfterMs = answer.retryAfterMs;
        return undefined;
      }
      asking = true;
      answer.then((taken) => {
        asking = false;
        if (taken.ok) kept = taken;
        else retryAfterMs = taken.retryAfterMs;
        onOpen();
        // Nobody wanted it any more; later it would count for the wrong time.
        if (kept) meter.settle(name, -kept.amount, rule, kept);
        kept = undefined;
      });
      return undefined;
    },
    settle: (delta, taken) => meter.settle(name, delta, rule, taken),
    isAsking: () => asking,
    retryAfterMs: () => Math.max(leastRetryMs, retryAfterMs),
  };
}
