// How many of an upstream's latest calls failed: counted in slices of a window, so that old ones drop out.

export interface Outcomes {
  add(ok: boolean, windowMs: number): void;
  isBad(rate: { readonly threshold: number; readonly minRequests: number; readonly windowMs: number }): boolean;
  anyFailed(windowMs: number): boolean;
  clear(): void;
}

const slices = 10;

interface Slice {
  /** Which slice since the clock's beginning; older ones in its place are void. */
  at: number;
  ok: number;
  failed: number;
}

/** `now` gives milliseconds that never go back. Successes are only counted once something failed. */
export function createOutcomes(now: () => number): Outcomes {
  let ring: Slice[] | undefined;

  function sum(windowMs: number): { ok: number; failed: number } {
    const first = Math.floor((now() / windowMs) * slices) - slices + 1;
    const total = { ok: 0, failed: 0 };
    for (const slice of ring ?? []) {
      if (slice.at < first) continue;
      total.ok += slice.ok;
      total.failed += slice.failed;
    }
    return total;
  }

  return {
    add(ok, windowMs) {
      if (ok && !ring) return;
      ring ??= Array.from({ length: slices }, () => ({ at: -1, ok: 0, failed: 0 }));
      const at = Math.floor((now() / windowMs) * slices);
      const slice = ring[at % slices];
      if (!slice) return;
      if (slice.at !== at) Object.assign(slice, { at, ok: 0, failed: 0 });
      if (ok) slice.ok += 1;
      else slice.failed += 1;
    },
    isBad({ threshold, minRequests, windowMs }) {
      const { ok, failed } = sum(windowMs);
      return ok + failed >= minRequests && failed / (ok + failed) >= threshold;
    },
    anyFailed: (windowMs) => ring !== undefined && sum(windowMs).failed > 0,
    clear() {
      ring = undefined;
    },
  };
}
