/** What a load counted, what was wrong, and how long this process itself stood still: nobody else is blamed for that. */
import type { LoadFailure, LoadKind, LoadReport, Slowest } from "./constant-load.ts";

export interface Ledger {
  phase(name: string): void;
  right(kind: LoadKind): void;
  /** A stream's first piece came: it works, though its end is far. */
  began(kind: LoadKind): void;
  wasRight(kind: LoadKind): Promise<void>;
  fail(kind: LoadKind, afterMs: number, expected: string, got: string, reused: boolean): void;
  /** Of something that ends now. */
  slowest(kind: LoadKind, ms: number): void;
  opened(): void;
  closedBetween(): void;
  /** Milliseconds from then (of `performance.now`) until now, without those in which this process stood still. */
  since(then: number): number;
  report(): LoadReport;
}

const tickMs = 20;
/** What a busy machine does to every timer. */
const usualLatenessMs = 30;
/** More would only say the same again. */
const maxFailures = 5000;

export function createLedger(): Ledger {
  /** The one of now first. */
  const phases = [{ name: "start", from: 0 }];
  const phaseAt = (then: number): string => phases.find(({ from }) => from <= then)?.name ?? "start";
  const counts = { call: 0, stream: 0, websocket: 0, opened: 0, closedBetween: 0 };
  const failures: LoadFailure[] = [];
  const slow = new Map<string, Slowest>();
  const firsts = { call: first(), stream: first(), websocket: first() };
  const stalls: { from: number; to: number }[] = [];
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (now - last > tickMs + usualLatenessMs) stalls.push({ from: last + tickMs, to: now });
    last = now;
  }, tickMs);

  return {
    phase(name) {
      phases.unshift({ name, from: performance.now() });
    },
    right(kind) {
      counts[kind] += 1;
      firsts[kind].resolve();
    },
    began: (kind) => firsts[kind].resolve(),
    wasRight: (kind) => firsts[kind].promise,
    fail(kind, afterMs, expected, got, reused) {
      const at = new Date().toISOString();
      const phase = phaseAt(performance.now());
      if (failures.length < maxFailures)
        failures.push({ kind, at, phase, afterMs: Math.round(afterMs), expected, got, reused });
    },
    slowest(kind, ms) {
      const phase = phaseAt(performance.now() - ms);
      const key = `${kind} ${phase}`;
      if (ms > (slow.get(key)?.ms ?? 0)) slow.set(key, { kind, ms: Math.round(ms), at: new Date().toISOString(), phase });
    },
    opened() {
      counts.opened += 1;
    },
    closedBetween() {
      counts.closedBetween += 1;
    },
    since(then) {
      const now = performance.now();
      let stood = 0;
      for (const { from, to } of stalls) stood += Math.max(0, Math.min(to, now) - Math.max(from, then));
      // The ticker may not have had its turn yet.
      stood += Math.max(0, now - Math.max(last + tickMs + usualLatenessMs, then));
      return Math.max(0, now - then - stood);
    },
    report: () => ({
      calls: counts.call,
      streams: counts.stream,
      echoes: counts.websocket,
      connections: counts.opened,
      closedBetween: counts.closedBetween,
      failures,
      slowest: [...slow.values()].sort((a, b) => b.ms - a.ms),
    }),
  };
}

function first(): { promise: Promise<void>; resolve: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, resolve };
}
