// The exact cache: a repeated identical request is given the answer of the first, and those at the same time share one call.
import type { CacheSettings } from "../../config/cache.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { RestartableSink } from "../failover.ts";
import { isFormApi } from "../form.ts";
import type { CallHandle } from "../provider.ts";
import type { ModelWork, Serve } from "../work.ts";
import { type Answer, type AnswerStore, isAskedFor } from "./answers.ts";
import { isFinal } from "./final.ts";
import { createFlight, type Flight, type FlightEnd, usageOf } from "./flight.ts";
import { requestKey } from "./key.ts";
import { afterLookup, replay } from "./replay.ts";

interface Deps {
  readonly metrics: Metrics;
  readonly stores: { readonly [kind in CacheSettings["store"]]: AnswerStore };
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** use: give what is kept, keep what is new. refresh: keep only. */
type Mode = { readonly kind: "use"; readonly maxAgeMs: number } | { readonly kind: "refresh" } | { readonly kind: "bypass" };

const header = "x-openclaw-cache";

/**
 * Adds the header x-openclaw-cache: hit (with age), miss, coalesced (shares the call of another request) or bypass.
 * What is kept: whole successful answers of the model that was asked for, streams with their own end, and nothing of fallbacks.
 */
export function createCache(deps: Deps, next: Serve): Serve {
  const { metrics, stores } = deps;
  const now = deps.now ?? Date.now;
  const flights = new Map<string, Flight>();

  function serveWith(settings: CacheSettings, mode: Mode, work: ModelWork, sink: RestartableSink): CallHandle {
    const key = requestKey(work, settings.shared ? "" : work.keptFor);
    const store = stores[settings.store];
    const isUsed = mode.kind === "use";
    const mayShare = settings.coalesce && isUsed;
    const joined = mayShare ? flights.get(key)?.join(work, sink) : undefined;
    if (joined) {
      metrics.cacheRequests.add(1, "coalesced");
      work.answerHeaders.set(header, "coalesced");
      return joined;
    }
    const hit = (answer: Answer, asking: ModelWork, to: RestartableSink): CallHandle => {
      metrics.cacheRequests.add(1, "hit");
      const age = Math.max(0, Math.floor((now() - answer.storedAt) / 1000));
      return replay(answer, asking, to, { [header]: "hit", age: String(age) });
    };
    const isFresh = (answer: Answer | undefined): answer is Answer =>
      answer !== undefined &&
      mode.kind === "use" &&
      now() - answer.storedAt < Math.min(settings.ttlSeconds * 1000, mode.maxAgeMs);
    const found = isUsed ? store.get(key, settings) : undefined;
    if (found && !("then" in found) && isFresh(found)) return hit(found, work, sink);

    const later =
      found !== undefined && "then" in found ? found.then((answer) => (isFresh(answer) ? answer : undefined)) : undefined;
    let isNew = false;
    let isOver = false;
    let shared: Flight | undefined;
    const miss: Serve = (asking, to) => {
      isNew = true;
      metrics.cacheRequests.add(1, "miss");
      return next(asking, to);
    };
    work.answerHeaders.set(header, "miss");
    const [flight, handle] = createFlight(work, sink, {
      maxAnswerBytes: settings.maxAnswerBytes,
      serve: later ? afterLookup(later, hit, miss) : miss,
      onEnd(end) {
        isOver = true;
        if (shared && flights.get(key) === shared) flights.delete(key);
        const answer = isNew ? toKeep(end, work, now()) : undefined;
        if (answer) store.set(key, answer, settings);
      },
    });
    if (mayShare && !isOver) {
      shared = flight;
      flights.set(key, flight);
    }
    return handle;
  }

  return (work, sink) => {
    const { cache } = work.runtime.stack;
    if (!cache.enabled) {
      stores.memory.clear();
      return next(work, sink);
    }
    const mode = modeOf(work, cache);
    if (mode.kind !== "bypass") return serveWith(cache, mode, work, sink);
    metrics.cacheRequests.add(1, "bypass");
    work.answerHeaders.set(header, "bypass");
    return next(work, sink);
  };
}

function toKeep({ answer, route, record }: FlightEnd, work: ModelWork, storedAt: number): Answer | undefined {
  if (!answer || !route || !isAskedFor(route, work) || !isFinal(answer.body, work.stream)) return undefined;
  return { ...answer, provider: route.provider.id, model: route.model, ...usageOf(record), storedAt };
}

/** Fields of requests whose answer is more than its bytes: one that is made in the background, or added to a conversation. */
const lasting = ['"background"', '"conversation"'];

/** https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1 for what a client may say. */
function modeOf({ headers, api, body, route }: ModelWork, { models }: CacheSettings): Mode {
  if (models && !isListed(models, route)) return { kind: "bypass" };
  if (headers[header] === "off" || isFormApi(api)) return { kind: "bypass" };
  if (api === "responses" && lasting.some((field) => body.includes(field))) return { kind: "bypass" };
  const control = headers["cache-control"];
  if (control === undefined) return { kind: "use", maxAgeMs: Number.POSITIVE_INFINITY };
  if (/\bno-store\b/i.test(control)) return { kind: "bypass" };
  if (/\bno-cache\b/i.test(control)) return { kind: "refresh" };
  const maxAge = /\bmax-age=(\d{1,9})/i.exec(control)?.[1];
  return { kind: "use", maxAgeMs: maxAge === undefined ? Number.POSITIVE_INFINITY : Number(maxAge) * 1000 };
}

function isListed(models: readonly string[], { provider, model, pool }: ModelWork["route"]): boolean {
  return models.some((name) => name === model || name === `${provider.id}/${model}` || name === pool?.id);
}
