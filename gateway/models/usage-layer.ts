// The layer that puts every call at an upstream into the books: also those of failovers, hedges and clients that left.
import type { UsageRecord } from "../store/store.ts";
import type { CallRecord } from "./call.ts";
import type { Route } from "./router.ts";
import type { ModelWork, Recorder, Serve } from "./work.ts";

interface Books {
  record(record: Omit<UsageRecord, "id">): void;
}

export function createUsageLayer(books: Books, next: Serve, now: () => number = Date.now): Serve {
  return (work, sink) => {
    if (work.runtime.stack.usage.enabled) work.recorder = new Bookkeeper(books, work, now);
    return next(work, sink);
  };
}

class Bookkeeper implements Recorder {
  readonly #books: Books;
  readonly #work: ModelWork;
  readonly #before: Recorder;
  readonly #now: () => number;

  constructor(books: Books, work: ModelWork, now: () => number) {
    this.#books = books;
    this.#work = work;
    this.#before = work.recorder;
    this.#now = now;
  }

  onRecord(route: Route, record: CallRecord): void {
    this.#before.onRecord(route, record);
    const { callerId, api, requestId, runtime } = this.#work;
    const { usage, cost, outcome, estimated = false } = record;
    const isKept = record.cached === true;
    const input = usage?.input ?? 0;
    const output = usage?.output ?? 0;
    this.#books.record({
      time: this.#now(),
      token: callerId,
      provider: route.provider.id,
      model: route.model,
      api,
      // Of an answer that was kept, or is shared, no upstream counted the tokens again.
      input: isKept ? 0 : input,
      output: isKept ? 0 : output,
      cached: isKept ? input + output : (usage?.cachedInput ?? 0),
      stored: isKept ? 0 : (usage?.cacheWrite ?? 0),
      cost,
      currency: runtime.stack.usage.currency,
      durationMs: Math.round(record.durationMs * 10) / 10,
      outcome: isKept && outcome === "ok" ? "cached" : outcome,
      estimated,
      requestId,
    });
  }
}
