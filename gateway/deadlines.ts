// Deadlines of what is under way, looked at together: a timer for each would cost a call more than most of its other work.

export interface Timed {
  /** Milliseconds of performance.now() from which on `expire` is called, again and again until it is changed. Infinity: never. */
  deadline: number;
  /** The number of its place here; -1 where it has none. Begins with -1. */
  slot: number;
  expire(nowMs: number): void;
}

/** So much later than its deadline something may be told. */
const lookMs = 20;
const watched: Timed[] = [];
let isLooking = false;

export function watch(timed: Timed): void {
  if (timed.slot !== -1) return;
  timed.slot = watched.push(timed) - 1;
  if (isLooking) return;
  isLooking = true;
  setTimeout(look, lookMs);
}

export function unwatch(timed: Timed): void {
  const { slot } = timed;
  if (slot === -1) return;
  timed.slot = -1;
  const last = watched.pop();
  if (!last || last === timed) return;
  watched[slot] = last;
  last.slot = slot;
}

function look(): void {
  const now = performance.now();
  // Backwards: whoever goes gives its place to the last one, which was looked at before.
  for (let at = watched.length - 1; at >= 0; at -= 1) {
    const timed = watched[at];
    if (timed !== undefined && timed.deadline <= now) timed.expire(now);
  }
  isLooking = watched.length > 0;
  if (isLooking) setTimeout(look, lookMs);
}
