// Calls under way at one upstream, or at all of a provider's: whether it is full, and when the next of them will end.
import type { Clock } from "./clock.ts";

/** A call under way. */
export interface Slot {
  readonly since: number;
}

export interface Slots {
  readonly active: number;
  /** Of calls that came to their end, the later ones more; undefined before the first. */
  readonly meanMs: number | undefined;
  begin(): Slot;
  /** `whole`: it was answered to its end, so that its time says how long calls take. */
  end(slot: Slot, whole: boolean): void;
  /** When each of those under way will probably end, from now, soonest first. */
  ends(): number[];
  /** How long a call probably takes. */
  expectedMs(): number;
}

/** How much of the mean the newest call is. */
const newest = 0.2;
/** Before anything is known. */
const unknownMs = 1000;

export function createSlots(clock: Clock): Slots {
  const active = new Set<Slot>();
  let meanMs: number | undefined;

  function expectedMs(): number {
    if (meanMs !== undefined) return meanMs;
    const [oldest] = active;
    return Math.max(unknownMs, oldest ? clock.now() - oldest.since : 0);
  }

  return {
    get active() {
      return active.size;
    },
    get meanMs() {
      return meanMs;
    },
    begin() {
      const slot: Slot = { since: clock.now() };
      active.add(slot);
      return slot;
    },
    end(slot, whole) {
      active.delete(slot);
      if (!whole) return;
      const tookMs = clock.now() - slot.since;
      meanMs = meanMs === undefined ? tookMs : meanMs + (tookMs - meanMs) * newest;
    },
    ends() {
      const now = clock.now();
      const mean = expectedMs();
      // One that takes longer than usual ends soon, but nobody knows when: as likely as not within half of the usual time.
      return [...active]
        .map(({ since }) => (since + mean > now ? since + mean - now : mean / 2))
        .sort((one, other) => one - other);
    },
    expectedMs,
  };
}

/** Until so many more calls can have begun, each in the place of one that ended: `ends` of those under way, soonest first. */
export function untilBegun(count: number, ends: readonly number[], expectedMs: number): number {
  if (ends.length === 0) return expectedMs * count;
  const round = Math.floor((count - 1) / ends.length);
  return (ends[(count - 1) % ends.length] ?? 0) + round * expectedMs;
}
