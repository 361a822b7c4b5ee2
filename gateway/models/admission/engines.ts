// Looks at the engines' own figures from time to time, and says how busy each is now: the last look, and what this gateway did since.
import type { Clock } from "./clock.ts";
import { createEngineReader, type EngineLoad } from "./engine-metrics.ts";

export interface EngineState {
  readonly running: number;
  readonly waiting: number;
  readonly kv: number | undefined;
  readonly ageMs: number;
}

export interface Engine {
  /** Of one model, or of all where the engine does not name it. Undefined: unknown, or older than three looks. */
  state(model: string): EngineState | undefined;
  /** Requests in it now, by its last figures and the calls that began and ended since. */
  load(model: string): number | undefined;
  /** Of these the ones that would wait, if one more came. */
  waitingWithOneMore(model: string): number | undefined;
  /** Resolves when it was looked at. */
  look(): Promise<void>;
  close(): void;
}

interface Options {
  readonly clock: Clock;
  readonly pollMs: number;
  /** The page's bytes; rejects when there is none. */
  readonly read: (timeoutMs: number) => Promise<Buffer>;
  /** Calls of this gateway under way: of one model, or of all. */
  readonly active: (model: string | undefined) => number;
  readonly onLook: (loads: ReadonlyMap<string, EngineLoad> | undefined) => void;
}

interface Seen {
  readonly load: EngineLoad;
  /** Calls under way here when it was seen. */
  readonly active: number;
}

const staleAfter = 3;
/** A busy engine may need longer than the pause between two looks. */
const leastTimeoutMs = 2000;

export function createEngine({ clock, pollMs, read, active, onLook }: Options): Engine {
  let seen = new Map<string, Seen>();
  let total: Seen | undefined;
  let seenAt = 0;
  /** What ran while others waited: so many fit. It shrinks and grows with the requests' size. */
  const capacity = new Map<string, number>();
  let cancel: () => void = () => {};
  let closed = false;

  function take(loads: ReadonlyMap<string, EngineLoad>): void {
    seenAt = clock.now();
    seen = new Map([...loads].map(([model, load]) => [model, { load, active: active(model) }]));
    for (const [model, { running, waiting }] of loads) {
      const fit = capacity.get(model);
      if (waiting > 0) capacity.set(model, running);
      // As many as fitted run, and none waits: one more may fit now.
      else if (fit !== undefined && running >= fit) capacity.set(model, running + 1);
    }
    total = undefined;
    if (loads.size > 0) {
      const all = [...loads.values()];
      const kvs = all.flatMap(({ kv }) => kv ?? []);
      total = {
        load: {
          running: all.reduce((sum, { running }) => sum + running, 0),
          waiting: all.reduce((sum, { waiting }) => sum + waiting, 0),
          kv: kvs.length > 0 ? Math.max(...kvs) : undefined,
        },
        active: active(undefined),
      };
    }
  }

  async function look(): Promise<void> {
    const reader = createEngineReader();
    try {
      reader.push(await read(Math.max(pollMs, leastTimeoutMs)));
      if (closed) return;
      const loads = reader.end();
      if (loads.size > 0) take(loads);
      onLook(loads.size > 0 ? loads : undefined);
    } catch {
      // Its figures grow stale by themselves; whether it answers calls is for others to find out.
      if (!closed) onLook(undefined);
    }
  }

  function lookIn(ms: number): void {
    cancel = clock.after(ms, () => {
      look().then(() => {
        if (!closed) lookIn(pollMs);
      });
    });
  }

  function of(model: string): { seen: Seen; since: number; name: string } | undefined {
    if (clock.now() - seenAt > staleAfter * pollMs) return undefined;
    const own = seen.get(model);
    if (own) return { seen: own, since: active(model) - own.active, name: model };
    const [only] = seen.size === 1 ? seen.keys() : [];
    return total && { seen: total, since: active(undefined) - total.active, name: only ?? "" };
  }

  lookIn(0);
  return {
    state(model) {
      const at = of(model);
      return at && { ...at.seen.load, ageMs: Math.round(clock.now() - seenAt) };
    },
    load(model) {
      const at = of(model);
      return at && Math.max(0, at.seen.load.running + at.seen.load.waiting + at.since);
    },
    waitingWithOneMore(model) {
      const at = of(model);
      if (!at) return undefined;
      const { running, waiting } = at.seen.load;
      const fit = capacity.get(at.name);
      if (fit !== undefined) return Math.max(0, running + waiting + at.since + 1 - fit);
      return waiting > 0 ? Math.max(0, waiting + at.since + 1) : 0;
    },
    look,
    close() {
      closed = true;
      cancel();
    },
  };
}
