// What is known of each upstream ("provider/model") beyond a reload: calls under way, and its breaker.
import { type ErrorCode, errorTable, type GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type Breaker, type BreakerSettings, type BreakerState, createBreaker, type Permit } from "./breaker.ts";
import type { Route } from "./router.ts";

export interface UpstreamState {
  readonly upstream: string;
  readonly breaker: BreakerState;
  readonly failures: number;
  readonly active: number;
  readonly reason?: ErrorCode;
  readonly openForMs?: number;
}

export interface CallUnderWay {
  /** The first bytes are here. */
  answered(): void;
  /** Once. */
  end(outcome: "ok" | "cancelled" | GatewayError): void;
}

export interface Upstreams {
  /** Calls under way. */
  active(route: Route): number;
  /** 0: may be asked now. */
  waitMs(route: Route): number;
  /** A call begins; what is returned ends it. */
  begin(route: Route): CallUnderWay;
  /** A provider answered a look at it: upstreams of it that could not be reached may be tried at once. */
  answered(providerId: string): void;
  /** Those with calls under way or failures. */
  list(): readonly UpstreamState[];
  /** Another gateway leaves this upstream alone: so does this one. */
  openedElsewhere(upstream: string, reason: ErrorCode, forMs: number): void;
  configure(settings: BreakerSettings): void;
}

/** Clients may choose names freely: from here on those that have nothing to tell are forgotten. */
const sweptSize = 1000;

interface Entry {
  readonly provider: string;
  readonly breaker: Breaker;
  active: number;
}

/** Routes are kept by the router, and their names with them. */
const keys = new WeakMap<Route, string>();

function keyOf(route: Route): string {
  const known = keys.get(route);
  if (known !== undefined) return known;
  const made = `${route.provider.id}/${route.model}`;
  keys.set(route, made);
  return made;
}

interface CallFigures {
  state(state: BreakerState, route: Route): void;
}

class Call implements CallUnderWay {
  readonly #route: Route;
  readonly #entry: Entry;
  readonly #figures: CallFigures;
  readonly #permit: Permit;

  constructor(route: Route, entry: Entry, figures: CallFigures) {
    this.#route = route;
    this.#entry = entry;
    this.#figures = figures;
    this.#permit = entry.breaker.begin();
  }

  /** The state before is that of the last figure: time alone turns open into half-open. */
  show(before: BreakerState): void {
    const { state } = this.#entry.breaker;
    if (state !== before || state !== "closed") this.#figures.state(state, this.#route);
  }

  answered(): void {
    const before = this.#entry.breaker.state;
    this.#permit.answered();
    this.show(before);
  }

  end(outcome: "ok" | "cancelled" | GatewayError): void {
    const entry = this.#entry;
    entry.active -= 1;
    const before = entry.breaker.state;
    if (outcome === "cancelled") this.#permit.neither();
    else if (outcome === "ok" || !isUpstreamsFault(outcome)) this.#permit.succeeded();
    else this.#permit.failed(outcome.code, retryAfterMs(outcome.retryAfter));
    this.show(before);
  }
}

/** `now` gives milliseconds that never go back. */
export function createUpstreams(
  initial: BreakerSettings,
  metrics: Pick<Metrics, "breakerState" | "breakerOpened">,
  onOpen: (upstream: string, reason: ErrorCode, forMs: number) => void = () => {},
  now: () => number = () => performance.now(),
): Upstreams {
  let settings = initial;
  const entries = new Map<string, Entry>();
  const figures: CallFigures = {
    state: (state, { provider, model }) => metrics.breakerState.set(stateNumbers[state], provider.id, model),
  };

  function entryAt(key: string, provider: string): Entry {
    const found = entries.get(key);
    if (found) return found;
    const breaker = createBreaker(
      () => settings,
      now,
      (reason, forMs) => {
        metrics.breakerOpened.add(1, provider, key.slice(provider.length + 1), reason);
        onOpen(key, reason, forMs);
      },
    );
    if (entries.size >= sweptSize) {
      for (const [other, { active, breaker: known }] of entries) if (active === 0 && known.blank) entries.delete(other);
    }
    const made: Entry = { provider, breaker, active: 0 };
    entries.set(key, made);
    return made;
  }

  return {
    active: (route) => entries.get(keyOf(route))?.active ?? 0,
    waitMs: (route) => entries.get(keyOf(route))?.breaker.waitMs() ?? 0,
    begin(route) {
      const entry = entryAt(keyOf(route), route.provider.id);
      entry.active += 1;
      const call = new Call(route, entry, figures);
      call.show("closed");
      return call;
    },
    answered(providerId) {
      for (const { provider, breaker } of entries.values()) {
        if (provider === providerId && breaker.reason === "upstream_unreachable") breaker.hint();
      }
    },
    list: () =>
      [...entries].flatMap(([upstream, { breaker, active }]) => {
        if (active === 0 && breaker.failures === 0 && breaker.state === "closed") return [];
        const openForMs = breaker.state === "open" ? { openForMs: Math.round(breaker.waitMs()) } : {};
        const reason = breaker.reason === undefined ? {} : { reason: breaker.reason };
        return { upstream, breaker: breaker.state, failures: breaker.failures, active, ...reason, ...openForMs };
      }),
    openedElsewhere(upstream, reason, forMs) {
      const provider = upstream.slice(0, Math.max(0, upstream.indexOf("/")));
      entryAt(upstream, provider).breaker.follow(reason, forMs);
      metrics.breakerState.set(stateNumbers.open, provider, upstream.slice(provider.length + 1));
    },
    configure(next) {
      settings = next;
    },
  };
}

export const stateNumbers: Readonly<Record<BreakerState, number>> = { closed: 0, "half-open": 1, open: 2 };

/** A refused request is the request's fault, and what failed inside the gateway its own: both say that the upstream is not ill. */
const isUpstreamsFault = (error: GatewayError): boolean => errorTable[error.code].tryNext;

/** RFC 9110 10.2.3: seconds, or a date. */
export function retryAfterMs(text: string | undefined, nowMs: number = Date.now()): number | undefined {
  if (text === undefined) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
