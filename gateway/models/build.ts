// Makes the providers that a config names; those that did not change are kept, with their warm connections.
import { isDeepStrictEqual } from "node:util";
import type { Loaded } from "../config/load.ts";
import type { ProviderConfig } from "../config/schema.ts";
import { openConnections } from "./connections.ts";
import { providerKinds, unconfiguredKind } from "./index.ts";
import type { Provider, ProviderDeps } from "./provider.ts";

export interface ProviderSet {
  readonly list: readonly Provider[];
  readonly demo: boolean;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Closes the providers that `next` did not take over; their calls under way may finish. */
  closeUnused(next: ProviderSet | undefined): Promise<void>;
}

interface Entry {
  readonly provider: Provider;
  readonly options: ProviderConfig;
  readonly timeouts: unknown;
  /** Points to the secrets of the newest config, also for a provider that was kept. */
  secrets: Loaded["secrets"];
}

export async function createProviders(loaded: Loaded, before: ProviderSet | undefined, version: string): Promise<ProviderSet> {
  const { config, stack } = loaded;
  const configured = Object.entries(config.models.providers).filter(([, options]) => options.api !== unconfiguredKind);
  const demo = configured.length === 0;
  const wanted: [string, ProviderConfig][] = demo
    ? [[unconfiguredKind, { api: unconfiguredKind, delayMs: stack.demo.delayMs }]]
    : configured;
  const entries = new Map<string, Entry>();
  for (const [id, options] of wanted) {
    const old = before?.entries.get(id);
    if (old && isDeepStrictEqual(old.options, options) && isDeepStrictEqual(old.timeouts, stack.timeouts)) {
      old.secrets = loaded.secrets;
      entries.set(id, old);
      continue;
    }
    const holder: { entry?: Entry } = {};
    const deps: ProviderDeps = {
      timeouts: stack.timeouts,
      secret: (input) => (holder.entry?.secrets ?? loaded.secrets).reveal(input),
      openConnections,
      env: loaded.env,
      version,
    };
    const provider = await make(id, options, deps);
    holder.entry = { provider, options, timeouts: stack.timeouts, secrets: loaded.secrets };
    entries.set(id, holder.entry);
  }
  return {
    list: [...entries.values()].map((entry) => entry.provider),
    demo,
    entries,
    async closeUnused(next) {
      const kept = new Set(next?.list);
      await Promise.all(
        [...entries.values()].filter((entry) => !kept.has(entry.provider)).map((entry) => entry.provider.close()),
      );
    },
  };
}

function make(id: string, options: ProviderConfig, deps: ProviderDeps): Promise<Provider> {
  const kind: { create(id: string, options: ProviderConfig, deps: ProviderDeps): Promise<Provider> } =
    providerKinds[options.api];
  return kind.create(id, options, deps);
}
