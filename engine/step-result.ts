/** Whether what a step left differs from what was there: for the counts, and for what has to be written. */
import { deepEqual } from "./properties.ts";
import type { ResourceState } from "./resource.ts";
import type { Step } from "./steps.ts";

/** A read that found nothing new is not worth mentioning. */
export function readChanged({ old, new: next }: Step): boolean {
  return (
    old?.state.outputs !== undefined && next?.state.outputs !== undefined && !deepEqual(old.state.outputs, next.state.outputs)
  );
}

const written = [
  "urn",
  "type",
  "custom",
  "customTimeouts",
  "retainOnDelete",
  "provider",
  "parent",
  "deletedWith",
  "replaceWith",
  "protect",
  "resourceHooks",
  "replacementTrigger",
] as const;

/** True where a resource that stayed the same is still to be written: more than its source position changed. */
export function differs(old: ResourceState, next: ResourceState): boolean {
  const text = (value: unknown) => JSON.stringify(value);
  if (written.some((field) => old[field] !== next[field] && text(old[field]) !== text(next[field]))) return true;
  if (!deepEqual(old.inputs ?? {}, next.inputs ?? {}) || !deepEqual(old.outputs ?? {}, next.outputs ?? {})) return true;
  return text([...(old.dependencies ?? [])].sort()) !== text([...(next.dependencies ?? [])].sort());
}
