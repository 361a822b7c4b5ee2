// What was used of a quota in a sliding span of time: each request counts until the span has passed since it can have reached the provider.

export interface WindowLimits {
  readonly requests: number | undefined;
  readonly tokens: number | undefined;
}

/** One request that counts. */
export interface Use {
  /** It reached the provider by now: it counts from now, and not from its latest possible arrival. */
  arrived(): void;
  /** What it used, where that is known better than by the guess. */
  settle(tokens: number): void;
  /** It was never sent. */
  cancel(): void;
}

export interface Window {
  /** 0: such a request may be sent now. */
  waitMs(tokens: number): number;
  /** Until `count` requests of this size each have been sent, one after the other. */
  waitForMs(count: number, tokens: number): number;
  /** Of what may be used, 0 to 1: the scarcest of requests and tokens. */
  left(): number;
  use(tokens: number): Use;
}

interface Entry {
  until: number;
  requests: number;
  tokens: number;
  /** Until the span has passed. */
  counts: boolean;
}

interface Settings {
  readonly windowMs: number;
  readonly guardMs: number;
  readonly limits: WindowLimits;
  /** Milliseconds that never go back. */
  readonly now: () => number;
}

/**
 * A request that left at t reaches the provider at t or later; the one before it may have been late. So that no span at the
 * provider holds too many, each counts until a whole span after its answer began, or `guardMs` after it was sent.
 */
export function createWindow({ windowMs, guardMs, limits, now }: Settings): Window {
  const maxRequests = limits.requests ?? Number.POSITIVE_INFINITY;
  const maxTokens = limits.tokens ?? Number.POSITIVE_INFINITY;
  let entries: Entry[] = [];
  /** Those before it no longer count; they are cut off now and then. */
  let first = 0;
  let requests = 0;
  let tokens = 0;

  function forgetOld(): void {
    const time = now();
    for (let entry = entries[first]; entry && entry.until <= time; entry = entries[first]) {
      requests -= entry.requests;
      tokens -= entry.tokens;
      entry.counts = false;
      first += 1;
    }
    if (first > 256 && first * 2 > entries.length) {
      entries = entries.slice(first);
      first = 0;
    }
  }

  /** One that is larger than all that was bought goes when nothing else counts: it can never go otherwise. */
  const fits = (usedRequests: number, usedTokens: number, size: number): boolean =>
    usedRequests < maxRequests && usedTokens + Math.min(size, maxTokens) <= maxTokens;

  function waitForMs(count: number, size: number): number {
    forgetOld();
    const time = now();
    let [usedRequests, usedTokens] = [requests, tokens];
    const ends = entries.slice(first).map(({ until, requests: one, tokens: its }) => ({ until, one, its }));
    let at = 0;
    let wait = 0;
    for (let sent = 0; sent < count; sent += 1) {
      while (!fits(usedRequests, usedTokens, size)) {
        const entry = ends[at];
        if (!entry) return wait;
        usedRequests -= entry.one;
        usedTokens -= entry.its;
        wait = Math.max(wait, entry.until - time);
        at += 1;
      }
      usedRequests += 1;
      usedTokens += size;
      ends.push({ until: time + wait + windowMs, one: 1, its: size });
    }
    return wait;
  }

  return {
    waitMs(size) {
      forgetOld();
      return fits(requests, tokens, size) ? 0 : waitForMs(1, size);
    },
    waitForMs,
    left() {
      forgetOld();
      const ofRequests = Number.isFinite(maxRequests) ? 1 - requests / maxRequests : 1;
      const ofTokens = Number.isFinite(maxTokens) ? 1 - tokens / maxTokens : 1;
      return Math.max(0, Math.min(ofRequests, ofTokens));
    },
    use(guess) {
      const entry: Entry = { until: now() + guardMs + windowMs, requests: 1, tokens: guess, counts: true };
      entries.push(entry);
      requests += 1;
      tokens += guess;
      const set = (nextRequests: number, nextTokens: number): void => {
        if (!entry.counts) return;
        requests += nextRequests - entry.requests;
        tokens += nextTokens - entry.tokens;
        entry.requests = nextRequests;
        entry.tokens = nextTokens;
      };
      return {
        arrived() {
          entry.until = Math.min(entry.until, now() + windowMs);
        },
        settle: (used) => set(entry.requests, used),
        cancel: () => set(0, 0),
      };
    },
  };
}
