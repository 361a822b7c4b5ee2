// Spends leased units in this process, so that the authority is asked only when a lease is used up.
import type { Allowances, Lease, Meter, Rule, Taken } from "./allowances.ts";

interface Options {
  /** This process, unique among all that share the authority. */
  readonly holder: string;
  /** True where nobody else asks the authority: then its own meter for that is used. Else more is leased than the next request needs, as much as was spent lately. */
  readonly direct: boolean;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

interface Entry {
  rule: Rule;
  /** Leased and unspent. */
  left: number;
  /** concurrent: taken and not ended. */
  used: number;
  untilMs: number;
  stamp: number;
  /** Of the authority, when it was asked last. */
  remaining: number;
  fullAtMs: number;
  /** What the last leases served: so much is leased ahead. */
  spent: number;
  askedAtMs: number;
  asking: Promise<void> | undefined;
  /** concurrent: something ended while the authority was asked; it is told once the answer is here. */
  ended: boolean;
  /** Requests that wait for that answer. */
  waiting: number;
  /** Whoever needs so much is refused until then without asking. */
  refused: { readonly need: number; readonly untilMs: number; readonly freeAtMs: number } | undefined;
}

/** A refusal is believed for this long: a flood of refused requests must not become one of questions. */
const refusedMs = 100;
/** Leases that ran out unspent are given back, and those held are kept alive, at this pace. */
const tendMs = 1000;
/** What is held is asked for again when it lapses within this time. */
const renewMs = 10_000;

export function createMeter(allowances: Allowances, options: Options): Meter {
  const { holder, direct, now = () => performance.now() } = options;
  const { sole } = allowances;
  if (direct && sole) return sole;
  const entries = new Map<string, Entry>();
  const timer = setInterval(tend, tendMs).unref();

  function entryOf(key: string, rule: Rule): Entry {
    const found = entries.get(key);
    if (found) {
      found.rule = rule;
      return found;
    }
    const made: Entry = {
      rule,
      left: 0,
      used: 0,
      untilMs: 0,
      stamp: 0,
      remaining: rule.limit,
      fullAtMs: 0,
      spent: 0,
      askedAtMs: now(),
      asking: undefined,
      ended: false,
      waiting: 0,
      refused: undefined,
    };
    entries.set(key, made);
    return made;
  }

  function take(key: string, amount: number, rule: Rule, least = amount): Taken | Promise<Taken> {
    const entry = entryOf(key, rule);
    if (entry.asking) {
      entry.waiting += 1;
      return entry.asking.then(() => {
        entry.waiting -= 1;
        return take(key, amount, rule, least);
      });
    }
    const time = now();
    if (entry.left > 0 && entry.untilMs <= time && rule.kind !== "concurrent") giveBack(key, entry);
    if (entry.left >= amount) return spend(entry, amount, time);
    if (entry.refused && time < entry.refused.untilMs && least >= entry.refused.need)
      return refusal(entry, entry.refused.freeAtMs - time, time);
    // Units of two leases are not mixed: they count for different times.
    if (rule.kind !== "concurrent") giveBack(key, entry);
    const answer = allowances.lease({
      holder,
      key,
      rule,
      need: least - entry.left,
      want: amount - entry.left,
      spare: Math.max(spareOf(entry, time), entry.waiting * amount),
      held: entry.used + entry.left,
    });
    if (!(answer instanceof Promise)) return accept(entry, answer, amount, least, time);
    const { promise, resolve } = Promise.withResolvers<void>();
    entry.asking = promise;
    const done = (taken: Taken): Taken => {
      entry.asking = undefined;
      if (entry.ended) hold(key, entry);
      entry.ended = false;
      resolve();
      return taken;
    };
    return answer.then(
      (lease) => done(accept(entry, lease, amount, least, time)),
      () => {
        // Nobody to ask: what to do then is the authority's own business, so this is a failure on the way.
        entry.refused = { need: least, untilMs: now() + refusedMs, freeAtMs: now() + tendMs };
        return done(refusal(entry, tendMs, now()));
      },
    );
  }

  /** `askedAt`: a lease counts from the question, since the answer may have been long on its way. */
  function accept(entry: Entry, lease: Lease, amount: number, least: number, askedAt: number): Taken {
    const time = now();
    entry.remaining = lease.remaining;
    entry.fullAtMs = askedAt + lease.resetMs;
    let taken: Taken;
    if (lease.granted === 0 && entry.left < least) {
      const untilMs = time + Math.min(refusedMs, lease.retryAfterMs);
      entry.refused = { need: least, untilMs, freeAtMs: askedAt + lease.retryAfterMs };
      taken = refusal(entry, lease.retryAfterMs, time);
    } else {
      entry.refused = undefined;
      entry.left += lease.granted;
      entry.untilMs = askedAt + lease.forMs;
      entry.stamp = lease.stamp;
      taken = spend(entry, Math.min(amount, entry.left), time);
    }
    return taken;
  }

  function spend(entry: Entry, amount: number, time: number): Taken {
    entry.left -= amount;
    entry.spent += amount;
    if (entry.rule.kind === "concurrent") entry.used += amount;
    return {
      ok: true,
      remaining: Math.max(0, entry.remaining + entry.left),
      resetMs: Math.max(0, entry.fullAtMs - time),
      retryAfterMs: 0,
      stamp: entry.stamp,
      amount,
    };
  }

  function refusal(entry: Entry, retryAfterMs: number, time: number): Taken {
    return {
      ok: false,
      remaining: Math.max(0, entry.remaining + entry.left),
      resetMs: Math.max(0, entry.fullAtMs - time),
      retryAfterMs: Math.max(0, retryAfterMs),
      stamp: 0,
      amount: 0,
    };
  }

  /** A place that nobody uses is one that another process waits for: of few, none is kept ahead. */
  function spareOf(entry: Entry, time: number): number {
    const ahead = aheadOf(entry, time);
    return entry.rule.kind === "concurrent" ? Math.min(ahead, keptOf(entry)) : ahead;
  }

  /** Twice of what was spent in the last second: a busy process asks about once a second, an idle one keeps nothing. */
  function aheadOf(entry: Entry, time: number): number {
    const share = Math.min(1, tendMs / Math.max(1, time - entry.askedAtMs));
    const ahead = Math.floor(2 * entry.spent * share);
    entry.spent = 0;
    entry.askedAtMs = time;
    return ahead;
  }

  function giveBack(key: string, entry: Entry): void {
    if (entry.left > 0) allowances.settle(key, entry.rule, -entry.left, entry.stamp);
    entry.left = 0;
  }

  /** Tells the authority what is held of a key, which keeps it alive or frees the rest. */
  function hold(key: string, entry: Entry): void {
    const time = now();
    const held = entry.used + entry.left;
    const answer = allowances.lease({ holder, key, rule: entry.rule, need: 0, want: 0, spare: 0, held });
    const note = (lease: Lease): void => {
      entry.remaining = lease.remaining;
      entry.untilMs = time + lease.forMs;
    };
    if (answer instanceof Promise) answer.then(note, () => undefined);
    else note(answer);
  }

  function settle(key: string, delta: number, rule: Rule, taken: Taken): void {
    if (delta === 0) return;
    const entry = entryOf(key, rule);
    entry.refused = undefined;
    if (rule.kind === "concurrent") {
      entry.used = Math.max(0, entry.used + delta);
      // What others may wait for is not kept.
      const keep = Math.min(entry.left - delta, keptOf(entry));
      entry.left = keep;
      // What the answer on its way grants is not among what is held yet.
      if (entry.asking) entry.ended = true;
      else if (keep === 0 || entry.used + entry.left === 0) hold(key, entry);
      if (entry.used === 0 && entry.left === 0 && !entry.asking) entries.delete(key);
    } else if (delta > 0) {
      // More than was taken: from the lease at hand, the rest is debt that all must see.
      const own = Math.min(delta, Math.max(0, entry.untilMs > now() ? entry.left : 0));
      entry.left -= own;
      entry.spent += own;
      if (delta > own) allowances.settle(key, rule, delta - own, 0);
    } else if (taken.stamp === entry.stamp && entry.untilMs > now()) entry.left -= delta;
    else allowances.settle(key, rule, delta, taken.stamp);
  }

  function tend(): void {
    const time = now();
    for (const [key, entry] of entries) {
      if (entry.asking) continue;
      if (entry.rule.kind === "concurrent") {
        const idle = entry.left > 0 && time - entry.askedAtMs > 2 * tendMs;
        if (idle) entry.left = 0;
        if (idle || entry.untilMs - time < renewMs) hold(key, entry);
      } else if (entry.untilMs <= time) giveBack(key, entry);
      if (entry.left === 0 && entry.used === 0 && (entry.refused?.untilMs ?? 0) <= time) entries.delete(key);
    }
  }

  return {
    take,
    settle,
    close() {
      clearInterval(timer);
      for (const [key, entry] of entries) {
        if (entry.rule.kind !== "concurrent") giveBack(key, entry);
      }
      allowances.drop(holder);
      entries.clear();
    },
  };
}

/** Places that a process may keep for its next calls: a small part of those that are free. */
const keptOf = ({ remaining }: Entry): number => Math.max(0, Math.floor(remaining / 8));
