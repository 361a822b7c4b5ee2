// A limit that several processes spend together: units are asked for while a call waits, and what nobody wanted goes back.
import type { Meter, Rule, Taken } from "../../store/allowances.ts";
import type { Clock } from "./clock.ts";

export interface SharedLimit {
  /** Undefined: used up, or being asked for; `onOpen` tells when to look again, or `waitMs`. */
  take(amount: number): Taken | undefined;
  settle(delta: number, taken: Taken): void;
  /** It was not used: the next one has it, or, when none comes soon, the others. */
  putBack(taken: Taken): void;
  isAsking(): boolean;
  /** Until it may be worth asking again; 0: now; Infinity: the answer is on its way. */
  waitMs(): number;
}

interface Settings {
  readonly meter: Meter;
  /** Its name among all processes. */
  readonly name: string;
  readonly rule: Rule;
  readonly clock: Clock;
  /** An answer came. */
  readonly onOpen: () => void;
}

/** Others are not asked again sooner. */
const leastRetryMs = 20;
/** Nobody tells when a place becomes free in another process: it is asked for again this often while a call waits. */
const placesRetryMs = 100;
/** What is put back stays for the next one so long: two limits of one call may be answered one after the other. */
const keepMs = 100;

export function createSharedLimit({ meter, name, rule, clock, onOpen }: Settings): SharedLimit {
  let kept: Taken | undefined;
  let forgetKept: (() => void) | undefined;
  let asking = false;
  let retryAt = 0;

  function takeKept(): Taken | undefined {
    const units = kept;
    kept = undefined;
    forgetKept?.();
    forgetKept = undefined;
    return units;
  }

  function giveKeptBack(): void {
    const units = takeKept();
    if (units) meter.settle(name, -units.amount, rule, units);
  }

  function keep(units: Taken): void {
    giveKeptBack();
    kept = units;
    if (rule.kind === "concurrent") forgetKept = clock.after(keepMs, giveKeptBack);
  }

  function refused({ retryAfterMs }: Taken): void {
    const ms = rule.kind === "concurrent" ? Math.min(placesRetryMs, retryAfterMs) : retryAfterMs;
    retryAt = clock.now() + Math.max(leastRetryMs, ms);
  }

  function settle(delta: number, taken: Taken): void {
    meter.settle(name, delta, rule, taken);
    if (rule.kind === "concurrent") retryAt = 0;
  }

  return {
    take(amount) {
      const units = takeKept();
      if (units && units.amount >= amount) {
        if (units.amount > amount) meter.settle(name, amount - units.amount, rule, units);
        return { ...units, amount };
      }
      if (units) meter.settle(name, -units.amount, rule, units);
      if (asking || retryAt > clock.now()) return undefined;
      const answer = meter.take(name, amount, rule);
      if (!(answer instanceof Promise)) {
        if (answer.ok) return answer;
        refused(answer);
        return undefined;
      }
      asking = true;
      answer.then((taken) => {
        asking = false;
        if (taken.ok) keep(taken);
        else refused(taken);
        onOpen();
        // Of a window nobody wanted it any more: later it would count for the wrong time.
        if (rule.kind !== "concurrent") giveKeptBack();
      });
      return undefined;
    },
    settle,
    putBack(taken) {
      if (rule.kind === "concurrent") keep(taken);
      else settle(-taken.amount, taken);
    },
    isAsking: () => asking,
    waitMs: () => (asking ? Number.POSITIVE_INFINITY : kept ? 0 : Math.max(0, retryAt - clock.now())),
  };
}
