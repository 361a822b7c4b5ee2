// Time as admission sees it: tests put their own in its place.

export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** What is returned calls it off. */
  after(ms: number, run: () => void): () => void;
}

/** setTimeout takes no more. */
const maxTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), maxTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
