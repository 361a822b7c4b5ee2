// Takes all that one call needs of its limits, or nothing; and puts right what was taken, once the call has ended.
import type { Meter, Taken } from "../store/allowances.ts";
import type { Ask } from "./policy.ts";

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
  const refusal = { asks, taken, refused: asks[taken.length - 1] };
  giveBack(meter, refusal);
  return refusal;
}

/** `budget` in millionths. Returns what is left of the budget, as far as this call tells. */
export function settle(
  meter: Meter,
  { asks, taken }: Reservation,
  tokens: number,
  budget: number,
): { budgetLeft: number | undefined } {
  let budgetLeft: number | undefined;
  for (let index = 0; index < asks.length; index += 1) {
    const ask = asks[index];
    const one = taken[index];
    // A request stays counted, whatever became of it.
    if (!ask || !one || ask.reason === "requests") continue;
    const used = ask.reason === "tokens" ? tokens : ask.reason === "budget" ? budget : 0;
    meter.settle(ask.key, used - one.amount, ask.rule, one);
    if (ask.reason === "budget") budgetLeft = one.remaining + one.amount - used;
  }
  return { budgetLeft };
}

/** Nothing of it was used. */
export function giveBack(meter: Meter, { asks, taken }: Reservation): void {
  for (let index = 0; index < asks.length; index += 1) {
    const ask = asks[index];
    const one = taken[index];
    if (ask && one) meter.settle(ask.key, -one.amount, ask.rule, one);
  }
}
