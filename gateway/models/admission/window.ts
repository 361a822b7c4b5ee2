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
  /** Until `count` requests of this size each have been sent, one after the other, where answers begin when they usually do. */
  waitForMs(count: number, tokens: number): number;
  /** Of what may be used, 0 to 1: the scarcest of requests and tokens. */
  left(): number;
  use(tokens: number): Use;
}

interface Entry {
  readonly sentAt: number;
  /** It counts until then at the latest. */
  until: number;
  answered: boolean;
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

/** An answer moves what is usual by one part of so many. */
const usualOf = 8;

/**
 * A request that left at t reaches the provider at t or later; the one before it may have been late. So that no span at the
 * provider holds too many, each counts until a whole span after its answer began, or `guardMs` after it was sent.
 */
export function createWindow({ windowMs, guardMs, limits, now }: Settings): Window {
  const maxRequests = limits.requests ?? Number.POSITIVE_INFINITY;
  const maxTokens = limits.tokens ?? Number.POSITIVE_INFINITY;
  /** Each in the order of their ends: those whose answers are waited for, and those whose answers began within `guardMs`. */
  const unanswered = createLine();
  const answered = createLine();
  let requests = 0;
  let tokens = 0;
  /** From a request to the beginning of its answer. */
  let usualMs = 0;

  function forgetOld(): void {
    const time = now();
    for (const line of [unanswered, answered]) {
      for (
        let entry = line.first();
        entry && (entry.until <= time || (entry.answered && line === unanswered));
        entry = line.first()
      ) {
        line.drop();
        if (entry.until <= time) forget(entry);
      }
    }
  }

  function forget(entry: Entry): void {
    if (!entry.counts) return;
    requests -= entry.requests;
    tokens -= entry.tokens;
    entry.counts = false;
  }

  /** One that is larger than all that was bought goes when nothing else counts: it can never go otherwise. */
  const fits = (usedRequests: number, usedTokens: number, size: number): boolean =>
    usedRequests < maxRequests && usedTokens + Math.min(size, maxTokens) <= maxTokens;

  /** `endOf`: when one counts no more. */
  function waitUntil(count: number, size: number, endOf: (entry: Entry) => number): number {
    forgetOld();
    const time = now();
    let [usedRequests, usedTokens] = [requests, tokens];
    const ends = [...unanswered.list().filter((entry) => !entry.answered), ...answered.list()]
      .map((entry) => ({ until: endOf(entry), one: entry.requests, its: entry.tokens }))
      .sort((one, other) => one.until - other.until);
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

  const latestEnd = ({ until }: Entry): number => until;
  const likelyEnd = ({ until, sentAt, answered: isAnswered }: Entry): number =>
    isAnswered ? until : Math.min(until, Math.max(now(), sentAt + usualMs) + windowMs);

  return {
    waitMs(size) {
      forgetOld();
      return fits(requests, tokens, size) ? 0 : waitUntil(1, size, latestEnd);
    },
    waitForMs: (count, size) => waitUntil(count, size, likelyEnd),
    left() {
      forgetOld();
      const ofRequests = Number.isFinite(maxRequests) ? 1 - requests / maxRequests : 1;
      const ofTokens = Number.isFinite(maxTokens) ? 1 - tokens / maxTokens : 1;
      return Math.max(0, Math.min(ofRequests, ofTokens));
    },
    use(guess) {
      const sentAt = now();
      const until = sentAt + guardMs + windowMs;
      const entry: Entry = { sentAt, until, answered: false, requests: 1, tokens: guess, counts: true };
      unanswered.push(entry);
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
          if (entry.answered) return;
          const tookMs = now() - entry.sentAt;
          usualMs += (tookMs - usualMs) / (usualMs === 0 ? 1 : usualOf);
          // One that was later than the guard allows for has its end already.
          if (tookMs > guardMs || !entry.counts) return;
          entry.until = now() + windowMs;
          entry.answered = true;
          answered.push(entry);
        },
        settle: (used) => set(entry.requests, used),
        cancel: () => set(0, 0),
      };
    },
  };
}

interface Line {
  first(): Entry | undefined;
  /** The first one. */
  drop(): void;
  push(entry: Entry): void;
  list(): readonly Entry[];
}

/** First in, first out. */
function createLine(): Line {
  let entries: Entry[] = [];
  /** Those before it are gone; they are cut off now and then. */
  let from = 0;
  return {
    first: () => entries[from],
    drop() {
      from += 1;
      if (from <= 256 || from * 2 <= entries.length) return;
      entries = entries.slice(from);
      from = 0;
    },
    push: (entry) => void entries.push(entry),
    list: () => entries.slice(from),
  };
}
