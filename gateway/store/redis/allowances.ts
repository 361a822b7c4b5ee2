// Allowances that all gateways of a Redis share. While it is away each counts by itself, and tells it afterwards what was used.
import type { Allowances, Lease, LeaseRequest, Rule } from "../allowances.ts";
import type { RedisLink } from "../store.ts";
import { dropHolder, leaseConcurrent, leasePeriod, leaseWindow, settlePeriod, settleWindow } from "./scripts.ts";

interface Options {
  readonly link: RedisLink;
  /** Counts while Redis is away. */
  readonly local: Allowances;
  /** This gateway, the same after a restart. */
  readonly node: string;
  /** What this gateway spent under a period's key, by its own record: for a Redis that does not know. */
  readonly usedBefore?: (key: string) => number;
  /** Units of a window are spent within this time. */
  readonly leaseMs?: number;
  /** Epoch in milliseconds, for tests; else Redis' own clock. */
  readonly now?: () => number;
}

/** Of the time away: what was used under a key, by the end of its window. */
interface Entry {
  readonly key: string;
  readonly rule: Rule;
  readonly stamp: number;
  delta: number;
}

const heldMs = 15_000;
const defaultLeaseMs = 2000;
/** Keys may come from addresses. */
const maxJournal = 20_000;

export function createRedisAllowances(options: Options): Allowances {
  const { link, local, node, usedBefore = () => 0, leaseMs = defaultLeaseMs, now } = options;
  const journal = new Map<string, Entry>();
  const time = (): string => String(now?.() ?? -1);
  link.onChange((available) => {
    if (available) tellAll();
  });

  async function ask(request: LeaseRequest): Promise<Lease> {
    const { key, rule, need, want, spare, held, holder } = request;
    /** Nobody spends what was given too late: it goes back. */
    const onLate = (answer: unknown): void => {
      const { granted, stamp } = leaseOf(answer, 0);
      if (granted > 0) settle(key, rule, -granted, stamp);
    };
    const numbers = [need, want, spare].map(String);
    if (rule.kind === "window") {
      const words = [time(), String(rule.limit), String(rule.windowMs), ...numbers, String(leaseMs)];
      return leaseOf(await link.script(leaseWindow, [link.key("window", key)], words, onLate), leaseMs);
    }
    if (rule.kind === "period") {
      const words = [time(), String(rule.limit), String(rule.endsMs), ...numbers, node, String(Math.round(usedBefore(key)))];
      return leaseOf(await link.script(leasePeriod, [link.key("period", key)], words, onLate), leaseMs);
    }
    const keys = [link.key("held", key), link.key("holder", holder)];
    const words = [time(), String(rule.limit), ...numbers, String(held), holder, String(heldMs)];
    return leaseOf(await link.script(leaseConcurrent, keys, words), heldMs);
  }

  /** Redis does not answer: from now on this process counts alone. */
  function alone(request: LeaseRequest): Lease | Promise<Lease> {
    const { key, rule } = request;
    const lease = local.lease(request);
    if (lease instanceof Promise) return lease;
    if (rule.kind !== "concurrent" && lease.granted > 0) note(key, rule, lease.granted, lease.stamp);
    // Asked again soon: then all may be shared again.
    return { ...lease, forMs: Math.min(lease.forMs, leaseMs) };
  }

  function note(key: string, rule: Rule, delta: number, stamp: number): void {
    const name = `${stamp}\0${key}`;
    const entry = journal.get(name);
    if (entry) entry.delta += delta;
    else if (journal.size < maxJournal) journal.set(name, { key, rule, stamp, delta });
  }

  function tell(key: string, rule: Rule, delta: number, stamp: number): void {
    /** It was noted as untold, and has been done all the same. */
    const onLate = (): void => note(key, rule, -delta, stamp);
    const told =
      rule.kind === "period"
        ? link.script(settlePeriod, [link.key("period", key)], [time(), String(Math.round(delta)), node], onLate)
        : rule.kind === "window"
          ? link.script(
              settleWindow,
              [link.key("window", key)],
              [time(), String(rule.windowMs), String(delta), String(stamp)],
              onLate,
            )
          : undefined;
    told?.catch(() => note(key, rule, delta, stamp));
  }

  /** Each unit once: those that Redis leased are known to it, these are not. */
  function tellAll(): void {
    const entries = [...journal.values()];
    journal.clear();
    for (const { key, rule, delta, stamp } of entries) if (delta !== 0) tell(key, rule, delta, stamp);
  }

  function settle(key: string, rule: Rule, delta: number, stamp: number): void {
    if (link.available) tell(key, rule, delta, stamp);
    else if (rule.kind !== "concurrent") note(key, rule, delta, stamp);
  }

  return {
    lease(request) {
      if (!link.available) return alone(request);
      return ask(request).catch(() => alone(request));
    },
    settle(key, rule, delta, stamp) {
      if (!link.available) local.settle(key, rule, delta, stamp);
      settle(key, rule, delta, stamp);
    },
    drop(holder) {
      local.drop(holder);
      if (link.available) link.script(dropHolder, [link.key("holder", holder)], [time(), holder]).catch(() => {});
    },
  };
}

function leaseOf(answer: unknown, forMs: number): Lease {
  if (!Array.isArray(answer) || answer.length !== 5) throw new Error("Redis answered a lease with something else");
  const [granted = 0, stamp = 0, remaining = 0, resetMs = 0, wait = 0] = answer.map(Number);
  return { granted, forMs, stamp, remaining, resetMs, retryAfterMs: wait < 0 ? Number.POSITIVE_INFINITY : wait };
}
