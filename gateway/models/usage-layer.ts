// The layer that puts every call at an upstream into the books: also those of failovers, hedges and clients that left.
import type { UsageRecord } from "../store/store.ts";
import type { Usage } from "./usage.ts";
import type { Serve } from "./work.ts";

interface Books {
  record(record: Omit<UsageRecord, "id">): void;
}

export function createUsageLayer(books: Books, next: Serve, now: () => number = Date.now): Serve {
  return (work, sink) => {
    const { usage: settings } = work.runtime.stack;
    if (!settings.enabled) return next(work, sink);
    return next(
      {
        ...work,
        onRecord(route, record) {
          work.onRecord(route, record);
          const { usage } = record;
          books.record({
            time: now(),
            token: work.callerId,
            provider: route.provider.id,
            model: route.model,
            api: work.api,
            ...(record.cached ? notBought(usage) : tokensOf(usage)),
            cost: record.cost,
            currency: settings.currency,
            durationMs: Math.round(record.durationMs * 10) / 10,
            outcome: record.cached && record.outcome === "ok" ? "cached" : record.outcome,
            estimated: record.estimated ?? false,
            requestId: work.requestId,
          });
        },
      },
      sink,
    );
  };
}

type Tokens = Pick<UsageRecord, "input" | "output" | "cached" | "stored">;

const tokensOf = (usage: Usage | undefined): Tokens => ({
  input: usage?.input ?? 0,
  output: usage?.output ?? 0,
  cached: usage?.cachedInput ?? 0,
  stored: usage?.cacheWrite ?? 0,
});

/** An answer that was kept, or is shared: no upstream counted these tokens again. */
const notBought = (usage: Usage | undefined): Tokens => ({
  input: 0,
  output: 0,
  cached: (usage?.input ?? 0) + (usage?.output ?? 0),
  stored: 0,
});
