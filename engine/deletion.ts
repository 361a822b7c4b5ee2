/** The end of an update, and the whole of a destroy: what nobody registered is deleted, dependents first. */
import { type Cell, createDependencyGraph } from "./dependency-graph.ts";
import type { Executor } from "./executor.ts";
import type { Ledger } from "./ledger.ts";
import { planDeletions, scheduleDeletions } from "./plan-delete.ts";
import { type RegisterDeps, ReportedError } from "./register.ts";
import { cascadingReplacements, dependentReplacements } from "./replacement.ts";
import type { Urn } from "./resource.ts";
import { type Step, stepCell } from "./steps.ts";

export async function deleteUnregistered(deps: RegisterDeps): Promise<void> {
  const { ledger, executor } = deps;
  if (ledger.old.cells.length === 0) return;
  const allowed = ledger.targets.constrained ? await deletableTargets(deps) : undefined;
  const { sames, deletions } = planDeletions({
    cells: ledger.old.cells,
    isTargeted: (urn) => allowed?.has(urn) ?? true,
    isOperatedOn: (urn) => ledger.isOperatedOn(urn),
    alreadyDeleted: ledger.pendingDeletes,
  });
  for (const { urn, old } of deletions) {
    ledger.deletes.add(urn);
    await deps.ensureProvider(old?.state.provider);
  }
  checkTargeted(deps, deletions);
  await executor.run(sames);
  const spared = new Set<Cell>();
  const seen = new Set<Cell>();
  for (const group of scheduleDeletions(deletions, ledger.old.graph)) {
    spareNeeds(ledger, executor, seen, spared);
    const left = group.filter((step) => !spared.has(stepCell(step)));
    await Promise.all(left.map((step) => executor.run([step])));
  }
}

/** What failed or was left out is still there as it was, so what it needs must stay. */
function spareNeeds(ledger: Ledger, executor: Executor, seen: Set<Cell>, spared: Set<Cell>): void {
  const kept = executor.errored.flatMap((step) => [stepCell(step), step.old]);
  for (const urn of ledger.skipped) kept.push(ledger.old.byUrn.get(ledger.aliases.get(urn) ?? urn));
  for (const cell of kept) {
    if (!cell || seen.has(cell) || !ledger.old.graph.has(cell)) continue;
    seen.add(cell);
    for (const need of ledger.old.graph.transitiveDependencies(cell)) spared.add(need);
  }
}

function checkTargeted(deps: RegisterDeps, deletions: Step[]): void {
  const { ledger, say, dryRun } = deps;
  if (!ledger.targets.constrained || deps.targetDependents) return;
  let wrong = false;
  for (const { urn } of deletions) {
    if (ledger.targets.contains(urn)) continue;
    wrong = true;
    const text =
      `Resource '${urn}' will be destroyed but was not specified in --target list.\n` +
      "Either include resource in --target list or pass --target-dependents to proceed.";
    say("error", text, urn);
    deps.recordError(text);
  }
  if (wrong && !dryRun) throw new ReportedError("delete untargeted resource");
}

/** The targets, all that depends on them or is below them, and what would have to be replaced with them. */
async function deletableTargets(deps: RegisterDeps): Promise<Set<Urn>> {
  const { ledger } = deps;
  const graph = createDependencyGraph(ledger.old.cells);
  const implicated = new Set<Urn>();
  const open = ledger.old.cells.filter(({ state }) => ledger.targets.contains(state.urn));
  for (const cell of open) {
    if (implicated.has(cell.state.urn)) continue;
    implicated.add(cell.state.urn);
    open.push(...graph.dependingOn(cell, implicated, true));
  }
  const deletable = new Set<Urn>();
  for (const urn of implicated) {
    for (const cell of ledger.old.all.get(urn) ?? []) {
      deletable.add(urn);
      const more = [...(await dependentReplacements(deps, cell)), ...cascadingReplacements(deps, urn)];
      for (const { cell: dependent } of more) deletable.add(dependent.state.urn);
    }
  }
  return deletable;
}
