// When an upstream is full, by its settings and its engine's figures, and how much it has to do.
import type { AdmissionConfig, UpstreamLimits } from "../../config/admission.ts";
import type { Route } from "../router.ts";
import type { Clock } from "./clock.ts";
import type { EngineLoad } from "./engine-metrics.ts";
import { createEngine, type Engine } from "./engines.ts";
import { createSlots, type Slots } from "./slots.ts";

/** A provider's page of figures; rejects when there is none. `address` is undefined for /metrics of the provider. */
export type ReadPage = (providerId: string, address: string | undefined, timeoutMs: number) => Promise<Buffer>;

export interface Limits {
  /** False: nothing is known of it, and nothing limits it. */
  has(providerId: string): boolean;
  isFull(route: Route): boolean;
  /** Requests in the engine now, those of others too; undefined: unknown. */
  load(route: Route): number | undefined;
  /** A call begins; what is returned ends it, and is told whether it was answered to its end. */
  begin(route: Route): (whole: boolean) => void;
  /** Of what makes this upstream full, or of the provider as a whole. */
  slots(route: Route): Slots | undefined;
  list(): readonly UpstreamReport[];
  configure(config: AdmissionConfig): void;
  close(): void;
}

export interface UpstreamReport {
  readonly upstream: string;
  readonly active: number;
  readonly meanMs?: number;
  readonly engine?: { readonly running: number; readonly waiting: number; readonly kv: number | null; readonly ageMs: number };
}

interface Deps {
  readonly clock: Clock;
  readonly readPage: ReadPage;
  readonly onLook: (providerId: string, loads: ReadonlyMap<string, EngineLoad> | undefined) => void;
}

interface OfModel {
  readonly slots: Slots;
  limits: UpstreamLimits | undefined;
}

interface OfProvider extends OfModel {
  engine: Engine | undefined;
  /** What the engine was made with. */
  source: string;
  readonly models: Map<string, OfModel>;
  /** Calls under way, where an engine is looked at. */
  readonly counts: Map<string, number>;
}

export function createLimits({ clock, readPage, onLook }: Deps): Limits {
  let providers = new Map<string, OfProvider>();

  function isFullBy(limits: UpstreamLimits | undefined, slots: Slots): boolean {
    return limits?.maxConcurrent !== undefined && slots.active >= limits.maxConcurrent;
  }

  function isFullEngine(engine: Engine, model: string, { maxWaiting, maxKvUsage }: UpstreamLimits): boolean {
    const waiting = engine.waitingWithOneMore(model);
    if (waiting === undefined) return false;
    return waiting > maxWaiting || (engine.state(model)?.kv ?? 0) >= maxKvUsage;
  }

  function configure(config: AdmissionConfig): void {
    const before = providers;
    providers = new Map();
    const entryOf = (id: string): OfProvider => {
      const found = providers.get(id);
      if (found) return found;
      const old = before.get(id);
      const made: OfProvider = {
        slots: old?.slots ?? createSlots(clock),
        limits: undefined,
        engine: undefined,
        source: "",
        models: new Map(),
        counts: old?.counts ?? new Map(),
      };
      providers.set(id, made);
      return made;
    };
    for (const [name, limits] of Object.entries(config.upstreams)) {
      const slash = name.indexOf("/");
      const entry = entryOf(slash < 0 ? name : name.slice(0, slash));
      if (slash < 0) {
        entry.limits = limits;
        continue;
      }
      const model = name.slice(slash + 1);
      entry.models.set(model, {
        limits,
        slots: before.get(name.slice(0, slash))?.models.get(model)?.slots ?? createSlots(clock),
      });
    }
    for (const [id, entry] of providers) keepEngine(id, entry, before.get(id), config.pollMs);
    for (const [id, old] of before) if (old.engine && old.engine !== providers.get(id)?.engine) old.engine.close();
  }

  function keepEngine(id: string, entry: OfProvider, old: OfProvider | undefined, pollMs: number): void {
    const metrics = [entry.limits, ...[...entry.models.values()].map(({ limits }) => limits)].find(
      (one) => one?.metrics,
    )?.metrics;
    if (!metrics) return;
    const address = metrics === true ? undefined : metrics;
    entry.source = `${address ?? ""} ${pollMs}`;
    if (old?.engine && old.source === entry.source) {
      entry.engine = old.engine;
      return;
    }
    entry.engine = createEngine({
      clock,
      pollMs,
      read: (timeoutMs) => readPage(id, address, timeoutMs),
      active: (model) => (model === undefined ? entry.slots.active : (entry.counts.get(model) ?? 0)),
      onLook: (loads) => onLook(id, loads),
    });
  }

  return {
    has: (providerId) => providers.has(providerId),
    isFull({ provider, model }) {
      const entry = providers.get(provider.id);
      if (!entry) return false;
      const own = entry.models.get(model);
      if (isFullBy(entry.limits, entry.slots) || (own && isFullBy(own.limits, own.slots))) return true;
      const limits = own?.limits?.metrics ? own.limits : entry.limits;
      return entry.engine !== undefined && limits !== undefined && isFullEngine(entry.engine, model, limits);
    },
    load: ({ provider, model }) => providers.get(provider.id)?.engine?.load(model),
    begin({ provider, model }) {
      const entry = providers.get(provider.id);
      if (!entry) return () => {};
      const own = entry.models.get(model);
      const slot = entry.slots.begin();
      const ofModel = own?.slots.begin();
      entry.counts.set(model, (entry.counts.get(model) ?? 0) + 1);
      return (whole) => {
        entry.slots.end(slot, whole);
        if (ofModel) own?.slots.end(ofModel, whole);
        const left = (entry.counts.get(model) ?? 1) - 1;
        // Clients may choose names freely: only those in use are kept.
        if (left > 0) entry.counts.set(model, left);
        else entry.counts.delete(model);
      };
    },
    slots({ provider, model }) {
      const entry = providers.get(provider.id);
      const own = entry?.models.get(model);
      return own && isFullBy(own.limits, own.slots) ? own.slots : entry?.slots;
    },
    list: () =>
      [...providers].map(([upstream, { slots, engine }]) => {
        const state = engine?.state("");
        return {
          upstream,
          active: slots.active,
          ...(slots.meanMs === undefined ? {} : { meanMs: Math.round(slots.meanMs) }),
          ...(state
            ? { engine: { running: state.running, waiting: state.waiting, kv: state.kv ?? null, ageMs: state.ageMs } }
            : {}),
        };
      }),
    configure,
    close() {
      for (const { engine } of providers.values()) engine?.close();
    },
  };
}
