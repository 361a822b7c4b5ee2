/** Transforms: functions in the program that may change a resource's or a function call's properties and options. */
import type { Callback } from "@pulumi/pulumi/proto/callback_pb.js";
import resourceProto, { type TransformInvokeOptions, type TransformResourceOptions } from "@pulumi/pulumi/proto/resource_pb.js";
import { withHashes } from "../assets.ts";
import type { Urn } from "../resource.ts";
import { isSecret, isUnknown, type PropertyMap, rewriteMap, signatureKey, signatures, type Value } from "../values.ts";
import { decodeStruct, encodeStruct } from "../wire.ts";
import type { Callbacks } from "./callbacks.ts";
import { RequestError } from "./requests.ts";

export interface TransformedResource {
  properties: PropertyMap;
  options: TransformResourceOptions;
}

export interface Transforms {
  registerStack(callback: Callback): void;
  registerStackInvoke(callback: Callback): void;
  /** Remembers a resource's own transforms: they apply to all its descendants. */
  remember(urn: Urn, parent: Urn | undefined, own: Callback[]): void;
  /** True where anything would run: callers then skip all conversions. */
  needed(parent: Urn | undefined, own: Callback[]): boolean;
  /** Runs the resource's own, then its ancestors' from the inside out, then the stack's, each in order of registration. */
  run(
    resource: { type: string; name: string; custom: boolean; parent: Urn | undefined },
    own: Callback[],
    start: TransformedResource,
  ): Promise<TransformedResource>;
  runInvoke(
    token: string,
    start: { args: PropertyMap; options: TransformInvokeOptions },
  ): Promise<{ args: PropertyMap; options: TransformInvokeOptions }>;
}

export function createTransforms(callbacks: Callbacks, programDirectory: string): Transforms {
  const ofStack: Callback[] = [];
  const ofInvokes: Callback[] = [];
  const ofResources = new Map<Urn, Callback[]>();
  const parents = new Map<Urn, Urn>();

  function chain(parent: Urn | undefined, own: Callback[]): Callback[] {
    const result = [...own];
    for (let current = parent; current !== undefined; current = parents.get(current)) {
      result.push(...(ofResources.get(current) ?? []));
    }
    result.push(...ofStack);
    return result;
  }

  return {
    registerStack(callback) {
      ofStack.push(checked(callback));
    },
    registerStackInvoke(callback) {
      ofInvokes.push(checked(callback));
    },
    remember(urn, parent, own) {
      if (parent !== undefined) parents.set(urn, parent);
      if (own.length > 0) ofResources.set(urn, own);
    },
    needed(parent, own) {
      if (own.length > 0 || ofStack.length > 0) return true;
      return ofResources.size > 0 && chain(parent, own).length > 0;
    },
    async run(resource, own, start) {
      let { properties, options } = start;
      for (const callback of chain(resource.parent, own)) {
        const request = new resourceProto.TransformRequest();
        request.setType(resource.type);
        request.setName(resource.name);
        request.setCustom(resource.custom);
        request.setParent(resource.parent ?? "");
        request.setProperties(encodeStruct(properties));
        request.setOptions(options);
        const bytes = await callbacks.invoke(callback, request.serializeBinary()).catch((error: unknown) => {
          throw new RequestError(`invoke transform: ${error instanceof Error ? error.message : String(error)}`);
        });
        const response = resourceProto.TransformResponse.deserializeBinary(bytes);
        options = response.getOptions() ?? options;
        const changed = response.getProperties();
        if (changed) properties = await withHashes(decodeStruct(changed), programDirectory);
      }
      return { properties, options };
    },
    async runInvoke(token, start) {
      let { args, options } = start;
      for (const callback of ofInvokes) {
        const request = new resourceProto.TransformInvokeRequest();
        request.setToken(token);
        request.setArgs(encodeStruct(args));
        request.setOptions(options);
        const bytes = await callbacks.invoke(callback, request.serializeBinary());
        const response = resourceProto.TransformInvokeResponse.deserializeBinary(bytes);
        options = response.getOptions() ?? options;
        const changed = response.getArgs();
        if (changed) args = decodeStruct(changed);
      }
      return { args, options };
    },
  };
}

function checked(callback: Callback): Callback {
  if (!callback.getTarget()) throw new RequestError("target must be specified");
  return callback;
}

/** Secrets and unknowns as output values, the form in which transforms get them. */
export function upgradeToOutputs(map: PropertyMap): PropertyMap {
  return rewriteMap(map, (value) => {
    if (value !== null && typeof value === "object") {
      return isSecret(value) ? outputValue(value.value, true, []) : value;
    }
    return isUnknown(value) ? outputValue(undefined, false, []) : value;
  });
}

/** Adds to each property's output value the dependencies that the request lists for it. */
export function addDependencies(map: PropertyMap, dependencies: { [property: string]: Urn[] }): PropertyMap {
  const result: PropertyMap = { ...map };
  for (const [key, urns] of Object.entries(dependencies)) {
    const value = map[key];
    if (value === undefined || urns.length === 0) continue;
    result[key] = withDependencies(value, urns);
  }
  return result;
}

function withDependencies(value: Value, urns: Urn[]): Value {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && value[signatureKey] === signatures.output) {
    const before = Array.isArray(value.dependencies) ? value.dependencies.filter((urn) => typeof urn === "string") : [];
    return { ...value, dependencies: [...new Set([...before, ...urns])].sort() };
  }
  return outputValue(value, false, [...urns].sort());
}

function outputValue(value: Value | undefined, secret: boolean, dependencies: Urn[]): PropertyMap {
  const result: PropertyMap = { [signatureKey]: signatures.output };
  if (value !== undefined) result.value = value;
  if (secret) result.secret = true;
  if (dependencies.length > 0) result.dependencies = dependencies;
  return result;
}
