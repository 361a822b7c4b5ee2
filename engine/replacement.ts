/**
 * Replacements: the decision between creating first and deleting first, and which other resources have to be deleted along
 * with one that goes first.
 */
import { type Cell, dependenciesOf } from "./dependency-graph.ts";
import { checkFailureText, createAfterDelete, createBeforeDelete } from "./plan.ts";
import { applyReplaceOnChanges, isReplacement, resolveUnknownDiff } from "./plan-diff.ts";
import { isProviderType, parseReference } from "./provider-reference.ts";
import { operationsFor } from "./provider-registry.ts";
import { type RegisterDeps, type Registration, ReportedError } from "./register.ts";
import type { ResourceState, Urn } from "./resource.ts";
import type { Diff } from "./resource-operations.ts";
import type { Step } from "./steps.ts";
import { type PropertyMap, unknown } from "./values.ts";

export type ReplacementDeps = Pick<RegisterDeps, "ledger" | "registry" | "dryRun" | "say" | "recordError" | "ensureProvider">;

/** True where the old provider's resources cannot be taken over by the new one. */
export async function providerChanged(deps: ReplacementDeps, old: ResourceState, next: ResourceState): Promise<boolean> {
  const { ledger, registry } = deps;
  if ((old.provider ?? "") === (next.provider ?? "")) return false;
  if (!old.provider || !next.provider) return true;
  const from = parseReference(old.provider);
  const to = parseReference(next.provider);
  if (ledger.aliased.get(from.urn) === to.urn) return false;
  const client = registry.get(next.provider);
  const before = ledger.old.byUrn.get(from.urn);
  const after = ledger.providers.get(to.urn);
  if (!client || !after) throw new Error(`failed to resolve provider reference: "${next.provider}"`);
  const diff = await client.diffConfig({
    urn: to.urn,
    oldInputs: withoutInternal(before?.state.inputs),
    oldOutputs: before?.state.outputs ?? {},
    newInputs: withoutInternal(after.state.inputs),
    ignoreChanges: [],
  });
  return isReplacement(diff);
}

function withoutInternal(inputs: PropertyMap = {}): PropertyMap {
  const { __internal: _, ...config } = inputs;
  return config;
}

export async function planReplacement(
  deps: ReplacementDeps,
  registration: Registration,
  old: Cell,
  diff: Diff,
): Promise<Step[]> {
  const { ledger, dryRun, say } = deps;
  const { urn, goal, new: next, operations, answer, randomSeed } = registration;
  if (next.state.protect && old.state.protect) {
    const text =
      `unable to replace resource "${urn}"\nas it is currently marked for protection. To unprotect the resource, ` +
      "remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`";
    say("error", text, urn);
    deps.recordError(text);
    if (!dryRun) throw new ReportedError(text);
  }
  if (goal.importId) {
    const text =
      "previously-imported resources that still specify an ID may not be replaced; " +
      `please remove the \`import\` declaration from your program;\n${diff.replaceKeys.join("\n")}`;
    if (!dryRun) throw new Error(text);
    say("warning", text, urn);
  }
  ledger.replaces.add(urn);
  if (operations && !ledger.isReplaceTarget(urn, old.state)) {
    // Defaults and generated names are not carried over to a replacement.
    const { inputs, failures } = await operations.check({ urn, news: goal.properties, randomSeed });
    for (const failure of failures) say("error", checkFailureText(next.state, goal.name, failure), urn);
    if (failures.length > 0) throw new ReportedError(`resource ${urn} has check errors`);
    next.state = { ...next.state, inputs };
  }
  const replacement = { urn, old, new: next, goal, diff, answer };
  const deleteFirst = goal.deleteBeforeReplace ?? diff.deleteBeforeReplace;
  // What an earlier run deleted is gone already, whatever the order would be now.
  if (!deleteFirst && !old.state.pendingReplacement) return createBeforeDelete(replacement);

  const steps = deleteFirst ? await deleteDependents(deps, urn, old) : [];
  await deps.ensureProvider(old.state.provider);
  if (!old.state.pendingReplacement) {
    // Seen by resources that are deleted with it.
    ledger.deletes.add(old.state.urn);
    steps.push({ op: "delete-replaced", urn: old.state.urn, old, pending: true });
  }
  return [...steps, ...createAfterDelete(replacement)];
}

/** Deletions of all that would have to be replaced after the deletion of a resource, dependents first. */
async function deleteDependents(deps: ReplacementDeps, urn: Urn, old: Cell): Promise<Step[]> {
  const { ledger, say } = deps;
  // What a preview has just imported is not part of the old state.
  const dependents = ledger.old.graph.has(old) ? await dependentReplacements(deps, old) : [];
  const steps: Step[] = [];
  for (const { cell, keys } of [...dependents, ...cascadingReplacements(deps, urn)].reverse()) {
    if (ledger.pendingDeletes.has(cell)) continue;
    const { state } = cell;
    ledger.dependentReplaceKeys.set(state.urn, keys);
    // The program may not have come to its provider yet.
    await deps.ensureProvider(state.provider);
    if (state.delete) steps.push({ op: "delete", urn: state.urn, old: cell });
    // Where an earlier run deleted it and got no further, only the creation is left to do.
    else if (!state.pendingReplacement) {
      if (state.protect) {
        const text =
          `unable to replace resource "${state.urn}" as part of replacing "${urn}" as it is currently marked for protection. ` +
          "To unprotect the resource, remove the `protect` flag from the resource in your Pulumi program and run " +
          `\`pulumi up\`, or use the command:\n\`pulumi state unprotect '${state.urn}'\``;
        say("error", text, state.urn);
        deps.recordError(text);
        throw new ReportedError(text);
      }
      steps.push({ op: "delete-replaced", urn: state.urn, old: cell, pending: true });
    }
    ledger.deletes.add(state.urn);
    ledger.pendingDeletes.add(cell);
  }
  return steps;
}

export interface DependentReplacement {
  cell: Cell;
  keys: string[];
}

/**
 * Of all that depends on a resource, what its provider would replace if the properties that come from it became unknown. In
 * the order of the state.
 */
export async function dependentReplacements(deps: ReplacementDeps, root: Cell): Promise<DependentReplacement[]> {
  const { ledger } = deps;
  const replaced = new Set<Urn>([root.state.urn]);
  // What was registered before cannot depend on what is registered now.
  const seen = new Set<Urn>();
  for (const set of [ledger.reads, ledger.creates, ledger.sames, ledger.updates, ledger.deletes, ledger.replaces]) {
    for (const urn of set) seen.add(urn);
  }
  const found: DependentReplacement[] = [];
  for (const cell of ledger.old.graph.dependingOn(root, seen, false)) {
    const keys = await replacementKeys(deps, cell.state, replaced);
    if (!keys) continue;
    found.push({ cell, keys });
    replaced.add(cell.state.urn);
  }
  return found;
}

async function replacementKeys(
  deps: ReplacementDeps,
  state: ResourceState,
  replaced: ReadonlySet<Urn>,
): Promise<string[] | undefined> {
  if (!state.custom || state.external) return undefined;
  if (state.provider && replaced.has(parseReference(state.provider).urn)) {
    await deps.ensureProvider(state.provider);
    return [];
  }
  if (state.deletedWith && replaced.has(state.deletedWith)) return [];
  const inputs: PropertyMap = { ...state.inputs };
  let touched = false;
  for (const { kind, urn, property } of dependenciesOf(state)) {
    if (kind !== "property" || property === undefined || !replaced.has(urn) || !(property in inputs)) continue;
    inputs[property] = unknown;
    touched = true;
  }
  if (!touched) return undefined;
  if (isProviderType(state.type)) await deps.registry.same(state, false);
  else await deps.ensureProvider(state.provider);
  const { urn, id = "", inputs: oldInputs = {}, outputs: oldOutputs = {}, ignoreChanges = [] } = state;
  const operations = operationsFor(state, deps.registry);
  const found = await operations.diff({ urn, id, oldInputs, oldOutputs, newInputs: inputs, ignoreChanges });
  const diff = applyReplaceOnChanges(resolveUnknownDiff(found, oldInputs, inputs), state.replaceOnChanges ?? [], false);
  return isReplacement(diff) ? diff.replaceKeys : undefined;
}

/** What asked to be replaced, or to go, together with a resource. */
export function cascadingReplacements({ ledger }: Pick<ReplacementDeps, "ledger">, urn: Urn): DependentReplacement[] {
  const found = new Map<Urn, Cell>();
  const consider = (cell: Cell) => {
    const { state } = cell;
    const cascades = state.replaceWith?.includes(urn) || state.deletedWith === urn;
    if (cascades && !found.has(state.urn)) found.set(state.urn, cell);
  };
  for (const cell of ledger.news.values()) consider(cell);
  for (const cell of ledger.old.byUrn.values()) consider(cell);
  return [...found.values()].map((cell) => ({ cell, keys: [] }));
}
