// What limits, budgets and quotas are counted through: an authority that leases units, and a meter that spends them in this process.

/**
 * window: at most `limit` in any stretch of `windowMs`. period: at most `limit` until the period ends; the key names the
 * period, so that the next one begins at nothing. concurrent: at most `limit` at the same time.
 * Amounts are whole numbers: money is counted in millionths.
 */
export type Rule =
  | { readonly kind: "window"; readonly limit: number; readonly windowMs: number }
  | { readonly kind: "period"; readonly limit: number; readonly endsMs: number }
  | { readonly kind: "concurrent"; readonly limit: number };

export interface LeaseRequest {
  /** The process that asks: unique in a cluster. */
  readonly holder: string;
  readonly key: string;
  readonly rule: Rule;
  /** The least that helps; with less to give, nothing is given. */
  readonly need: number;
  /** What is spent at once, `need` included. */
  readonly want: number;
  /** What would be welcome beyond that, to be spent without asking: given only as a small part of what is left. */
  readonly spare: number;
  /** concurrent only: what the holder has of this key and keeps. It replaces what was known of it, and is kept alive. */
  readonly held: number;
}

export interface Lease {
  /** 0, or between need and want + spare. */
  readonly granted: number;
  /** The units must be spent, or with `concurrent` asked for again, within this time from the asking; Infinity: whenever. */
  readonly forMs: number;
  /** The authority's mark of these units, for `settle`. */
  readonly stamp: number;
  /** What is left for others. Below 0: debt. */
  readonly remaining: number;
  /** Until everything is there again. */
  readonly resetMs: number;
  /** Until `need` may be there; 0 when granted; Infinity when the rule never allows so much. */
  readonly retryAfterMs: number;
}

/**
 * Counts for all processes that share it: one in the process itself, one behind the primary's, one in Redis.
 * Of keys that begin with "address:" there is no end: an authority may forget those unused for long.
 * It never gives more than a rule allows: a unit of a window counts until its lease's end and a window more.
 * It sees what it is told and asked in that order, a holder at a time. It answers at once where it can; a promise rejects only when there is nobody to ask.
 */
export interface Allowances {
  lease(request: LeaseRequest): Lease | Promise<Lease>;
  /**
   * Corrects what was used of a window or a period: above 0 more than was leased (it may become debt), below 0 units that
   * come back. `stamp` is that of their lease; 0 for now. Told, not asked: it may be sent later, together with others.
   */
  settle(key: string, rule: Rule, delta: number, stamp: number): void;
  /** A process is gone: what it held at the same time is free. */
  drop(holder: string): void;
  /** For a process that asks alone: nothing is leased ahead, and all figures are exact. Undefined where others may ask too. */
  readonly sole?: Meter;
}

export interface Taken {
  readonly ok: boolean;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
  readonly stamp: number;
  /** What was taken: less than asked for where `least` allowed it. */
  readonly amount: number;
}

/** Spends in this process. */
export interface Meter {
  /**
   * Answers at once from the lease at hand, and by a promise only when that is used up. `least`: take less rather than
   * nothing, down to this. A promise never rejects.
   */
  take(key: string, amount: number, rule: Rule, least?: number): Taken | Promise<Taken>;
  /** Corrects what was taken, once its real size is known: above 0 it was more, below 0 less. With `concurrent`: -1 ends it. */
  settle(key: string, delta: number, rule: Rule, taken: Taken): void;
  /** Gives back what is leased and unspent. */
  close(): void;
}

/** The key of a budget, which survives restarts: an authority asks what was spent under it before. */
export const budgetKey = (tokenId: string, periodStartMs: number): string => `budget:${tokenId}:${periodStartMs}`;

export function parseBudgetKey(key: string): { tokenId: string; periodStartMs: number } | undefined {
  const match = /^budget:([^:]+):(\d+)$/.exec(key);
  return match?.[1] && match[2] ? { tokenId: match[1], periodStartMs: Number(match[2]) } : undefined;
}
