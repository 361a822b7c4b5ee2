/** Programs made from a seed: resources with all options, and the changes that later runs bring to them. */
import type { CustomTimeouts } from "../../engine/resource.ts";
import type { Goal } from "../../engine/source.ts";
import { type PropertyMap, secret, type Value } from "../../engine/values.ts";
import type { Program } from "./scripted-source.ts";

export interface Random {
  /** In [0, n). */
  below(n: number): number;
  chance(percent: number): boolean;
  pick<T>(list: readonly T[]): T | undefined;
}

/** The same numbers for the same seed (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  return { below, chance: (percent) => next() * 100 < percent, pick: (list) => list[below(list.length)] };
}

export interface Spec {
  /** Stays the same when the name changes. */
  key: string;
  name: string;
  kind: "thing" | "component" | "provider" | "read";
  pkg: "fake" | "clear";
  /** Constant inputs, and those that come from the `out` of others. */
  constants: PropertyMap;
  secrets: string[];
  references: { [property: string]: string };
  parent?: string;
  provider?: string;
  dependsOn: string[];
  deletedWith?: string;
  replaceWith: string[];
  /** The name that it had when it was last registered. */
  oldName?: string;
  importId?: string;
  options: Pick<Goal, "ignoreChanges" | "replaceOnChanges" | "additionalSecretOutputs"> & {
    protect?: boolean;
    retainOnDelete?: boolean;
    deleteBeforeReplace?: boolean;
    customTimeouts?: CustomTimeouts;
    replacementTrigger?: Value;
  };
}

export function generateSpecs(random: Random): Spec[] {
  const specs: Spec[] = [];
  const count = 3 + random.below(10);
  for (let index = 0; index < count; index++) specs.push(makeSpec(random, specs, `r${index}`));
  return specs;
}

function makeSpec(random: Random, before: Spec[], key: string): Spec {
  const kind = random.chance(12) ? "component" : random.chance(8) ? "provider" : random.chance(5) ? "read" : "thing";
  const spec: Spec = {
    key,
    name: key,
    kind,
    pkg: random.chance(30) ? "clear" : "fake",
    constants: {},
    secrets: [],
    references: {},
    dependsOn: [],
    replaceWith: [],
    options: { ignoreChanges: [], replaceOnChanges: [], additionalSecretOutputs: [] },
  };
  const components = before.filter((other) => other.kind === "component");
  if (components.length > 0 && random.chance(40)) spec.parent = random.pick(components)?.key ?? "";
  if (kind === "provider") spec.constants = { region: `region ${random.below(3)}` };
  if (kind !== "thing") return spec;
  spec.constants = {
    a: random.below(3),
    replace: random.below(4),
    list: [1, random.below(3)],
    map: { x: 1, y: random.below(3) },
  };
  if (random.chance(20)) spec.constants.first = random.below(4);
  if (random.chance(30)) spec.secrets.push(random.pick(["a", "list"]) ?? "a");
  const things = before.filter((other) => other.kind === "thing");
  const other = () => random.pick(things)?.key;
  const providers = before.filter((candidate) => candidate.kind === "provider" && candidate.pkg === spec.pkg);
  if (providers.length > 0 && random.chance(50)) spec.provider = random.pick(providers)?.key ?? "";
  for (const property of ["from", "replace", "also"]) {
    const key = random.chance(30) ? other() : undefined;
    if (key !== undefined) spec.references[property] = key;
  }
  const needed = random.chance(20) ? other() : undefined;
  if (needed !== undefined) spec.dependsOn.push(needed);
  const holder = random.chance(10) ? other() : undefined;
  if (holder !== undefined) spec.deletedWith = holder;
  const leader = random.chance(10) ? other() : undefined;
  if (leader !== undefined) spec.replaceWith.push(leader);
  if (random.chance(5)) spec.importId = `existing-${key}`;
  const { options } = spec;
  if (random.chance(10)) options.protect = true;
  if (random.chance(10)) options.retainOnDelete = true;
  if (random.chance(20)) options.deleteBeforeReplace = random.chance(70);
  if (random.chance(20)) options.ignoreChanges.push(random.pick(["a", "map.x", "list[0]", "missing"]) ?? "a");
  if (random.chance(15)) options.replaceOnChanges.push(random.pick(["a", "map", "*"]) ?? "a");
  if (random.chance(15)) options.additionalSecretOutputs.push("out");
  if (random.chance(10)) options.customTimeouts = { create: 60, delete: 30 };
  if (random.chance(10)) options.replacementTrigger = random.below(3);
  return spec;
}

/** What the next version of the program does differently. */
export function changeSpecs(random: Random, old: Spec[]): Spec[] {
  const specs = structuredClone(old).map((spec): Spec => {
    delete spec.oldName;
    return spec;
  });
  for (const spec of specs) {
    if (spec.kind === "provider" && random.chance(20)) spec.constants.region = `region ${random.below(3)}`;
    if (random.chance(8) && (spec.kind === "thing" || spec.kind === "component")) {
      spec.oldName = spec.name;
      spec.name = `${spec.key}-renamed${random.below(1000)}`;
    }
    if (spec.kind !== "thing" || spec.importId !== undefined) continue;
    if (random.chance(30)) spec.constants.a = random.below(5);
    if (random.chance(15) && !spec.references.replace) spec.constants.replace = random.below(5);
    if (random.chance(15)) spec.constants.map = { x: random.below(3), y: random.below(3) };
    if (random.chance(15) && "first" in spec.constants) spec.constants.first = random.below(5);
    if (random.chance(5)) spec.options.protect = !spec.options.protect;
    if (random.chance(5)) spec.options.retainOnDelete = !spec.options.retainOnDelete;
    if (random.chance(5)) spec.options.replacementTrigger = random.below(5);
  }
  const doomed = specs.filter(() => random.chance(8)).map(({ key }) => key);
  let kept = specs;
  for (const key of doomed) if (!kept.some((spec) => refersTo(spec, key))) kept = kept.filter((spec) => spec.key !== key);
  if (random.chance(50)) kept.push(makeSpec(random, kept, `n${random.below(100_000)}`));
  return kept;
}

function refersTo(spec: Spec, key: string): boolean {
  const { parent, provider, deletedWith, dependsOn, replaceWith, references } = spec;
  return [parent, provider, deletedWith, ...dependsOn, ...replaceWith, ...Object.values(references)].includes(key);
}

/** Registers as an SDK does: each resource as soon as what it needs is answered. */
export function programOf(specs: Spec[]): Program {
  return async ({ register, read, outputs, sink: _ }) => {
    const stack = await register({ type: "pulumi:pulumi:Stack", name: "test-dev", custom: false });
    const defaults = new Map<string, Promise<string>>();
    const defaultProvider = (pkg: string): Promise<string> => {
      const known = defaults.get(pkg);
      if (known) return known;
      const made = register({ type: `pulumi:providers:${pkg}`, name: "default_1_0_0" }).then(({ urn, id }) => `${urn}::${id}`);
      defaults.set(pkg, made);
      return made;
    };
    interface Made {
      urn: string;
      id?: string;
      out: Value;
      ok: boolean;
    }
    const made = new Map<string, Promise<Made>>();
    const need = (key: string): Promise<Made> => made.get(key) ?? Promise.reject(new Error(`no ${key}`));

    async function make(spec: Spec): Promise<Made> {
      const parent = spec.parent === undefined ? stack.urn : (await need(spec.parent)).urn;
      const aliases = spec.oldName === undefined ? [] : [{ name: spec.oldName }];
      if (spec.kind === "component") {
        const { urn } = await register({ type: "demo:index:Box", name: spec.name, custom: false, parent, aliases });
        await outputs(urn, { done: true });
        return { urn, out: null, ok: true };
      }
      if (spec.kind === "provider") {
        const type = `pulumi:providers:${spec.pkg}`;
        const { urn, id, result } = await register({ type, name: spec.name, parent, properties: spec.constants });
        return { urn, out: null, ok: result === "success", ...(id !== undefined && { id }) };
      }
      if (spec.kind === "read") {
        const provider = await defaultProvider(spec.pkg);
        const { urn } = await read({ id: "outside", type: `${spec.pkg}:index:Thing`, name: spec.name, parent, provider });
        return { urn, out: null, ok: true };
      }
      const properties: PropertyMap = { ...spec.constants };
      const propertyDependencies: { [property: string]: string[] } = {};
      const dependencies = new Set<string>();
      for (const key of Object.keys(properties)) propertyDependencies[key] = [];
      for (const [property, key] of Object.entries(spec.references)) {
        const other = await need(key);
        properties[property] = other.out;
        propertyDependencies[property] = [other.urn];
        dependencies.add(other.urn);
      }
      for (const property of spec.secrets) properties[property] = secret(properties[property] ?? null);
      for (const key of spec.dependsOn) dependencies.add((await need(key)).urn);
      const deletedWith = spec.deletedWith === undefined ? undefined : (await need(spec.deletedWith)).urn;
      const replaceWith = await Promise.all(spec.replaceWith.map(async (key) => (await need(key)).urn));
      for (const urn of replaceWith) dependencies.add(urn);
      const explicit = spec.provider === undefined ? undefined : await need(spec.provider);
      const {
        urn,
        outputs: outs,
        result,
        id,
      } = await register({
        type: `${spec.pkg}:index:Thing`,
        name: spec.name,
        parent,
        aliases,
        properties,
        propertyDependencies,
        dependencies: [...dependencies],
        provider: explicit ? `${explicit.urn}::${explicit.id}` : await defaultProvider(spec.pkg),
        replaceWith,
        ...(deletedWith !== undefined && { deletedWith }),
        ...(spec.importId !== undefined && { importId: spec.importId }),
        ...spec.options,
      });
      return { urn, out: outs.out ?? null, ok: result === "success", ...(id !== undefined && { id }) };
    }
    for (const spec of specs) made.set(spec.key, make(spec));
    const all = await Promise.all(made.values());
    await outputs(stack.urn, { count: all.length });
  };
}
