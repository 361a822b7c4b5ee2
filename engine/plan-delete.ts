/** Pure: what of the old state is to go once the program has registered all that it wants, and in which order. */
import type { Cell, DependencyGraph } from "./dependency-graph.ts";
import type { Urn } from "./resource.ts";
import type { Step } from "./steps.ts";

export interface DeleteInput {
  /** The old state, in its order. */
  cells: readonly Cell[];
  isTargeted(urn: Urn): boolean;
  /** True where the program registered or read the resource, under this or a newer URN. */
  isOperatedOn(urn: Urn): boolean;
  /** Old halves that this deployment has already deleted. */
  alreadyDeleted: ReadonlySet<Cell>;
}

/** The deletions, and what is carried over since it is not among the targets. */
export function planDeletions(input: DeleteInput): { sames: Step[]; deletions: Step[] } {
  const sames: Step[] = [];
  const deletions: Step[] = [];
  for (const old of input.cells) {
    const { urn, delete: condemned, pendingReplacement, external } = old.state;
    if (!input.isTargeted(urn)) {
      if (!input.isOperatedOn(urn)) sames.push({ op: "same", urn, old, new: { state: old.state }, untargeted: true });
    } else if (condemned) {
      if (!input.alreadyDeleted.has(old)) deletions.push({ op: external ? "discard-replaced" : "delete-replaced", urn, old });
    } else if (!input.isOperatedOn(urn)) {
      if (pendingReplacement) deletions.push({ op: "remove-pending-replace", urn, old });
      else deletions.push({ op: external ? "read-discard" : "delete", urn, old });
    }
  }
  return { sames, deletions };
}

/** Groups that may run at the same time, one after the other: a resource goes only after all that depends on it. */
export function scheduleDeletions(deletions: Step[], graph: DependencyGraph): Step[][] {
  const condemned = new Set<Cell>();
  for (const { old } of deletions) if (old) condemned.add(old);
  // Deletions come in the order of the state, so what a resource depends on was seen before it.
  const depth = new Map<Cell, number>();
  const groups: Step[][] = [];
  for (const step of deletions) {
    if (!step.old) continue;
    let level = 0;
    for (const dependency of graph.directDependencies(step.old)) {
      if (condemned.has(dependency)) level = Math.max(level, (depth.get(dependency) ?? 0) + 1);
    }
    depth.set(step.old, level);
    let group = groups[level];
    if (!group) {
      group = [];
      groups[level] = group;
    }
    group.push(step);
  }
  return groups.reverse();
}
