/** Reads a resource as it is now, and rebuilds the state from what was found (deploy/step.go, deployment_executor.go). */
import type { ApplyContext } from "./apply-step.ts";
import { type Cell, dependenciesOf } from "./dependency-graph.ts";
import type { StepOp } from "./events.ts";
import { shownDiff } from "./plan.ts";
import { invertDiff, resolveUnknownDiff } from "./plan-diff.ts";
import { deepEqual } from "./properties.ts";
import { isProviderType } from "./provider-reference.ts";
import { operationsFor } from "./provider-registry.ts";
import type { ResourceState, Urn } from "./resource.ts";
import type { Step } from "./steps.ts";

/** Sets `new` of the step to what was found, and leaves it away where the resource is gone. */
export async function refreshResource(step: Step, old: Cell, context: ApplyContext): Promise<void> {
  step.new = old;
  const { state } = old;
  if (!state.custom || isProviderType(state.type) || state.pendingReplacement) return;
  const { urn, id = "", inputs: oldInputs = {}, outputs: oldOutputs = {} } = state;
  const operations = operationsFor(state, context.registry);
  const read = await operations.read({ urn, id, inputs: oldInputs, state: oldOutputs });
  const reasons = read.partial?.partial?.reasons;
  if (reasons) {
    const text = ["Refreshed resource is in an unhealthy state:", ...reasons].join("\n* ");
    context.say("warning", text, urn);
  }
  if (!read.id || !read.outputs) {
    delete step.new;
    return;
  }
  const inputs = read.inputs ?? oldInputs;
  const { initErrors: _, refreshBeforeUpdate: __, ...kept } = state;
  const changed = !deepEqual(inputs, oldInputs) || !deepEqual(read.outputs, oldOutputs);
  const next: ResourceState = {
    ...kept,
    id: read.id,
    inputs,
    outputs: read.outputs,
    ...(reasons && reasons.length > 0 && { initErrors: reasons }),
    ...(read.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
    ...(changed && { modified: context.now().toISOString() }),
  };
  step.new = { state: next };
  if (state.external) return;
  // What an update would do next, seen from the other side.
  const ignoreChanges = state.ignoreChanges ?? [];
  const found = await operations.diff({
    urn,
    id: read.id,
    oldInputs: inputs,
    oldOutputs: read.outputs,
    newInputs: oldInputs,
    ignoreChanges,
  });
  const diff = invertDiff(resolveUnknownDiff(found, inputs, oldInputs));
  Object.assign(step, shownDiff({ ...diff, replaceKeys: [] }));
  step.unchanged = diff.changes === "none";
}

/** What a refresh amounts to, for the user and the counts. */
export function refreshResult(step: Step): StepOp {
  const { old, new: next } = step;
  if (!next) return "delete";
  if (!old || next === old) return "same";
  if (old.state.external) return deepEqual(old.state.outputs ?? {}, next.state.outputs ?? {}) ? "same" : "update";
  return step.unchanged ? "same" : "update";
}

/**
 * The state after a refresh: what is gone is left out, and with it every reference to it; children of what is gone move up to
 * its parent. Cells that did not change are kept.
 */
export function rebuildState(cells: readonly Cell[], steps: ReadonlyMap<Cell, Step>): Cell[] {
  const present = new Set<Urn>();
  const rebuilt: Cell[] = [];
  for (const cell of cells) {
    const step = steps.get(cell);
    const next = step ? step.new : cell;
    if (!next) continue;
    rebuilt.push(prune(next, present));
    present.add(next.state.urn);
  }
  return rebuilt.map((cell) => {
    const { parent } = cell.state;
    if (parent === undefined || present.has(parent)) return cell;
    const { parent: _, ...rest } = cell.state;
    const upper = grandparent(parent, cells, present);
    return { state: { ...rest, ...(upper !== undefined && { parent: upper }) } };
  });
}

function grandparent(gone: Urn, cells: readonly Cell[], present: ReadonlySet<Urn>): Urn | undefined {
  let urn: Urn | undefined = gone;
  while (urn !== undefined && !present.has(urn)) {
    const looked: Urn = urn;
    urn = cells.find(({ state }) => state.urn === looked)?.state.parent;
  }
  return urn;
}

/** Empty lists of property dependencies go too, as they do in the CLI. */
function prune(cell: Cell, present: ReadonlySet<Urn>): Cell {
  const { state } = cell;
  const all = dependenciesOf(state);
  const hasEmptyLists = Object.values(state.propertyDependencies ?? {}).some((urns) => !urns || urns.length === 0);
  if (!hasEmptyLists && all.every(({ kind, urn }) => kind === "parent" || present.has(urn))) return cell;
  const { dependencies, propertyDependencies, deletedWith, replaceWith, ...rest } = state;
  const next: ResourceState = rest;
  const kept = dependencies?.filter((urn) => present.has(urn));
  if (kept && kept.length > 0) next.dependencies = kept;
  const properties = Object.entries(propertyDependencies ?? {})
    .map(([property, urns]): [string, Urn[]] => [property, (urns ?? []).filter((urn) => present.has(urn))])
    .filter(([, urns]) => urns.length > 0);
  if (properties.length > 0) next.propertyDependencies = Object.fromEntries(properties);
  if (deletedWith && present.has(deletedWith)) next.deletedWith = deletedWith;
  const replacing = replaceWith?.filter((urn) => present.has(urn));
  if (replacing && replacing.length > 0) next.replaceWith = replacing;
  return { state: next };
}
