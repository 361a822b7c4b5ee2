// A clock that a test moves by hand: timers run in their order, at their times.
import type { Clock } from "../../gateway/models/admission/clock.ts";

export interface ManualClock extends Clock {
  /** Runs all timers that are due until then. */
  advance(ms: number): void;
}

export function manualClock(): ManualClock {
  let time = 0;
  let count = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    now: () => time,
    after(ms, run) {
      const id = count;
      count += 1;
      timers.set(id, { at: time + Math.max(0, ms), run });
      return () => timers.delete(id);
    },
    advance(ms) {
      const until = time + ms;
      for (;;) {
        const [next] = [...timers].sort(([a, one], [b, other]) => one.at - other.at || a - b);
        if (!next || next[1].at > until) break;
        timers.delete(next[0]);
        time = Math.max(time, next[1].at);
        next[1].run();
      }
      time = until;
    },
  };
}
