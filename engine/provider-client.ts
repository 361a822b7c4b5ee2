/**
 * One provider as the deployment logic uses it: values go out in the form that the provider takes, secret marks come back on
 * what it returns, and a provider whose configuration is not known yet (previews) is not called at all
 * (sdk/go/common/resource/plugin/provider_plugin.go).
 */
import {
  annotateSecrets,
  containsSecrets,
  containsUnknowns,
  dropEmptyContents,
  restoreAssets,
  toWire,
  withoutSecrets,
} from "./properties.ts";
import { diffResult, partially, tolerate } from "./provider-answers.ts";
import { type InvokeResponse, type Provider, ProviderError } from "./providers/provider.ts";
import { parseUrn, type Urn } from "./resource.ts";
import {
  type CheckCall,
  type CheckResult,
  type Diff,
  type DiffCall,
  noDiff,
  type ResourceOperations,
} from "./resource-operations.ts";
import { isSecret, type PropertyMap, secret } from "./values.ts";

export interface ProviderClient extends ResourceOperations {
  checkConfig(call: CheckCall): Promise<CheckResult>;
  diffConfig(call: Omit<DiffCall, "id">): Promise<Diff>;
  /** Returns at once; the other calls wait for it. */
  configure(call: { urn: Urn; id: string; inputs: PropertyMap }): void;
  invoke(tok: string, args: PropertyMap): Promise<InvokeResponse>;
  /** Absent where the provider cannot know what an interrupted creation left (Provider.undoCreate). */
  undoCreate?(call: { urn: Urn; inputs: PropertyMap; again: boolean; known: string[] }): Promise<void>;
  cancel(): Promise<void>;
  close(): Promise<void>;
}

interface Protocol {
  known: boolean;
  acceptSecrets: boolean;
  acceptResources: boolean;
  supportsPreview: boolean;
}

const unknownConfigText =
  "The provider for this resource has inputs that are not known during preview.\n" +
  "This preview may not correctly represent the changes that will be applied during an update.";

const clear = (map: PropertyMap) => toWire(map, { keepSecrets: false, keepResources: false, elideAssets: false });

/** Does the handshake, so it takes a provider that was just loaded. */
export async function createProviderClient(
  provider: Provider,
  options: { dryRun: boolean; signal: AbortSignal },
): Promise<ProviderClient> {
  const shaken = await tolerate(async () =>
    provider.handshake?.({
      configureWithUrn: true,
      supportsViews: true,
      supportsRefreshBeforeUpdate: true,
      invokeWithPreview: true,
      acceptsByteString: true,
    }),
  );
  await tolerate(() => provider.getPluginInfo());
  const { dryRun, signal } = options;
  let settle: (protocol: Promise<Protocol>) => void = () => {};
  const configured = new Promise<Protocol>((resolve) => {
    settle = resolve;
  });
  // A failed configuration is met by the first call; without one it must not end the process.
  configured.catch(() => {});

  const named = (urn: Urn) => {
    const { name, type } = parseUrn(urn);
    return { urn, name, type };
  };
  const form = (protocol: Protocol, elideAssets: boolean) => ({
    keepSecrets: protocol.acceptSecrets,
    keepResources: protocol.acceptResources,
    elideAssets,
  });
  const marked = (protocol: Protocol, outs: PropertyMap, ins: PropertyMap | undefined) =>
    protocol.acceptSecrets ? dropEmptyContents(outs) : annotateSecrets(dropEmptyContents(outs), ins);

  return {
    async checkConfig({ urn, olds, news }) {
      const response = await tolerate(() =>
        provider.checkConfig({ ...named(urn), olds: clear(olds ?? {}), news: clear(news) }),
      );
      if (!response) return { inputs: news, failures: [] };
      return { inputs: annotateSecrets(response.inputs ?? {}, news), failures: response.failures ?? [] };
    },
    async diffConfig({ urn, oldInputs, oldOutputs, newInputs, ignoreChanges }) {
      const response = await tolerate(() =>
        provider.diffConfig({
          ...named(urn),
          oldInputs: clear(oldInputs),
          olds: clear(oldOutputs),
          news: clear(newInputs),
          ...(ignoreChanges.length > 0 && { ignoreChanges }),
        }),
      );
      return response ? diffResult(response) : { ...noDiff, changes: "unknown" };
    },
    configure({ urn, id, inputs }) {
      const { type, name } = parseUrn(urn);
      const pkg = type.slice(type.lastIndexOf(":") + 1);
      const variables: { [key: string]: string } = {};
      for (const [key, value] of Object.entries(inputs)) {
        if (key === "version") continue;
        if (containsUnknowns(value)) {
          settle(Promise.resolve({ known: false, acceptSecrets: true, acceptResources: true, supportsPreview: false }));
          return;
        }
        const plain = withoutSecrets(value);
        variables[`${pkg}:config:${key}`] = typeof plain === "string" ? plain : JSON.stringify(plain);
      }
      const call = provider.configure({
        ...(Object.keys(variables).length > 0 && { variables }),
        args: inputs,
        acceptSecrets: true,
        acceptResources: true,
        sendsOldInputs: true,
        sendsOldInputsToDelete: true,
        id,
        urn,
        name,
        type,
      });
      const protocol = call.then((response) => ({
        known: true,
        acceptSecrets: (shaken ?? response).acceptSecrets ?? false,
        acceptResources: (shaken ?? response).acceptResources ?? false,
        // A handshake has no such field: who shakes hands supports previews.
        supportsPreview: shaken ? true : (response.supportsPreview ?? false),
      }));
      protocol.catch(() => {});
      settle(protocol);
    },
    async check({ urn, olds, news, randomSeed }) {
      const protocol = await configured;
      if (!protocol.known) return { inputs: news, failures: [] };
      const response = await provider.check({
        ...named(urn),
        olds: toWire(olds ?? {}, form(protocol, false)),
        news: toWire(news, form(protocol, false)),
        ...(randomSeed !== undefined && { randomSeed }),
      });
      return { inputs: marked(protocol, response.inputs ?? {}, news), failures: response.failures ?? [] };
    },
    async diff({ urn, id, oldInputs, oldOutputs, newInputs, ignoreChanges }) {
      const protocol = await configured;
      if (!protocol.known) return { ...noDiff, changes: "some", unavailable: unknownConfigText };
      const response = await provider.diff({
        id,
        ...named(urn),
        oldInputs: toWire(oldInputs, form(protocol, true)),
        olds: toWire(oldOutputs, form(protocol, true)),
        news: toWire(newInputs, form(protocol, true)),
        ...(ignoreChanges.length > 0 && { ignoreChanges }),
      });
      return diffResult(response);
    },
    async create({ urn, inputs, timeout }) {
      const protocol = await configured;
      if (dryRun && !protocol.known) return { id: "", outputs: {} };
      if (dryRun && !protocol.supportsPreview) return { id: "", outputs: inputs };
      const written = await partially(
        () =>
          provider.create(
            {
              ...named(urn),
              properties: toWire(inputs, form(protocol, false)),
              ...(timeout && { timeout }),
              ...(dryRun && { preview: true }),
            },
            signal,
          ),
        inputs,
      );
      if (!written.id && !dryRun) throw new ProviderError("failed", `plugin returned empty resource.ID from create '${urn}'`);
      return {
        id: written.id ?? "",
        outputs: marked(protocol, written.properties ?? {}, inputs),
        ...(written.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
        ...(written.partial && { partial: written.partial }),
      };
    },
    async read({ urn, id, inputs, state, timeout }) {
      const protocol = await configured;
      if (!protocol.known) return { id: "", outputs: {}, inputs: {} };
      const read = await partially(
        () =>
          provider.read(
            {
              id,
              ...named(urn),
              ...(state && { properties: toWire(state, form(protocol, true)) }),
              ...(inputs && { inputs: toWire(inputs, form(protocol, true)) }),
              ...(timeout && { timeout }),
            },
            signal,
          ),
        undefined,
      );
      const keep = (map: PropertyMap, before: PropertyMap | undefined) => restoreAssets(marked(protocol, map, before), inputs);
      return {
        id: read.id ?? "",
        ...(read.properties && { outputs: keep(read.properties, state) }),
        ...(read.inputs && { inputs: keep(read.inputs, inputs) }),
        ...(read.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
        ...(read.partial && { partial: read.partial }),
      };
    },
    async update({ urn, id, oldInputs, oldOutputs, newInputs, timeout, ignoreChanges }) {
      const protocol = await configured;
      if (dryRun && !protocol.known) return { id, outputs: {} };
      if (dryRun && !protocol.supportsPreview) return { id, outputs: newInputs };
      const written = await partially(
        () =>
          provider.update(
            {
              id,
              ...named(urn),
              oldInputs: toWire(oldInputs, form(protocol, true)),
              olds: toWire(oldOutputs, form(protocol, true)),
              news: toWire(newInputs, form(protocol, false)),
              ...(timeout && { timeout }),
              ...(ignoreChanges.length > 0 && { ignoreChanges }),
              ...(dryRun && { preview: true }),
            },
            signal,
          ),
        newInputs,
      );
      return {
        id,
        outputs: marked(protocol, written.properties ?? {}, newInputs),
        ...(written.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
        ...(written.partial && { partial: written.partial }),
      };
    },
    async delete({ urn, id, inputs, outputs, timeout }) {
      const protocol = await configured;
      await provider.delete(
        {
          id,
          ...named(urn),
          properties: toWire(outputs, form(protocol, true)),
          ...(timeout && { timeout }),
          oldInputs: toWire(inputs, form(protocol, true)),
        },
        signal,
      );
    },
    async invoke(tok, args) {
      const protocol = await configured;
      if (!protocol.known) return { return: {} };
      const response = await provider.invoke({
        tok,
        args: toWire(args, form(protocol, false)),
        ...(dryRun && { preview: true }),
      });
      if (protocol.acceptSecrets || !containsSecrets(args) || !response.return) return response;
      const hidden = Object.entries(response.return).map(([key, value]) => [key, isSecret(value) ? value : secret(value)]);
      return { ...response, return: Object.fromEntries(hidden) };
    },
    ...(provider.undoCreate && {
      async undoCreate({ urn, inputs, ...more }) {
        const protocol = await configured;
        await provider.undoCreate?.({ ...named(urn), properties: toWire(inputs, form(protocol, true)), ...more }, signal);
      },
    }),
    cancel: () => provider.cancel(),
    async close() {
      await provider.cancel().catch(() => {});
      await provider.close();
    },
  };
}
