// Idempotency keys: a request that is sent again, because its answer was lost, is given that answer instead of being done twice.
// https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
import { randomUUID } from "node:crypto";
import type { IdempotencySettings } from "../../config/cache.ts";
import { GatewayError } from "../../errors.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { RestartableSink } from "../failover.ts";
import type { CallHandle } from "../provider.ts";
import type { ModelWork, Serve } from "../work.ts";
import type { Answer, AnswerStore } from "./answers.ts";
import { claimOrAnswer } from "./claims.ts";
import { isFinal } from "./final.ts";
import { createFlight, type Flight, type FlightEnd, usageOf } from "./flight.ts";
import { fingerprint, idempotencyStoreKey } from "./key.ts";
import { afterLookup, replay } from "./replay.ts";

interface Deps {
  readonly metrics: Metrics;
  readonly stores: { readonly [kind in IdempotencySettings["store"]]: AnswerStore };
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

const name = "idempotency-key";
const replayed = { "idempotent-replayed": "true" };

/**
 * Keys belong to a token. The same key with another request is refused with 422; while the first is under way its repetition
 * waits for the same answer, also where another process was given it. Only final answers are kept: success, and refusals of
 * the request itself.
 */
export function createIdempotency(deps: Deps, next: Serve): Serve {
  const { metrics, stores } = deps;
  const now = deps.now ?? Date.now;
  /** This process, among those that share a store. */
  const holder = randomUUID();
  const underWay = new Map<string, { readonly flight: Flight; readonly print: string }>();

  function serveOnce(settings: IdempotencySettings, given: string, work: ModelWork, sink: RestartableSink): CallHandle {
    const key = idempotencyStoreKey(work.keptFor, given);
    const print = fingerprint(work);
    const store = stores[settings.store];
    const first = underWay.get(key);
    if (first) {
      if (first.print !== print) throw conflict(metrics);
      const joined = first.flight.join(work, sink);
      if (!joined) {
        const text = "The first request with this Idempotency-Key is still being answered, at greater length than is kept.";
        throw new GatewayError("idempotency_in_progress", text, { param: "Idempotency-Key", retryAfter: "5" });
      }
      metrics.idempotentRequests.add(1, "joined");
      work.answerHeaders.set("idempotent-replayed", "true");
      return joined;
    }
    const again = (answer: Answer, asking: ModelWork, to: RestartableSink): CallHandle => {
      if (answer.print !== print) throw conflict(metrics);
      metrics.idempotentRequests.add(1, "replayed");
      return replay(answer, asking, to, replayed);
    };
    let isNew = false;
    let isOver = false;
    let release = (): void => {};
    const found = store.claims ? lookUp() : store.get(key, settings);
    if (found && !("then" in found)) return again(found, work, sink);

    async function lookUp(): Promise<Answer | undefined> {
      const { claims } = store;
      if (!claims) return store.get(key, settings);
      const { totalMs } = work.runtime.stack.timeouts;
      const isGone = (): boolean => isOver;
      const asking = { store, claims, key, holder, bounds: settings, maxWaitMs: totalMs, isOver: isGone };
      const claimed = await claimOrAnswer(asking);
      if (isOver) claimed.release();
      else release = claimed.release;
      return claimed.answer;
    }

    const fresh: Serve = (asking, to) => {
      isNew = true;
      metrics.idempotentRequests.add(1, "first");
      return next(asking, to);
    };
    const [flight, handle] = createFlight(work, sink, {
      maxAnswerBytes: settings.maxAnswerBytes,
      serve: found ? afterLookup(found, again, fresh) : fresh,
      onEnd(end) {
        isOver = true;
        underWay.delete(key);
        const answer = isNew ? toKeep(end, work, print, now()) : undefined;
        if (answer) store.set(key, answer, settings);
        release();
      },
    });
    if (!isOver) underWay.set(key, { flight, print });
    return handle;
  }

  return (work, sink) => {
    const given = work.headers[name];
    if (given === undefined || work.stream) return next(work, sink);
    const settings = work.runtime.stack.idempotency;
    if (!settings.enabled) return next(work, sink);
    if (typeof given !== "string" || !/^[\x21-\x7e][\x20-\x7e]{0,254}$/.test(given)) {
      const text = "must be 1 to 255 visible ASCII characters: a UUID is usual.";
      throw new GatewayError("invalid_request", `Idempotency-Key ${text}`, { param: "Idempotency-Key" });
    }
    return serveOnce(settings, given, work, sink);
  };
}

function conflict(metrics: Metrics): GatewayError {
  metrics.idempotentRequests.add(1, "conflict");
  const text = "This Idempotency-Key was sent before with another request: send a new key with each new request.";
  return new GatewayError("idempotency_conflict", text, { param: "Idempotency-Key" });
}

/** Refusals that would come again. */
const finalStatus: readonly number[] = [400, 404, 413, 415, 422];

function toKeep(
  { answer, error, route, record }: FlightEnd,
  work: ModelWork,
  print: string,
  storedAt: number,
): Answer | undefined {
  const { provider, model } = route ?? work.route;
  const from = { provider: provider.id, model, storedAt, print };
  if (answer && isFinal(answer.body, false)) return { ...answer, ...from, ...usageOf(record) };
  if (!error || !finalStatus.includes(error.status)) return undefined;
  const { code, status, message, param } = error;
  const body = error.body ?? Buffer.alloc(0);
  return { ...from, contentType: "", body, usage: undefined, failure: { code, status, message, param } };
}
