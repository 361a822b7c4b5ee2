/**
 * Provider resources: loads, checks, configures and ends the providers that they stand for, and finds the configured one for
 * a reference (pkg/resource/deploy/providers/registry.go). To the plan a provider is a resource like any other.
 */
import { randomUUID } from "node:crypto";
import { deepEqual } from "./properties.ts";
import { createProviderClient, type ProviderClient } from "./provider-client.ts";
import { formatReference, isProviderType, providerPackage } from "./provider-reference.ts";
import type { ProviderHost, ProviderLog } from "./providers/provider.ts";
import { parseUrn, type ResourceState, type Urn } from "./resource.ts";
import { type Diff, type DiffCall, noDiff, type ResourceOperations } from "./resource-operations.ts";
import { isMap, type PropertyMap, unknown } from "./values.ts";

export interface ProviderRegistry extends ResourceOperations {
  get(reference: string): ProviderClient | undefined;
  /** Configures the provider of a state. `checked`: one that this deployment has just checked may be used. */
  same(state: ResourceState, checked: boolean): Promise<void>;
  registerAlias(urn: Urn, alias: Urn): void;
  cancel(): Promise<void>;
  close(): Promise<void>;
}

export interface ProviderRegistryDeps {
  host: ProviderHost;
  dryRun: boolean;
  log(entry: ProviderLog): void;
  /** Aborted when operations are to be given up at once. */
  signal: AbortSignal;
}

/** What the engine keeps for itself among a provider's inputs. */
const internalKey = "__internal";

function withoutInternal(inputs: PropertyMap): PropertyMap {
  if (!(internalKey in inputs)) return inputs;
  const { [internalKey]: _, ...config } = inputs;
  return config;
}

export function createProviderRegistry({ host, dryRun, log, signal }: ProviderRegistryDeps): ProviderRegistry {
  const configured = new Map<string, ProviderClient>();
  /** Checked, but neither created, updated nor found the same yet; by URN. */
  const checked = new Map<Urn, ProviderClient>();
  const aliases = new Map<Urn, Urn>();
  const open = new Set<ProviderClient>();

  async function load(urn: Urn, inputs: PropertyMap): Promise<ProviderClient> {
    const internal = isMap(inputs[internalKey]) ? inputs[internalKey] : {};
    const name = typeof internal.name === "string" ? internal.name : providerPackage(parseUrn(urn).type);
    const version = typeof inputs.version === "string" ? inputs.version : undefined;
    const client = await createProviderClient(await host.load(name, version, log), { dryRun, signal });
    open.add(client);
    return client;
  }
  async function end(client: ProviderClient): Promise<void> {
    if (!open.delete(client)) return;
    await client.close();
  }
  function publish(urn: Urn, id: string, client: ProviderClient): void {
    configured.set(formatReference({ urn, id }), client);
    const alias = aliases.get(urn);
    if (alias !== undefined) configured.set(formatReference({ urn: alias, id }), client);
  }
  function take(urn: Urn): ProviderClient | undefined {
    const client = checked.get(urn);
    checked.delete(urn);
    return client;
  }

  return {
    get: (reference) => configured.get(reference),
    registerAlias(urn, alias) {
      if (urn !== alias) aliases.set(urn, alias);
    },
    async same(state, mayUseChecked) {
      const { urn, id, inputs = {} } = state;
      if (!id || id === unknown) throw new Error(`provider '${urn}' has an unknown ID`);
      if (configured.has(formatReference({ urn, id }))) return;
      const client = (mayUseChecked ? take(urn) : undefined) ?? (await load(urn, inputs));
      // Another registration may have been faster while this one was loading.
      if (configured.has(formatReference({ urn, id }))) return end(client);
      client.configure({ urn, id, inputs: withoutInternal(inputs) });
      publish(urn, id, client);
    },
    async check({ urn, olds, news }) {
      const client = await load(urn, news);
      const result = await client.checkConfig({ urn, olds: withoutInternal(olds ?? {}), news: withoutInternal(news) });
      if (result.failures.length > 0) {
        await end(client);
        return result;
      }
      const before = checked.get(urn);
      checked.set(urn, client);
      if (before) await end(before);
      const kept: PropertyMap = {};
      if (result.inputs.version === undefined && news.version !== undefined) kept.version = news.version;
      else if (news.version !== undefined && !deepEqual(result.inputs.version, news.version)) {
        throw new Error(`provider "${urn}" attempted to change version from "${news.version}" to "${result.inputs.version}"`);
      }
      if (news[internalKey] !== undefined) kept[internalKey] = news[internalKey];
      return { inputs: { ...result.inputs, ...kept }, failures: [] };
    },
    async diff({ urn, id, oldInputs, oldOutputs, newInputs, ignoreChanges }: DiffCall): Promise<Diff> {
      const client = checked.get(urn) ?? configured.get(formatReference({ urn, id }));
      if (!client) return { ...noDiff, changes: "some" };
      const news = withoutInternal(newInputs);
      const diff = await client.diffConfig({
        urn,
        oldInputs: withoutInternal(oldInputs),
        oldOutputs,
        newInputs: news,
        ignoreChanges,
      });
      if (diff.changes !== "unknown") return diff;
      return { ...diff, changes: deepEqual(oldOutputs, news) ? "none" : "some" };
    },
    async create({ urn, inputs }) {
      const client = take(urn) ?? (await load(urn, inputs));
      const id = dryRun ? unknown : randomUUID();
      const config = withoutInternal(inputs);
      client.configure({ urn, id, inputs: config });
      publish(urn, id, client);
      return { id, outputs: config };
    },
    async update({ urn, id, newInputs }) {
      const client = take(urn) ?? (await load(urn, newInputs));
      const config = withoutInternal(newInputs);
      client.configure({ urn, id, inputs: config });
      const before = configured.get(formatReference({ urn, id }));
      publish(urn, id, client);
      if (before && before !== client) await end(before);
      return { id, outputs: config };
    },
    async delete({ urn, id }) {
      const reference = formatReference({ urn, id });
      const client = configured.get(reference);
      configured.delete(reference);
      if (client) await end(client);
    },
    async read() {
      throw new Error("provider resources may not be read");
    },
    async cancel() {
      await Promise.allSettled([...open].map((client) => client.cancel()));
    },
    async close() {
      await Promise.allSettled([...open].map(end));
    },
  };
}

/** Who acts on a resource: its provider, or the registry where it is a provider itself. */
export function operationsFor(state: ResourceState, registry: ProviderRegistry): ResourceOperations {
  if (isProviderType(state.type)) return registry;
  const client = state.provider ? registry.get(state.provider) : undefined;
  if (!client) throw new Error(`unknown provider '${state.provider ?? ""}' for resource '${state.urn}'`);
  return client;
}
