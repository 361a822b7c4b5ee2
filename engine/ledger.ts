/** What a deployment has seen and decided so far, by URN, and the old state as the plan looks things up in it. */
import { type Cell, createDependencyGraph, type DependencyGraph, dependenciesOf, providerUrn } from "./dependency-graph.ts";
import type { ResourceState, Urn } from "./resource.ts";
import { createTargets, type Targets } from "./targets.ts";

export interface OldState {
  /** In the order of the state. */
  cells: readonly Cell[];
  /** Without old halves that wait for their deletion. */
  byUrn: ReadonlyMap<Urn, Cell>;
  all: ReadonlyMap<Urn, Cell[]>;
  graph: DependencyGraph;
}

export function indexState(cells: readonly Cell[]): OldState {
  const byUrn = new Map<Urn, Cell>();
  const all = new Map<Urn, Cell[]>();
  for (const cell of cells) {
    const { urn } = cell.state;
    const list = all.get(urn);
    if (list) list.push(cell);
    else all.set(urn, [cell]);
    if (!cell.state.delete) byUrn.set(urn, cell);
  }
  let graph: DependencyGraph | undefined;
  return {
    cells,
    byUrn,
    all,
    get graph() {
      graph ??= createDependencyGraph(cells);
      return graph;
    },
  };
}

export interface Ledger {
  old: OldState;
  /** Registered or read in this deployment. */
  urns: Set<Urn>;
  sames: Set<Urn>;
  creates: Set<Urn>;
  updates: Set<Urn>;
  replaces: Set<Urn>;
  reads: Set<Urn>;
  deletes: Set<Urn>;
  imports: Set<Urn>;
  skippedCreates: Set<Urn>;
  /** Left out since something that they depend on failed. */
  skipped: Set<Urn>;
  /** States after their steps. */
  news: Map<Urn, Cell>;
  providers: Map<Urn, Cell>;
  /** Old halves that were already deleted. */
  pendingDeletes: Set<Cell>;
  /** Why a resource was deleted together with one that had to go first. */
  dependentReplaceKeys: Map<Urn, string[]>;
  /** From an older URN to the resource that claimed it, and back. */
  aliased: Map<Urn, Urn>;
  aliases: Map<Urn, Urn>;
  targets: Targets;
  /** With the dependents that were found on the way. */
  targetsActual: Targets;
  replaceTargets: Targets;
  hasGeneratedStep(urn: Urn): boolean;
  isOperatedOn(urn: Urn): boolean;
  /** True where the resource takes part in the operation. */
  isIncluded(state: ResourceState): boolean;
  isReplaceTarget(urn: Urn, old: ResourceState | undefined): boolean;
}

export interface LedgerOptions {
  targets: string[];
  targetDependents: boolean;
  replaceTargets: string[];
}

export function createLedger(old: OldState, options: LedgerOptions): Ledger {
  const targets = createTargets(options.targets);
  const ledger: Ledger = {
    old,
    urns: new Set(),
    sames: new Set(),
    creates: new Set(),
    updates: new Set(),
    replaces: new Set(),
    reads: new Set(),
    deletes: new Set(),
    imports: new Set(),
    skippedCreates: new Set(),
    skipped: new Set(),
    news: new Map(),
    providers: new Map(),
    pendingDeletes: new Set(),
    dependentReplaceKeys: new Map(),
    aliased: new Map(),
    aliases: new Map(),
    targets,
    targetsActual: targets.clone(),
    replaceTargets: createTargets(options.replaceTargets),
    hasGeneratedStep: (urn) =>
      [ledger.creates, ledger.sames, ledger.updates, ledger.deletes, ledger.replaces, ledger.reads].some((set) => set.has(urn)),
    isOperatedOn(urn) {
      const present = ledger.aliased.get(urn) ?? urn;
      return [ledger.sames, ledger.updates, ledger.replaces, ledger.reads].some((set) => set.has(present));
    },
    isIncluded(state) {
      if (targets.contains(state.urn)) return true;
      if (!options.targetDependents) return false;
      const urns = dependenciesOf(state).map(({ urn }) => urn);
      return [...urns, providerUrn(state) ?? ""].some((urn) => ledger.targetsActual.contains(urn));
    },
    isReplaceTarget: (urn, oldState) =>
      (ledger.replaceTargets.constrained && ledger.replaceTargets.contains(urn)) || (oldState?.taint ?? false),
  };
  return ledger;
}
