// When an upstream is full, by its settings and its engine's figures, and how much it has to do.
import type { AdmissionConfig, UpstreamLimits } from "../../config/admission.ts";
import type { Meter, Taken } from "../../store/allowances.ts";
import type { Route } from "../router.ts";
import type { Clock } from "./clock.ts";
import type { EngineLoad } from "./engine-metrics.ts";
import { createEngine, type Engine } from "./engines.ts";
import { createSharedLimit, type SharedLimit } from "./shared-limit.ts";
import { createSlots, type Slots } from "./slots.ts";

/** A provider's page of figures; rejects when there is none. `address` is undefined for /metrics of the provider. */
export type ReadPage = (providerId: string, address: string | undefined, timeoutMs: number) => Promise<Buffer>;

export interface Limits {
  /** False: nothing is known of it, and nothing limits it. */
  has(providerId: string): boolean;
  isFull(route: Route): boolean;
  /** Requests in the engine now, those of others too; undefined: unknown. */
  load(route: Route): number | undefined;
  /** Other processes are being asked for a place. */
  isAsking(route: Route): boolean;
  /** Until it may be worth looking again, where only others know when they are done; else Infinity. */
  waitMs(route: Route): number;
  /**
   * A call begins; what is returned ends it, and is told whether it was answered to its end. Undefined: not now after all,
   * since other processes have the places or are being asked.
   */
  begin(route: Route): ((whole: boolean) => void) | undefined;
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
  /** Set where other processes share the places. */
  readonly meter: Meter | undefined;
  /** Others were asked and answered. */
  readonly onOpen: () => void;
}

interface OfModel {
  readonly slots: Slots;
  limits: UpstreamLimits | undefined;
  places: SharedLimit | undefined;
}

interface OfProvider extends OfModel {
  engine: Engine | undefined;
  /** What the engine was made with. */
  source: string;
  readonly models: Map<string, OfModel>;
  /** Calls under way, where an engine is looked at. */
  readonly counts: Map<string, number>;
}

export function createLimits({ clock, readPage, onLook, meter, onOpen }: Deps): Limits {
  let providers = new Map<string, OfProvider>();

  /** Those of an unchanged limit stay: they know what was asked. */
  function placesOf(name: string, limits: UpstreamLimits, old: OfModel | undefined): SharedLimit | undefined {
    const limit = limits.maxConcurrent;
    if (!meter || limit === undefined) return undefined;
    if (old?.places && old.limits?.maxConcurrent === limit) return old.places;
    return createSharedLimit({ meter, name: `upstream:${name}`, rule: { kind: "concurrent", limit }, clock, onOpen });
  }

  const placesAt = ({ provider, model }: Route): readonly SharedLimit[] => {
    const entry = providers.get(provider.id);
    return [entry?.places, entry?.models.get(model)?.places].filter((one) => one !== undefined);
  };

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
        places: undefined,
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
        entry.places = placesOf(name, limits, before.get(name));
        continue;
      }
      const model = name.slice(slash + 1);
      const old = before.get(name.slice(0, slash))?.models.get(model);
      entry.models.set(model, { limits, slots: old?.slots ?? createSlots(clock), places: placesOf(name, limits, old) });
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
      if ((entry.places?.waitMs() ?? 0) > 0 || (own?.places?.waitMs() ?? 0) > 0) return true;
      const limits = own?.limits?.metrics ? own.limits : entry.limits;
      return entry.engine !== undefined && limits !== undefined && isFullEngine(entry.engine, model, limits);
    },
    load: ({ provider, model }) => providers.get(provider.id)?.engine?.load(model),
    isAsking: (route) => meter !== undefined && placesAt(route).some((places) => places.isAsking()),
    waitMs(route) {
      if (!meter) return Number.POSITIVE_INFINITY;
      const waits = placesAt(route).map((places) => places.waitMs());
      return waits.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...waits);
    },
    begin(route) {
      const { provider, model } = route;
      const entry = providers.get(provider.id);
      if (!entry) return () => {};
      const own = entry.models.get(model);
      const held: { readonly places: SharedLimit; readonly taken: Taken }[] = [];
      for (const places of meter ? placesAt(route) : []) {
        const taken = places.take(1);
        if (!taken) {
          for (const one of held) one.places.putBack(one.taken);
          return undefined;
        }
        held.push({ places, taken });
      }
      const slot = entry.slots.begin();
      const ofModel = own?.slots.begin();
      entry.counts.set(model, (entry.counts.get(model) ?? 0) + 1);
      return (whole) => {
        for (const { places, taken } of held) places.settle(-1, taken);
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
