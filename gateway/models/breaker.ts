// A circuit breaker: after failures in a row, or too large a share of them, an upstream is left alone for a while, then one call at a time tries it again.
import type { ErrorCode } from "../errors.ts";
import { createOutcomes } from "./outcomes.ts";

export interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** Opens as well when this share of the calls that ended within the window failed. */
  readonly errorRate: { readonly threshold: number; readonly minRequests: number; readonly windowMs: number };
  /** How long it stays open first; doubled each time a trial fails, up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

export type BreakerState = "closed" | "open" | "half-open";

export interface Permit {
  /** The answer has begun: enough for others to come back, but only the end of it counts as a success. */
  answered(): void;
  succeeded(): void;
  /** `retryAfterMs` is the upstream's own wish, which opens the breaker at once. */
  failed(reason: ErrorCode, retryAfterMs?: number): void;
  /** The call says nothing about the upstream: the client left. */
  neither(): void;
}

export interface Breaker {
  /** Half-open: the pause is over, and the next call is the trial. */
  readonly state: BreakerState;
  readonly failures: number;
  readonly reason: ErrorCode | undefined;
  /** Nothing is known of it that a new one would not know too. */
  readonly blank: boolean;
  /** 0: a call may go now. While a trial is under way the others wait: they get Infinity. */
  waitMs(): number;
  /** A call begins; in a half-open breaker it is the trial. It ends with exactly one of what it is given. */
  begin(): Permit;
  /** Something else says that the upstream is back: the next call may try at once. */
  hint(): void;
  /** Another gateway found that it has failed, and leaves it alone for this long. */
  follow(reason: ErrorCode, forMs: number): void;
}

export function createBreaker(
  settings: () => BreakerSettings,
  now: () => number,
  onOpen: (reason: ErrorCode, forMs: number) => void,
): Breaker {
  let failures = 0;
  /** How often it opened without a success between. */
  let openings = 0;
  let openUntil = 0;
  let trials = 0;
  let asked = false;
  let reason: ErrorCode | undefined;
  const outcomes = createOutcomes(now);

  const isOpen = (): boolean => openings > 0;

  function open(why: ErrorCode, forMs: number): void {
    openings += 1;
    openUntil = now() + forMs;
    onOpen(why, forMs);
  }

  function failed(why: ErrorCode, retryAfterMs: number | undefined): void {
    failures += 1;
    reason = why;
    const { failures: limit, openMs, maxOpenMs, errorRate } = settings();
    outcomes.add(false, errorRate.windowMs);
    if (retryAfterMs !== undefined) {
      asked = true;
      open(why, Math.min(retryAfterMs, maxOpenMs));
      return;
    }
    // Calls that began before it opened do not make its pause longer.
    if (isOpen() && now() < openUntil) return;
    if (isOpen() || failures >= limit || outcomes.isBad(errorRate)) open(why, Math.min(maxOpenMs, openMs * 2 ** openings));
  }

  const callEnds: CallEnds = {
    trialEnded() {
      trials -= 1;
    },
    answered() {
      openings = 0;
      asked = false;
      failures = settings().failures - 1;
      outcomes.clear();
    },
    succeeded(wasTrial) {
      // A call that began before it opened says nothing of now.
      if (isOpen() && !wasTrial) return;
      if (wasTrial) outcomes.clear();
      outcomes.add(true, settings().errorRate.windowMs);
      failures = 0;
      openings = 0;
      asked = false;
      reason = undefined;
    },
    failed,
  };

  return {
    get state() {
      if (!isOpen()) return "closed";
      return now() < openUntil ? "open" : "half-open";
    },
    get failures() {
      return failures;
    },
    get reason() {
      return reason;
    },
    get blank() {
      return failures === 0 && !isOpen() && !outcomes.anyFailed(settings().errorRate.windowMs);
    },
    waitMs() {
      if (!isOpen()) return 0;
      const left = openUntil - now();
      if (left > 0) return left;
      return trials > 0 ? Number.POSITIVE_INFINITY : 0;
    },
    begin() {
      const isTrial = isOpen();
      if (isTrial) trials += 1;
      return new Call(callEnds, isTrial);
    },
    hint() {
      if (isOpen() && !asked) openUntil = Math.min(openUntil, now());
    },
    follow(why, forMs) {
      openings = Math.max(1, openings);
      openUntil = Math.max(openUntil, now() + Math.min(forMs, settings().maxOpenMs));
      reason = why;
    },
  };
}

/** What the end of a call means to its breaker. */
interface CallEnds {
  trialEnded(): void;
  /** A trial's answer has begun. */
  answered(): void;
  succeeded(wasTrial: boolean): void;
  failed(reason: ErrorCode, retryAfterMs: number | undefined): void;
}

class Call implements Permit {
  readonly #ends: CallEnds;
  #isTrial: boolean;

  constructor(ends: CallEnds, isTrial: boolean) {
    this.#ends = ends;
    this.#isTrial = isTrial;
  }

  answered(): void {
    if (!this.#isTrial) return;
    this.neither();
    this.#ends.answered();
  }

  succeeded(): void {
    const wasTrial = this.#isTrial;
    this.neither();
    this.#ends.succeeded(wasTrial);
  }

  failed(reason: ErrorCode, retryAfterMs?: number): void {
    this.neither();
    this.#ends.failed(reason, retryAfterMs);
  }

  neither(): void {
    if (!this.#isTrial) return;
    this.#isTrial = false;
    this.#ends.trialEnded();
  }
}
