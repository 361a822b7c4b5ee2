// Takes all that one call needs of its limits, or nothing; and puts right what was taken, once the call has ended.
import type { Meter, Taken } from "../store/allowances.ts";
import type { Counted } from "./policy.ts";

export type Reason = "requests" | "tokens" | "concurrent" | "budget";

export interface Ask extends Counted {
  readonly reason: Reason;
  readonly amount: number;
  /** Less will do, down to this. */
  readonly least: number;
}

export interface Reservation {
  readonly asks: readonly Ask[];
  /** One for each ask; of a refusal, the last one is what was refused. */
  readonly taken: readonly Taken[];
  readonly refused: Ask | undefined;
}

export function reserve(meter: Meter, asks: readonly Ask[], taken: Taken[] = []): Reservation | Promise<Reservation> {
  for (let index = taken.length; index < asks.length; index += 1) {
    const ask = asks[index];
    if (!ask) break;
    const answer = meter.take(ask.key, ask.amount, ask.rule, ask.least);
    if (answer instanceof Promise) {
      return answer.then((late) => {
        taken.push(late);
        return late.ok ? reserve(meter, asks, taken) : refuse(meter, asks, taken);
      });
    }
    taken.push(answer);
    if (!answer.ok) return refuse(meter, asks, taken);
  }
  return { asks, taken, refused: undefined };
}

/** What was taken before the refusal was not used. */
function refuse(meter: Meter, asks: readonly Ask[], taken: readonly Taken[]): Reservation {
  for (const [index, one] of taken.entries()) {
    const ask = asks[index];
    if (ask && one.ok) meter.settle(ask.key, -one.amount, ask.rule, one);
  }
  return { asks, taken, refused: asks[taken.length - 1] };
}

/** Undefined leaves a reservation as it is. Returns what is left of the budget, as far as this call tells. */
export function settle(
  meter: Meter,
  { asks, taken }: Reservation,
  used: Readonly<Record<Reason, number | undefined>>,
): { budgetLeft: number | undefined } {
  let budgetLeft: number | undefined;
  for (const [index, ask] of asks.entries()) {
    const one = taken[index];
    const actual = used[ask.reason];
    if (!one || actual === undefined) continue;
    meter.settle(ask.key, actual - one.amount, ask.rule, one);
    if (ask.reason === "budget") budgetLeft = one.remaining + one.amount - actual;
  }
  return { budgetLeft };
}
