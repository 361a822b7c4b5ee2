// Lets a call go to an upstream that has a place for it and a provider that has quota left, and holds it in a fair queue until there is one.
import { type AdmissionConfig, type Priority, priorities, type QuotaConfig } from "../../config/admission.ts";
import { GatewayError } from "../../errors.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { Meter } from "../../store/allowances.ts";
import { type Gate, openPlace, type Place, type Waiter } from "../gate.ts";
import type { Route } from "../router.ts";
import type { ModelWork } from "../work.ts";
import { type Clock, systemClock } from "./clock.ts";
import { createEstimate } from "./estimate.ts";
import { createFairQueue, type Waiting } from "./fair-queue.ts";
import { guessTokens } from "./guess-tokens.ts";
import { createLimits, type ReadPage, type UpstreamReport } from "./limits.ts";
import { createPlace } from "./place.ts";
import { priorityHeader, priorityOf } from "./priority.ts";
import { createQuota, type Quota } from "./quotas.ts";

export interface AdmissionSettings {
  readonly admission: AdmissionConfig;
  readonly quotas: Readonly<Record<string, QuotaConfig>>;
  /** What each token may claim; "normal" where it says nothing. */
  readonly tokens: readonly { readonly id: string; readonly priority: Priority }[];
}

export interface Admission {
  readonly gate: Gate;
  /** What the balancer goes by: requests in the engine where its figures are known. */
  load(route: Route, active: number): number;
  /** For whoever may read the details of readiness. */
  detail(): { readonly admission: AdmissionReport };
  configure(settings: AdmissionSettings): void;
  close(): void;
}

interface AdmissionReport {
  readonly queue: { readonly length: number; readonly byPriority: Readonly<Record<Priority, number>> };
  readonly upstreams: readonly UpstreamReport[];
  readonly quotas: Readonly<Record<string, ReturnType<Quota["list"]>>>;
}

interface Deps {
  readonly metrics: Metrics;
  readonly readPage: ReadPage;
  /** Set where other processes share the quotas. */
  readonly meter?: Meter | undefined;
  readonly clock?: Clock;
}

/** Not sooner, so that what is open but not to be had is not looked at all the time. */
const leastWakeMs = 10;
const mostWakeMs = 1000;

export function createAdmission(
  initial: AdmissionSettings,
  { metrics, readPage, meter, clock = systemClock }: Deps,
): Admission {
  let settings = initial;
  let quotas = new Map<string, Quota>();
  let ofToken = new Map<string, Priority>();
  let wake: { readonly at: number; readonly cancel: () => void } | undefined;
  const queue = createFairQueue((priority) => settings.admission.queue.weights[priority]);
  /** Those that wait for what other processes say, and when it is no, for something else. */
  const askers = new Map<Waiting, () => void>();
  const limits = createLimits({
    clock,
    readPage,
    meter,
    onOpen: othersAnswered,
    onLook(providerId, loads) {
      for (const [model, { running, waiting, kv }] of loads ?? []) {
        metrics.upstreamRunning.set(running, providerId, model);
        metrics.upstreamWaiting.set(waiting, providerId, model);
        if (kv !== undefined) metrics.upstreamKv.set(kv, providerId, model);
      }
      pump();
    },
  });
  const estimate = createEstimate({ limits, queue, quotaOf: (route) => quotas.get(route.provider.id) });
  configure(initial);

  function pump(): void {
    if (queue.length === 0) return;
    queue.pump();
  }

  function othersAnswered(): void {
    pump();
    for (const look of [...askers.values()]) look();
  }

  const isAsking = (route: Route): boolean =>
    meter !== undefined && (limits.isAsking(route) || (quotas.get(route.provider.id)?.isAsking() ?? false));

  /** A quota that is used up opens by time alone. */
  function wakeIn(ms: number): void {
    // What opened between the look and now wakes nobody any more: whoever waits is looked at again and again.
    const at = clock.now() + Math.min(mostWakeMs, Math.max(leastWakeMs, ms));
    if (wake && wake.at <= at) return;
    wake?.cancel();
    const cancel = clock.after(Math.ceil(at - clock.now()), () => {
      wake = undefined;
      pump();
    });
    wake = { at, cancel };
  }

  const tokensOf = (work: ModelWork, quota: Quota): number => (quota.countsTokens ? guessTokens(work.body) : 0);

  function enter(route: Route, work: ModelWork): Place | undefined {
    const quota = quotas.get(route.provider.id);
    const limited = limits.has(route.provider.id);
    if (!quota && !limited) return openPlace;
    if (limited && limits.isFull(route)) return undefined;
    const ticket = quota?.take(tokensOf(work, quota));
    if (quota && !ticket) return undefined;
    const end = limits.begin(route);
    if (end) return createPlace({ end, ticket, onLeave: pump });
    ticket?.end(false, undefined);
    return undefined;
  }

  function wait(routes: readonly Route[], work: ModelWork, waiter: Waiter): () => void {
    const { maxLength, maxWaitMs } = settings.admission.queue;
    const priority = priorityOf(work.headers[priorityHeader], ofToken.get(work.callerId) ?? "normal");
    const lane = routes.map(({ provider, model }) => `${provider.id}/${model}`).join(" ");
    const tokens = new Map<string, number>();
    for (const { provider } of routes) {
      const quota = quotas.get(provider.id);
      if (quota) tokens.set(provider.id, tokensOf(work, quota));
    }
    const expected = estimate(routes, lane, work.callerId, priority, tokens);
    const asks = routes.some(isAsking);
    if (!asks && queue.length >= maxLength) throw refusal("full", priority, expected.ms);
    // Known to be in vain: a quota does not open sooner for those who wait.
    if (expected.atLeastMs > maxWaitMs) throw refusal("quota", priority, expected.ms);

    const begun = clock.now();
    let place: { readonly route: Route; readonly place: Place } | undefined;
    const waiting: Waiting = {
      caller: work.callerId,
      priority,
      lane,
      takePlace() {
        for (const route of byLoad(routes)) {
          const found = enter(route, work);
          if (!found) continue;
          place = { route, place: found };
          return true;
        }
        wakeInTime();
        return false;
      },
      go() {
        over("served");
        if (place) waiter.taken(place.route, place.place);
      },
    };
    const cancelTimer = clock.after(maxWaitMs, () => {
      if (!queue.remove(waiting)) return;
      over("timeout");
      const { ms } = estimate(routes, lane, work.callerId, priority, tokens);
      waiter.refused(refusal("timeout", priority, ms));
    });

    function wakeInTime(): void {
      for (const route of routes) {
        wakeIn(limits.waitMs(route));
        wakeIn(quotas.get(route.provider.id)?.waitMs(tokens.get(route.provider.id) ?? 0) ?? Number.POSITIVE_INFINITY);
      }
    }

    function over(outcome: string): void {
      cancelTimer();
      askers.delete(waiting);
      metrics.queueLength.set(queue.lengthOf(priority), priority);
      metrics.queueWait.observe((clock.now() - begun) / 1000, priority, outcome);
    }

    queue.push(waiting);
    metrics.queueLength.set(queue.lengthOf(priority), priority);
    wakeInTime();
    if (asks && (settings.admission.whenFull === "fallback" || maxLength === 0)) {
      askers.set(waiting, () => {
        if (routes.some(isAsking) || !queue.remove(waiting)) return;
        over("again");
        waiter.again();
      });
    }
    return () => {
      if (!queue.remove(waiting)) return;
      over("left");
      // It may have been the one that all behind it waited for.
      pump();
    };
  }

  const byLoad = (routes: readonly Route[]): readonly Route[] =>
    routes.length < 2
      ? routes
      : [...routes].sort((one, other) => (limits.load(one) ?? busy(one)) - (limits.load(other) ?? busy(other)));
  const busy = (route: Route): number => limits.slots(route)?.active ?? 0;

  function refusal(reason: "full" | "timeout" | "quota", priority: Priority, waitMs: number): GatewayError {
    metrics.queueRejected.add(1, reason, priority);
    const texts = {
      full: "Every upstream of this model is full, and so is the queue before them",
      timeout: "Every upstream of this model was full for as long as a request may wait",
      quota: "What was bought of this model's provider is used up for now",
    };
    const ms = Math.max(1, Math.ceil(waitMs));
    return new GatewayError("overloaded", `${texts[reason]}: send the request again later.`, {
      retryAfter: String(Math.max(1, Math.ceil(ms / 1000))),
      retryAfterMs: ms,
    });
  }

  function configure(next: AdmissionSettings): void {
    const before = settings;
    settings = next;
    ofToken = new Map(next.tokens.map(({ id, priority }) => [id, priority]));
    limits.configure(next.admission);
    const old = quotas;
    quotas = new Map();
    for (const [id, config] of Object.entries(next.quotas)) {
      // What was used of an unchanged quota stays used.
      const same = old.get(id);
      const kept = same && JSON.stringify(before.quotas[id]) === JSON.stringify(config) ? same : undefined;
      quotas.set(id, kept ?? createQuota(id, config, { clock, meter, onOpen: othersAnswered }));
    }
    pump();
  }

  return {
    gate: { enter, isAsking, wait },
    load: (route, active) => limits.load(route) ?? active,
    detail() {
      const byPriority: Record<Priority, number> = { interactive: 0, normal: 0, batch: 0 };
      for (const priority of priorities) byPriority[priority] = queue.lengthOf(priority);
      return {
        admission: {
          queue: { length: queue.length, byPriority },
          upstreams: limits.list(),
          quotas: Object.fromEntries([...quotas].map(([id, quota]) => [id, quota.list()])),
        },
      };
    },
    configure,
    close() {
      wake?.cancel();
      limits.close();
    },
  };
}
