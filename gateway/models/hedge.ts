// When a second upstream is asked on top of one that takes long to answer: after a fixed time, or after one that most answers need less than.

import { hedgeDefaults } from "../config/routing.ts";
import { parseBody } from "./body.ts";
import { isFormApi } from "./form.ts";
import type { Route } from "./router.ts";
import type { ModelWork } from "./work.ts";

/** What one request may do. */
export interface HedgePlan {
  readonly delayMs: number;
  /** Upstreams that are asked on top of the first one at most. */
  readonly extras: number;
  /** False: enough requests were asked twice already. */
  spend(): boolean;
  /** The first byte of this upstream's answer is here. */
  answered(route: Route, firstByteMs: number): void;
}

export interface Hedging {
  /** Undefined: no second upstream is asked for this request. */
  planFor(work: ModelWork): HedgePlan | undefined;
}

/** Of the latest answers; a quantile of fewer than the least says nothing. */
const keptSamples = 256;
const leastSamples = 20;
/** Requests that may be asked twice in a row, whatever share is allowed. */
const burst = 10;

export function createHedging(): Hedging {
  const samples = new Map<string, Samples>();
  const shares = new Map<string, { left: number }>();

  return {
    planFor(work) {
      const { hedge } = work.runtime.stack.routing;
      if (hedge === undefined) return undefined;
      const name = work.route.pool?.id ?? nameOf(work.route);
      const own = Object.hasOwn(hedge.models, name) ? hedge.models[name] : hedge;
      if (own === undefined || own === false) return undefined;
      if ((own.afterMs === undefined && own.quantile === undefined) || !isSafeToRepeat(work)) return undefined;
      const maxShare = own.maxShare ?? hedge.maxShare ?? hedgeDefaults.maxShare;
      const share = entry(shares, name, () => ({ left: burst }));
      share.left = Math.min(burst, share.left + maxShare);
      const kind = work.stream ? "stream" : "json";
      const delayMs = own.afterMs ?? quantileOf(samples.get(`${nameOf(work.route)}\0${kind}`), own.quantile ?? 1);
      return {
        // Without a delay there is nothing to do but to learn.
        delayMs: delayMs ?? 0,
        extras: delayMs === undefined ? 0 : (own.maxExtra ?? hedge.maxExtra ?? hedgeDefaults.maxExtra),
        spend() {
          if (share.left < 1) return false;
          share.left -= 1;
          return true;
        },
        answered(route, firstByteMs) {
          if (own.afterMs === undefined) entry(samples, `${nameOf(route)}\0${kind}`, createSamples).add(firstByteMs);
        },
      };
    },
  };
}

interface Samples {
  add(ms: number): void;
  /** Of those that are kept. */
  sorted(): readonly number[];
}

function createSamples(): Samples {
  const kept: number[] = [];
  let next = 0;
  let order: number[] | undefined;
  return {
    add(ms) {
      kept[next] = ms;
      next = (next + 1) % keptSamples;
      order = undefined;
    },
    sorted() {
      order ??= kept.toSorted((one, other) => one - other);
      return order;
    },
  };
}

function quantileOf(samples: Samples | undefined, quantile: number): number | undefined {
  const sorted = samples?.sorted() ?? [];
  return sorted.length < leastSamples ? undefined : sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))];
}

/** An answer that the provider keeps exists once, and may refer to what was kept before. */
function isSafeToRepeat({ api, body }: ModelWork): boolean {
  if (isFormApi(api)) return false;
  if (api !== "responses" && !body.includes('"store"')) return true;
  const asked = parseBody(body);
  if (typeof asked !== "object" || asked === null) return false;
  const store: unknown = Reflect.get(asked, "store");
  return api === "responses" ? store === false : store !== true;
}

const nameOf = ({ provider, model }: Route): string => `${provider.id}/${model}`;

/** Names come from clients too: the oldest goes where there are very many. */
const maxEntries = 1000;

function entry<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const oldest = map.size >= maxEntries ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
  const made = make();
  map.set(key, made);
  return made;
}
