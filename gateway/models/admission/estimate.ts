// How long a request that comes now would wait: from who is ahead of it, how long calls take here, and when quotas open.
import type { Priority } from "../../config/admission.ts";
import type { Route } from "../router.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Limits } from "./limits.ts";
import type { Quota } from "./quotas.ts";
import { type Slots, untilBegun } from "./slots.ts";

export interface Expected {
  readonly ms: number;
  /** No place can be there sooner, whatever the others in the queue do. */
  readonly atLeastMs: number;
}

interface Deps {
  readonly limits: Pick<Limits, "isFull" | "slots">;
  readonly queue: Pick<FairQueue, "ahead">;
  readonly quotaOf: (route: Route) => Quota | undefined;
}

export type Estimate = (
  routes: readonly Route[],
  lane: string,
  caller: string,
  priority: Priority,
  tokensOf: ReadonlyMap<string, number>,
) => Expected;

export function createEstimate({ limits, queue, quotaOf }: Deps): Estimate {
  return (routes, lane, caller, priority, tokensOf) => {
    const count = Math.ceil(queue.ahead(lane, caller, priority)) + 1;
    const full = new Set<Slots>();
    const quotas = new Set<Quota>();
    for (const route of routes) {
      const slots = limits.isFull(route) ? limits.slots(route) : undefined;
      const quota = quotaOf(route);
      if (slots) full.add(slots);
      else if (quota) quotas.add(quota);
    }
    const ofSlots = full.size > 0 ? slotsWait(count, [...full]) : Number.POSITIVE_INFINITY;
    let ofQuotas = Number.POSITIVE_INFINITY;
    let soonest = Number.POSITIVE_INFINITY;
    for (const quota of quotas) {
      const tokens = tokensOf.get(quota.providerId) ?? 0;
      ofQuotas = Math.min(ofQuotas, quota.waitForMs(Math.ceil(count / quotas.size), tokens));
      soonest = Math.min(soonest, quota.waitForMs(1, tokens));
    }
    const ms = Math.min(ofSlots, ofQuotas);
    return { ms: Number.isFinite(ms) ? ms : 0, atLeastMs: full.size > 0 || quotas.size === 0 ? 0 : soonest };
  };
}

/** Calls end in the order in which they began, each after the usual time, and one that waits begins in its place. */
function slotsWait(count: number, all: readonly Slots[]): number {
  const ends = all.flatMap((slots) => slots.ends()).sort((one, other) => one - other);
  const active = all.reduce((sum, slots) => sum + slots.active, 0);
  const expectedMs =
    active > 0
      ? all.reduce((sum, slots) => sum + slots.expectedMs() * slots.active, 0) / active
      : Math.max(...all.map((slots) => slots.expectedMs()));
  return untilBegun(count, ends, expectedMs);
}
