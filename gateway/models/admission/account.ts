// What was bought under one key of a provider, or from the provider as a whole: used up or not, by our own books, the provider's word, and what other processes used.
import type { SecretInput } from "../../config/fields.ts";
import type { Meter, Rule, Taken } from "../../store/allowances.ts";
import type { Clock } from "./clock.ts";
import { type HeaderReader, type RateHeaders, readRateHeaders, refillMs } from "./rate-headers.ts";
import { createSharedLimit, type SharedLimit } from "./shared-limit.ts";
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
  /** Other processes are being asked: whether a call may go is known in a moment. */
  isAsking(): boolean;
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
  const span = { kind: "window", windowMs: windowMs + guardMs } as const;
  const sharedRequests = sharedLimit("requests", limits.requests, (limit) => ({ ...span, limit }));
  const sharedTokens = sharedLimit("tokens", limits.tokens, (limit) => ({ ...span, limit }));
  const sharedPlaces = sharedLimit("concurrent", bought.concurrent, (limit) => ({ kind: "concurrent", limit }));
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
    return Math.max(sharedWaitMs(), blockedUntil - clock.now(), saidWaitMs(tokens), window.waitMs(tokens));
  }

  const sharedWaitMs = (): number =>
    Math.max(0, sharedRequests?.waitMs() ?? 0, sharedTokens?.waitMs() ?? 0, sharedPlaces?.waitMs() ?? 0);

  /** All that the other processes have a part in, or nothing of it. */
  function sharedUnits(tokens: number): readonly SharedUnit[] | undefined {
    const units: SharedUnit[] = [];
    const asks = [
      { limit: sharedRequests, kind: "request", amount: 1 },
      { limit: sharedTokens, kind: "tokens", amount: Math.min(tokens, limits.tokens ?? tokens) },
      { limit: sharedPlaces, kind: "place", amount: 1 },
    ] as const;
    for (const { limit, kind, amount } of asks) {
      if (!limit) continue;
      const taken = limit.take(amount);
      if (!taken) {
        for (const unit of units) unit.limit.putBack(unit.taken);
        return undefined;
      }
      units.push({ limit, kind, taken });
    }
    return units;
  }

  return {
    id,
    key,
    get active() {
      return active;
    },
    waitMs,
    waitForMs(count, tokens) {
      const ofOthers = sharedWaitMs();
      return Math.max(
        Number.isFinite(ofOthers) ? ofOthers : 0,
        blockedUntil - clock.now(),
        saidWaitMs(tokens),
        window.waitForMs(count, tokens),
      );
    },
    isAsking: () => sharedWaitMs() === Number.POSITIVE_INFINITY,
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
          for (const { limit, kind, taken } of units) {
            if (!sent) limit.putBack(taken);
            else if (kind === "place") limit.settle(-1, taken);
            else if (kind === "tokens" && used !== undefined) limit.settle(used - taken.amount, taken);
          }
        },
      };
    },
    block(ms) {
      blockedUntil = Math.max(blockedUntil, clock.now() + ms);
    },
  };

  function sharedLimit(kind: string, limit: number | undefined, ruleOf: (limit: number) => Rule): SharedLimit | undefined {
    if (!shared || limit === undefined) return undefined;
    const { meter, name } = shared;
    return createSharedLimit({ meter, name: `quota:${name}:${kind}`, rule: ruleOf(limit), clock, onOpen });
  }
}

interface SharedUnit {
  readonly limit: SharedLimit;
  readonly kind: "request" | "tokens" | "place";
  readonly taken: Taken;
}

const share = (limit: { remaining: number; limit: number | undefined } | undefined): number =>
  limit?.limit ? limit.remaining / limit.limit : 1;
