/**
 * Pure: what is to be done with one resource, given what the program wants, what the state holds and what the provider says
 * of the difference (pkg/resource/deploy/step_generator.go).
 */
import type { Cell } from "./dependency-graph.ts";
import { applyReplaceOnChanges, isReplacement } from "./plan-diff.ts";
import type { ResourceState, Urn } from "./resource.ts";
import type { Diff } from "./resource-operations.ts";
import { type Goal, hookTypes, type ReadGoal } from "./source.ts";
import type { Step } from "./steps.ts";
import { isMap } from "./values.ts";

/** The state that a goal describes, before any step: no id, no outputs. */
export function stateOfGoal(goal: Goal, urn: Urn, alias: Urn | undefined, old: ResourceState | undefined): ResourceState {
  const { create, update, delete: remove, read } = goal.customTimeouts ?? {};
  const timeouts = {
    ...(create && { create }),
    ...(update && { update }),
    ...(remove && { delete: remove }),
    ...(read && { read }),
  };
  const hooks = hooksOfGoal(goal);
  return {
    urn,
    custom: goal.custom,
    type: goal.type,
    inputs: goal.properties,
    ...(goal.parent && { parent: goal.parent }),
    ...(goal.protect && { protect: true }),
    ...(goal.dependencies.length > 0 && { dependencies: goal.dependencies }),
    ...(goal.provider && { provider: goal.provider }),
    ...(Object.keys(goal.propertyDependencies).length > 0 && { propertyDependencies: goal.propertyDependencies }),
    ...(goal.additionalSecretOutputs.length > 0 && { additionalSecretOutputs: goal.additionalSecretOutputs }),
    ...(alias !== undefined && { aliases: [alias] }),
    ...(Object.keys(timeouts).length > 0 && { customTimeouts: timeouts }),
    ...(goal.importId && { importID: goal.importId }),
    ...(goal.retainOnDelete && { retainOnDelete: true }),
    ...(goal.deletedWith && { deletedWith: goal.deletedWith }),
    ...(goal.replaceWith.length > 0 && { replaceWith: goal.replaceWith }),
    ...(old?.created && { created: old.created }),
    ...(old?.modified && { modified: old.modified }),
    ...(goal.sourcePosition && { sourcePosition: goal.sourcePosition }),
    ...(goal.stackTrace && goal.stackTrace.length > 0 && { stackTrace: goal.stackTrace }),
    ...(goal.ignoreChanges.length > 0 && { ignoreChanges: goal.ignoreChanges }),
    ...(goal.hideDiff.length > 0 && { hideDiff: goal.hideDiff }),
    ...(goal.replaceOnChanges.length > 0 && { replaceOnChanges: goal.replaceOnChanges }),
    ...(goal.replacementTrigger !== undefined && { replacementTrigger: goal.replacementTrigger }),
    ...(old?.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
    ...(hooks && { resourceHooks: hooks }),
  };
}

/** Hooks as the state names them (`BeforeCreate`). */
function hooksOfGoal({ hooks }: Goal): { [type: string]: string[] } | undefined {
  const named: { [type: string]: string[] } = {};
  for (const type of hookTypes) {
    const names = hooks?.[type];
    if (names && names.length > 0) named[type.charAt(0).toUpperCase() + type.slice(1)] = names;
  }
  return Object.keys(named).length > 0 ? named : undefined;
}

/** The names of hooks that a state remembers for its own deletion. */
export function hooksOfState(state: ResourceState, type: "BeforeDelete" | "AfterDelete" | "OnError"): string[] {
  return state.resourceHooks?.[type] ?? [];
}

export function stateOfRead(goal: ReadGoal, urn: Urn, alias: Urn | undefined): ResourceState {
  return {
    urn,
    custom: true,
    id: goal.id,
    type: goal.type,
    inputs: goal.properties,
    outputs: {},
    external: true,
    ...(goal.parent && { parent: goal.parent }),
    ...(goal.dependencies.length > 0 && { dependencies: goal.dependencies }),
    ...(goal.provider && { provider: goal.provider }),
    ...(goal.additionalSecretOutputs.length > 0 && { additionalSecretOutputs: goal.additionalSecretOutputs }),
    ...(alias !== undefined && { aliases: [alias] }),
    ...(goal.sourcePosition && { sourcePosition: goal.sourcePosition }),
    ...(goal.stackTrace && goal.stackTrace.length > 0 && { stackTrace: goal.stackTrace }),
  };
}

/**
 * An import is due where the goal names an id and no resource of that id is managed yet. Some providers take another id for
 * the import than they give the resource, so what was imported is remembered.
 */
export function isImport(goal: Goal, old: ResourceState | undefined): boolean {
  if (!goal.custom || !goal.importId) return false;
  return old === undefined || (old.external ?? false) || (old.importID || old.id) !== goal.importId;
}

export interface Decision {
  op: "same" | "update" | "replace";
  diff: Diff;
}

/** After a diff. `triggered`: the replacement trigger changed. */
export function decide(diff: Diff, goal: Goal, old: ResourceState, triggered: boolean): Decision {
  const hasInitErrors = (old.initErrors?.length ?? 0) > 0;
  const full = applyReplaceOnChanges(diff, goal.replaceOnChanges, hasInitErrors);
  if (full.changes === "some" || old.pendingReplacement) {
    const replace = isReplacement(full) || triggered || old.pendingReplacement;
    return { op: replace ? "replace" : "update", diff: full };
  }
  // Nothing changed, but its initialisation failed: an empty update waits for it again.
  return { op: hasInitErrors ? "update" : "same", diff: full };
}

interface ReplacementSteps {
  urn: Urn;
  old: Cell;
  new: Cell;
  goal: Goal;
  diff?: Diff;
  keys?: string[];
  answer: NonNullable<Step["answer"]>;
}

/** Create first, delete the old half when all else is done. */
export function createBeforeDelete({ urn, old, new: next, goal, diff, answer }: ReplacementSteps): Step[] {
  const shown = shownDiff(diff);
  return [
    { op: "create-replacement", urn, old, new: next, goal, pending: true, answer, ...shown },
    { op: "replace", urn, old, new: next, pending: true, ...shown },
  ];
}

/** The second part of a deletion before replacement; what it deletes comes before. */
export function createAfterDelete({ urn, old, new: next, goal, diff, keys, answer }: ReplacementSteps): Step[] {
  const shown = shownDiff(diff);
  return [
    { op: "replace", urn, old, new: next, ...shown },
    { op: "create-replacement", urn, old, new: next, goal, answer, ...shown, ...(keys && { keys }) },
  ];
}

export function shownDiff(diff: Diff | undefined): Pick<Step, "keys" | "diffs" | "detailedDiff"> {
  if (!diff) return {};
  return {
    ...(diff.replaceKeys.length > 0 && { keys: diff.replaceKeys }),
    ...(diff.changedKeys.length > 0 && { diffs: diff.changedKeys }),
    ...(diff.detailedDiff && { detailedDiff: diff.detailedDiff }),
  };
}

/** Text of what a provider found wrong with inputs; values are not repeated, they may be secret. */
export function checkFailureText(state: ResourceState, name: string, failure: { property?: string; reason?: string }): string {
  const { property, reason = "" } = failure;
  if (!property) return `${state.type} resource '${name}' has a problem: ${reason}`;
  const value = isMap(state.inputs) ? state.inputs[property] : undefined;
  return `${state.type} resource '${name}': property ${property} value ${printValue(value)} has a problem: ${reason}`;
}

function printValue(value: unknown): string {
  if (value === undefined || value === null) return "{<nil>}";
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return `{${value}}`;
  return "{...}";
}
