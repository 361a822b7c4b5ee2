/** A resource's options as its hooks are told them, from its state. */
import aliasProto from "@pulumi/pulumi/proto/alias_pb.js";
import resourceProto, { type ResourceOptions } from "@pulumi/pulumi/proto/resource_pb.js";
import type { ResourceState } from "../resource.ts";

export function hookOptions(state: ResourceState): ResourceOptions {
  const options = new resourceProto.ResourceOptions();
  options.setDependsOnList(state.dependencies ?? []);
  options.setIgnoreChangesList(state.ignoreChanges ?? []);
  options.setReplaceOnChangesList(state.replaceOnChanges ?? []);
  options.setProvider(state.provider ?? "");
  options.setDeletedWith(state.deletedWith ?? "");
  options.setImport(state.importID ?? "");
  options.setHideDiffList(state.hideDiff ?? []);
  options.setReplaceWithList(state.replaceWith ?? []);
  options.setParent(state.parent ?? "");
  options.setAdditionalSecretOutputsList(state.additionalSecretOutputs ?? []);
  options.setProtect(state.protect ?? false);
  options.setRetainOnDelete(state.retainOnDelete ?? false);
  options.setAliasesList((state.aliases ?? []).map(aliasOf));
  if (state.customTimeouts) options.setCustomTimeouts(timeoutsOf(state.customTimeouts));
  const hooks = hooksOf(state.resourceHooks);
  if (hooks) options.setHooks(hooks);
  return options;
}

function aliasOf(urn: string) {
  const alias = new aliasProto.Alias();
  alias.setUrn(urn);
  return alias;
}

function timeoutsOf(timeouts: NonNullable<ResourceState["customTimeouts"]>) {
  const result = new resourceProto.RegisterResourceRequest.CustomTimeouts();
  result.setCreate(durationText(timeouts.create));
  result.setUpdate(durationText(timeouts.update));
  result.setDelete(durationText(timeouts.delete));
  return result;
}

/** As Go prints a duration: "1h0m0s", "1m30s", "1.5s". */
export function durationText(seconds: number | undefined): string {
  if (!seconds) return "";
  if (seconds < 1) return seconds < 1e-3 ? `${round(seconds * 1e6)}µs` : `${round(seconds * 1e3)}ms`;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = `${round(seconds % 60)}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

function round(value: number): number {
  return Number(value.toFixed(9));
}

function hooksOf(value: unknown) {
  if (typeof value !== "object" || value === null) return undefined;
  const names = new Map(Object.entries(value));
  const listOf = (type: string): string[] => {
    const list = names.get(type) ?? names.get(`${type.slice(0, 1).toUpperCase()}${type.slice(1)}`);
    return Array.isArray(list) ? list.filter((name) => typeof name === "string") : [];
  };
  const binding = new resourceProto.RegisterResourceRequest.ResourceHooksBinding();
  binding.setBeforeCreateList(listOf("beforeCreate"));
  binding.setAfterCreateList(listOf("afterCreate"));
  binding.setBeforeUpdateList(listOf("beforeUpdate"));
  binding.setAfterUpdateList(listOf("afterUpdate"));
  binding.setBeforeDeleteList(listOf("beforeDelete"));
  binding.setAfterDeleteList(listOf("afterDelete"));
  binding.setOnErrorList(listOf("onError"));
  return binding;
}
