// Allowances counted in this process's memory: for a gateway of one process, and behind the primary for its workers.
import type { Allowances, Lease, Meter, Rule, Taken } from "./allowances.ts";

interface Options {
  /** Epoch in milliseconds. */
  readonly now?: () => number;
  /** How long a lease may be spent; 0: who leases spends at once, as in a process of its own. */
  readonly leaseMs?: number;
  /** What was used under a period's key before this process began. */
  readonly usedBefore?: (key: string) => number;
}

/** Units and when they count no more, oldest first. */
interface WindowState {
  readonly kind: "window";
  readonly buckets: { end: number; amount: number }[];
  used: number;
}
interface PeriodState {
  readonly kind: "period";
  used: number;
  endsMs: number;
}
interface ConcurrentState {
  readonly kind: "concurrent";
  readonly holders: Map<string, { count: number; untilMs: number }>;
}
type State = WindowState | PeriodState | ConcurrentState;

/** A window is counted in this many steps; a unit counts up to one step longer, never shorter. */
const steps = 120;
/** Beyond this many keys those at rest go; and those of addresses, of which there is no end, whose turn it is. */
const maxKeys = 20_000;
const ofAnAddress = "address:";
/** More than is needed is leased only while it is a small part of what is left, so that nobody waits for what lies idle elsewhere. */
const spareShare = 8;
/** Who holds units at the same time asks for them again within this time, or has died. */
const heldMs = 15_000;

export function createLocalAllowances(options: Options = {}): Allowances {
  const { now = Date.now, leaseMs = 0, usedBefore = () => 0 } = options;
  const states = new Map<string, State>();
  let sweepAt = maxKeys;

  function stateOf<Kind extends Rule["kind"]>(key: string, rule: Rule & { kind: Kind }): Extract<State, { kind: Kind }>;
  function stateOf(key: string, rule: Rule): State {
    const found = states.get(key);
    if (found?.kind === rule.kind) return found;
    const made = fresh(key, rule);
    states.set(key, made);
    if (states.size > sweepAt) sweep();
    return made;
  }

  function fresh(key: string, rule: Rule): State {
    if (rule.kind === "window") return { kind: "window", buckets: [], used: 0 };
    if (rule.kind === "concurrent") return { kind: "concurrent", holders: new Map() };
    return { kind: "period", used: usedBefore(key), endsMs: rule.endsMs };
  }

  function sweep(): void {
    const time = now();
    for (const [key, state] of states) if (isIdle(state, time)) states.delete(key);
    if (states.size > maxKeys / 2) {
      for (const key of states.keys()) {
        if (states.size <= maxKeys / 2) break;
        if (key.startsWith(ofAnAddress)) states.delete(key);
      }
    }
    sweepAt = Math.max(maxKeys, states.size * 2);
  }

  function leaseOfWindow(key: string, rule: WindowRule, need: number, want: number, spare: number): Lease {
    const time = now();
    const state = stateOf(key, rule);
    expire(state, time);
    const left = rule.limit - state.used;
    const granted = share(left, need, want, spare);
    const stamp = bucketEnd(time + leaseMs, rule.windowMs);
    if (granted > 0) addTo(state, stamp, granted);
    return {
      granted,
      forMs: leaseMs > 0 ? leaseMs : Number.POSITIVE_INFINITY,
      stamp,
      remaining: left - granted,
      resetMs: Math.max(0, (state.buckets.at(-1)?.end ?? time) - time),
      retryAfterMs: granted > 0 || need === 0 ? 0 : waitFor(state, rule.limit, need, time),
    };
  }

  function leaseOfPeriod(key: string, rule: PeriodRule, need: number, want: number, spare: number): Lease {
    const state = stateOf(key, rule);
    const left = rule.limit - state.used;
    const granted = share(left, need, want, spare);
    state.used += granted;
    const resetMs = Math.max(0, rule.endsMs - now());
    return {
      granted,
      forMs: leaseMs > 0 ? leaseMs : Number.POSITIVE_INFINITY,
      stamp: 0,
      remaining: left - granted,
      resetMs,
      retryAfterMs: granted > 0 || need === 0 ? 0 : resetMs,
    };
  }

  function leaseOfConcurrent(
    key: string,
    rule: ConcurrentRule,
    need: number,
    want: number,
    spare: number,
    holder: string,
    held: number,
  ): Lease {
    const { holders } = stateOf(key, rule);
    const mine = holders.get(holder);
    let others = 0;
    if (holders.size > (mine ? 1 : 0)) {
      const time = now();
      for (const [name, { count, untilMs }] of holders) {
        if (name === holder) continue;
        if (untilMs <= time) holders.delete(name);
        else others += count;
      }
    }
    const left = rule.limit - others - held;
    const granted = share(left, need, want, spare);
    const forMs = leaseMs > 0 ? heldMs : Number.POSITIVE_INFINITY;
    const untilMs = leaseMs > 0 ? now() + heldMs : Number.POSITIVE_INFINITY;
    if (held + granted === 0) holders.delete(holder);
    else if (mine) {
      mine.count = held + granted;
      mine.untilMs = untilMs;
    } else holders.set(holder, { count: held + granted, untilMs });
    if (holders.size === 0) states.delete(key);
    const retryAfterMs = granted > 0 || need === 0 ? 0 : need > rule.limit ? Number.POSITIVE_INFINITY : 1000;
    return { granted, forMs, stamp: 0, remaining: left - granted, resetMs: 0, retryAfterMs };
  }

  function correct(key: string, rule: Rule, delta: number, stamp: number): void {
    if (rule.kind === "period") {
      const state = stateOf(key, rule);
      state.used = Math.max(0, state.used + delta);
    } else if (rule.kind === "window") {
      const state = stateOf(key, rule);
      const time = now();
      expire(state, time);
      addTo(state, stamp === 0 ? bucketEnd(time, rule.windowMs) : stamp, delta);
    }
  }

  const heldAlone = (key: string, rule: ConcurrentRule): number => stateOf(key, rule).holders.get(alone)?.count ?? 0;

  const sole: Meter = {
    take(key, amount, rule, least = amount) {
      if (rule.kind === "window") return takenOf(leaseOfWindow(key, rule, least, amount, 0));
      if (rule.kind === "period") return takenOf(leaseOfPeriod(key, rule, least, amount, 0));
      return takenOf(leaseOfConcurrent(key, rule, least, amount, 0, alone, heldAlone(key, rule)));
    },
    settle(key, delta, rule, { stamp }) {
      if (delta === 0) return;
      if (rule.kind === "concurrent") leaseOfConcurrent(key, rule, 0, 0, 0, alone, Math.max(0, heldAlone(key, rule) + delta));
      else correct(key, rule, delta, delta < 0 ? stamp : 0);
    },
    close: () => drop(alone),
  };

  function drop(holder: string): void {
    for (const state of states.values()) if (state.kind === "concurrent") state.holders.delete(holder);
  }

  return {
    // With leases there are several who ask.
    ...(leaseMs > 0 ? {} : { sole }),
    lease({ key, rule, need, want, spare, holder, held }) {
      if (rule.kind === "window") return leaseOfWindow(key, rule, need, want, spare);
      if (rule.kind === "period") return leaseOfPeriod(key, rule, need, want, spare);
      return leaseOfConcurrent(key, rule, need, want, spare, holder, held);
    },
    settle: correct,
    drop,
  };
}

/** The holder's name of a process that asks alone. */
const alone = "";

function takenOf({ granted, remaining, resetMs, retryAfterMs, stamp }: Lease): Taken {
  return { ok: granted > 0, remaining: Math.max(0, remaining), resetMs, retryAfterMs, stamp, amount: granted };
}

type WindowRule = Rule & { kind: "window" };
type PeriodRule = Rule & { kind: "period" };
type ConcurrentRule = Rule & { kind: "concurrent" };

/** What is needed or nothing; to keep only of a plenty. */
function share(left: number, need: number, want: number, spare: number): number {
  if (need > left) return 0;
  const spent = Math.max(0, Math.min(want, left));
  return spent + Math.min(spare, Math.floor((left - spent) / spareShare));
}

/** Units spent at this time count until then. */
function bucketEnd(timeMs: number, windowMs: number): number {
  const step = Math.max(1, Math.floor(windowMs / steps));
  return Math.ceil((timeMs + windowMs) / step) * step;
}

function expire(state: WindowState, time: number): void {
  const { buckets } = state;
  let gone = 0;
  for (let bucket = buckets[0]; bucket && bucket.end <= time; bucket = buckets[gone]) {
    state.used -= bucket.amount;
    gone += 1;
  }
  if (gone > 0) buckets.splice(0, gone);
}

/** Units that come back to a bucket which is over already count no more anyway. */
function addTo(state: WindowState, end: number, amount: number): void {
  let index = state.buckets.length;
  while (index > 0 && (state.buckets[index - 1]?.end ?? 0) > end) index -= 1;
  const bucket = state.buckets[index - 1];
  if (bucket?.end === end) {
    const change = Math.max(amount, -bucket.amount);
    bucket.amount += change;
    state.used += change;
  } else if (amount > 0) {
    state.buckets.splice(index, 0, { end, amount });
    state.used += amount;
  }
}

function waitFor(state: WindowState, limit: number, need: number, time: number): number {
  if (need > limit) return Number.POSITIVE_INFINITY;
  let used = state.used;
  for (const { end, amount } of state.buckets) {
    used -= amount;
    if (used + need <= limit) return end - time;
  }
  return 0;
}

function isIdle(state: State, time: number): boolean {
  if (state.kind === "period") return state.endsMs <= time;
  if (state.kind === "concurrent") return [...state.holders.values()].every(({ untilMs }) => untilMs <= time);
  expire(state, time);
  return state.buckets.length === 0;
}
