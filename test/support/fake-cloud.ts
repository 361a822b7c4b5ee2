/**
 * A cloud that lives in memory, and its provider `fake` (and `clear`, the same without secrets). Inputs steer it: a changed
 * `replace` asks for a replacement, a changed `first` for one that deletes first, `invalid` fails the check, `fail` names the
 * operation that fails, `partial` the one whose initialisation fails. `out` is its only own output.
 */
import {
  type DiffResponse,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ProviderLog,
} from "../../engine/providers/provider.ts";
import { isMap, type PropertyMap, signatureKey, unknown, type Value } from "../../engine/values.ts";

export interface CloudCall {
  method: string;
  urn: string;
  id?: string;
  request: object;
}

export interface FakeCloud {
  host: ProviderHost;
  /** What exists, by id. */
  objects: Map<string, { urn: string; inputs: PropertyMap }>;
  calls: CloudCall[];
  /** Calls that change something, without those of previews. */
  changes(): string[];
  /** Asked before each operation; may hold it back or throw. */
  before?: (call: CloudCall, signal?: AbortSignal) => Promise<void> | void;
  /** Names of resources whose next operation fails. */
  failing: Set<string>;
  open: number;
}

export function createFakeCloud(): FakeCloud {
  let next = 0;
  const cloud: FakeCloud = {
    host: { load: async (pkg, _version, log) => createProvider(pkg, log) },
    objects: new Map(),
    calls: [],
    changes: () =>
      cloud.calls
        .filter(({ method, request }) => ["create", "update", "delete"].includes(method) && !("preview" in request))
        .map(({ method, urn }) => `${method} ${nameOf(urn)}`),
    failing: new Set(),
    open: 0,
  };

  async function note(method: string, request: { urn: string; id?: string }, signal?: AbortSignal): Promise<void> {
    const call = { method, urn: request.urn, request, ...(request.id !== undefined && { id: request.id }) };
    cloud.calls.push(call);
    await cloud.before?.(call, signal);
    if (cloud.failing.has(nameOf(request.urn)) && !("preview" in request) && ["create", "update", "delete"].includes(method)) {
      throw new ProviderError("failed", `${method} of ${nameOf(request.urn)} failed`);
    }
  }

  function createProvider(pkg: string, _log: (entry: ProviderLog) => void): Provider {
    const acceptSecrets = pkg !== "clear";
    cloud.open++;
    const finish = (id: string, inputs: PropertyMap, operation: string, preview: boolean | undefined): PropertyMap => {
      const outputs = { ...inputs, out: preview ? unknown : `out of ${id}` };
      if (inputs.fail === operation && !preview) throw new ProviderError("failed", `${operation} failed as asked`);
      if (inputs.partial !== operation || preview) return outputs;
      throw new ProviderError("partial", "not ready", { partial: { id, properties: outputs, reasons: ["not ready"] } });
    };
    return {
      getPluginInfo: async () => ({ version: "1.0.0" }),
      checkConfig: async ({ news = {} }) => ({ inputs: news }),
      diffConfig: async ({ oldInputs = {}, news = {} }) =>
        oldInputs.region === news.region ? {} : { changes: "DIFF_SOME", replaces: ["region"] },
      configure: async () => ({ acceptSecrets, acceptResources: true, supportsPreview: true }),
      async check(request) {
        await note("check", request);
        const { news = {} } = request;
        if (!acceptSecrets && holdsSecret(news)) throw new Error("a provider without secrets was given one");
        if (news.invalid) return { failures: [{ property: "invalid", reason: "is set" }] };
        return { inputs: news };
      },
      async diff(request) {
        await note("diff", request);
        return diff(request.oldInputs ?? {}, request.news ?? {});
      },
      async create(request, signal) {
        await note("create", request, signal);
        const { urn, properties = {}, preview } = request;
        const id = `${nameOf(urn)}-${next++}`;
        if (!preview && properties.fail !== "create") cloud.objects.set(id, { urn, inputs: properties });
        const outputs = finish(id, properties, "create", preview);
        return { ...(!preview && { id }), properties: outputs };
      },
      async update(request, signal) {
        await note("update", request, signal);
        const { id, urn, news = {}, preview } = request;
        if (!preview) {
          if (!cloud.objects.has(id)) throw new Error(`update of ${urn}: there is no ${id}`);
          cloud.objects.set(id, { urn, inputs: news });
        }
        return { properties: finish(id, news, "update", preview) };
      },
      async delete(request, signal) {
        await note("delete", request, signal);
        const { id, urn, oldInputs = {} } = request;
        if (oldInputs.fail === "delete") throw new ProviderError("failed", "delete failed as asked");
        if (!cloud.objects.delete(id)) throw new Error(`delete of ${urn}: there is no ${id}`);
      },
      async read(request) {
        await note("read", request);
        const { id, inputs } = request;
        const object = cloud.objects.get(id);
        if (!object) return {};
        return { id, inputs: object.inputs, properties: { ...object.inputs, ...inputs, out: `out of ${id}` } };
      },
      invoke: async ({ args = {} }) => ({ return: args }),
      cancel: async () => {},
      async close() {
        cloud.open--;
      },
    };
  }
  return cloud;
}

const nameOf = (urn: string): string => urn.slice(urn.lastIndexOf("::") + 2);

const equal = (a: Value | undefined, b: Value | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

function diff(olds: PropertyMap, news: PropertyMap): DiffResponse {
  const changed = [...new Set([...Object.keys(olds), ...Object.keys(news)])].filter((key) => !equal(olds[key], news[key]));
  // What a test steers with is no part of the resource.
  const diffs = changed.filter((key) => key !== "fail" && key !== "partial");
  if (diffs.length === 0) return { changes: "DIFF_NONE" };
  const replaces = diffs.filter((key) => key === "replace" || key === "first");
  return {
    changes: "DIFF_SOME",
    diffs,
    ...(replaces.length > 0 && { replaces }),
    ...(diffs.includes("first") && { deleteBeforeReplace: true }),
  };
}

function holdsSecret(value: Value): boolean {
  if (Array.isArray(value)) return value.some(holdsSecret);
  return isMap(value) && (signatureKey in value || Object.values(value).some(holdsSecret));
}
