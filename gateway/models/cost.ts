// What a call costs, by the prices of its model in the config (models.providers.<id>.models[].cost).
import type { Route } from "./router.ts";
import type { Usage } from "./usage.ts";

const million = 1_000_000;

/** Undefined where the model has no price. `usage.input` includes what came from the provider's cache and what was written to it. */
export function costOf({ provider, model }: Route, usage: Usage): number | undefined {
  const prices = provider.models.find((entry) => entry.id === model)?.cost;
  if (!prices) return undefined;
  const input = prices.input ?? 0;
  const cached = usage.cachedInput ?? 0;
  const stored = usage.cacheWrite ?? 0;
  const fresh = Math.max(0, usage.input - cached - stored);
  const total =
    fresh * input +
    cached * (prices.cacheRead ?? input) +
    stored * (prices.cacheWrite ?? input) +
    usage.output * (prices.output ?? 0);
  return total / million;
}
