/**
 * Who depends on whom among the resources of a state, which are listed with dependencies before dependents
 * (pkg/resource/graph/dependency_graph.go).
 */
import { parseReference } from "./provider-reference.ts";
import type { ResourceState, Urn } from "./resource.ts";

/** A place of a resource in the state. Steps put new states into it; the place itself says which resource is meant. */
export interface Cell {
  state: ResourceState;
}

export interface Dependency {
  kind: "parent" | "dependency" | "property" | "deletedWith" | "replaceWith";
  urn: Urn;
  /** Of a property dependency. */
  property?: string;
}

/** Everything that a resource refers to but its provider. */
export function dependenciesOf(state: ResourceState): Dependency[] {
  const all: Dependency[] = [];
  if (state.parent) all.push({ kind: "parent", urn: state.parent });
  for (const urn of state.dependencies ?? []) if (urn) all.push({ kind: "dependency", urn });
  for (const [property, urns] of Object.entries(state.propertyDependencies ?? {})) {
    for (const urn of urns ?? []) if (urn) all.push({ kind: "property", urn, property });
  }
  if (state.deletedWith) all.push({ kind: "deletedWith", urn: state.deletedWith });
  for (const urn of state.replaceWith ?? []) if (urn) all.push({ kind: "replaceWith", urn });
  return all;
}

export const providerUrn = (state: ResourceState): Urn | undefined =>
  state.provider ? parseReference(state.provider).urn : undefined;

export interface DependencyGraph {
  has(cell: Cell): boolean;
  /** Those that depend on it directly or through others, in the order of the state. Ignored ones pass nothing on. */
  dependingOn(cell: Cell, ignored: ReadonlySet<Urn>, withChildren: boolean): Cell[];
  /** What must outlive it: its dependencies, the children of components among them, its provider and parent. */
  directDependencies(cell: Cell): Set<Cell>;
  /** What it needs directly or through others, itself left out. */
  transitiveDependencies(cell: Cell): Set<Cell>;
}

export function createDependencyGraph(cells: readonly Cell[]): DependencyGraph {
  const index = new Map<Cell, number>(cells.map((cell, position) => [cell, position]));
  const byUrn = groupByUrn(cells);
  const children = childrenOf(cells);

  /** The cells of a URN, only those before a position. */
  const before = (urn: Urn, position: number): Cell[] =>
    (byUrn.get(urn) ?? []).filter((cell) => (index.get(cell) ?? 0) < position);

  /** By its id too: an old half may be the one that is meant. */
  function providerOf({ state }: Cell): Cell | undefined {
    if (!state.provider) return undefined;
    const { urn, id } = parseReference(state.provider);
    return byUrn.get(urn)?.find((cell) => cell.state.id === id);
  }

  function directDependencies(cell: Cell): Set<Cell> {
    const position = index.get(cell) ?? 0;
    const found = new Set<Cell>();
    const needed = new Set<Urn>();
    for (const { kind, urn } of dependenciesOf(cell.state)) if (kind !== "parent") needed.add(urn);
    const provider = providerUrn(cell.state);
    if (provider !== undefined) needed.add(provider);
    for (const urn of needed) {
      for (const candidate of before(urn, position)) {
        found.add(candidate);
        if (candidate.state.custom) continue;
        for (const child of children.get(urn) ?? []) if ((index.get(child) ?? 0) < position) found.add(child);
      }
    }
    if (cell.state.parent) for (const parent of before(cell.state.parent, position)) found.add(parent);
    return found;
  }

  return {
    has: (cell) => index.has(cell),
    directDependencies,
    dependingOn(cell, ignored, withChildren) {
      const reached = new Set<Urn>([cell.state.urn]);
      const dependents: Cell[] = [];
      for (const candidate of cells.slice((index.get(cell) ?? 0) + 1)) {
        if (ignored.has(candidate.state.urn)) continue;
        const depends =
          dependenciesOf(candidate.state).some(({ kind, urn }) => (kind !== "parent" || withChildren) && reached.has(urn)) ||
          reached.has(providerUrn(candidate.state) ?? "");
        if (!depends) continue;
        dependents.push(candidate);
        reached.add(candidate.state.urn);
      }
      return dependents;
    },
    transitiveDependencies(cell) {
      const found = new Set<Cell>();
      const open = [cell];
      for (let next = open.pop(); next; next = open.pop()) {
        const needs = dependenciesOf(next.state).map(({ urn }) => choose(byUrn.get(urn) ?? [], next));
        for (const candidate of [...needs, providerOf(next)]) {
          if (!candidate || candidate === cell || found.has(candidate)) continue;
          found.add(candidate);
          open.push(candidate);
        }
      }
      return found;
    },
  };
}

/** Of several with one URN, an old half refers to old halves and the others to the present one. */
function choose(candidates: Cell[], from: Cell): Cell | undefined {
  const condemned = from.state.delete ?? false;
  return candidates.findLast((cell) => (cell.state.delete ?? false) === condemned) ?? candidates.at(-1);
}

function groupByUrn(cells: readonly Cell[]): Map<Urn, Cell[]> {
  const groups = new Map<Urn, Cell[]>();
  for (const cell of cells) {
    const group = groups.get(cell.state.urn);
    if (group) group.push(cell);
    else groups.set(cell.state.urn, [cell]);
  }
  return groups;
}

/** Children of each parent, and theirs. The stack is left out: all are its children, and nothing depends on it by name. */
function childrenOf(cells: readonly Cell[]): Map<Urn, Cell[]> {
  const parents = new Map<Urn, Urn | undefined>();
  const children = new Map<Urn, Cell[]>();
  for (const cell of cells) {
    parents.set(cell.state.urn, cell.state.parent);
    const seen = new Set<Urn>();
    for (let parent = cell.state.parent; parent && !seen.has(parent); parent = parents.get(parent)) {
      seen.add(parent);
      const list = children.get(parent);
      if (list) list.push(cell);
      else children.set(parent, [cell]);
    }
  }
  return children;
}
