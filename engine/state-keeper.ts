/**
 * The state while a deployment changes it: what was there, what has been done, what is under way; and the snapshot that
 * results from it at any moment (pkg/backend/snapshot.go).
 */
import { type Cell, dependenciesOf } from "./dependency-graph.ts";
import { formatReference, parseReference } from "./provider-reference.ts";
import {
  makeUrn,
  type OperationKind,
  type PendingOperation,
  parseUrn,
  type ResourceState,
  type Snapshot,
  type StateWriter,
  stackType,
  type Urn,
} from "./resource.ts";

export interface StateKeeper {
  /** Records that an operation begins; resolves when that is safe on disk. */
  begin(cell: Cell, type: OperationKind): Promise<void>;
  /** Records what a step left: old halves done, new ones there. With `write`, resolves when that is safe on disk. */
  end(change: { operation?: Cell; done?: (Cell | undefined)[]; added?: Cell; write: boolean }): Promise<void>;
  /** Nobody knows how a creation ended: it stays on record. */
  leave(cell: Cell): Promise<void>;
  /** Creations that nobody saw end. */
  unresolved(): PendingOperation[];
  /** Such a creation has left nothing that anybody must look after. */
  resolve(operations: PendingOperation[]): Promise<void>;
  /** Writes what changed inside cells. */
  touch(): Promise<void>;
  /** Puts another base in the place of the old one (after a refresh). */
  rebase(cells: Cell[]): void;
  /** Writes whatever was not written yet. */
  flush(): Promise<void>;
  snapshot(): Snapshot;
}

export function createStateKeeper(start: Snapshot, baseCells: Cell[], writer: StateWriter | undefined): StateKeeper {
  let base = baseCells;
  let added: Cell[] = [];
  const done = new Set<Cell>();
  const pending = new Map<Cell, PendingOperation>();
  // What became of them only the user can say, or a provider that looks.
  let unresolved = start.pendingOperations.filter(({ type }) => type === "creating");
  const normalise = createNormaliser();
  let unwritten = true;
  let latest: Promise<void> | undefined;

  function snapshot(): Snapshot {
    const resources: ResourceState[] = [];
    for (const cell of added) if (!done.has(cell)) resources.push(cell.state);
    for (const cell of base) if (!done.has(cell)) resources.push(cell.state);
    return {
      resources: normalise(resources),
      pendingOperations: [...pending.values(), ...unresolved],
      ...(start.metadata && { metadata: start.metadata }),
    };
  }
  async function write(): Promise<void> {
    unwritten = false;
    latest = writer?.save(snapshot);
    await latest;
  }

  return {
    snapshot,
    async begin(cell, type) {
      pending.set(cell, { resource: cell.state, type });
      await write();
    },
    async end(change) {
      if (change.operation) pending.delete(change.operation);
      for (const cell of change.done ?? []) if (cell) done.add(cell);
      if (change.added) added.push(change.added);
      if (change.write) await write();
      else unwritten = true;
    },
    async leave(cell) {
      const operation = pending.get(cell);
      pending.delete(cell);
      if (operation) unresolved = [...unresolved, operation];
      await write();
    },
    unresolved: () => unresolved,
    async resolve(operations) {
      unresolved = unresolved.filter((operation) => !operations.includes(operation));
      await write();
    },
    touch: write,
    rebase(cells) {
      base = cells;
      added = added.filter((cell) => !done.has(cell));
      unwritten = true;
    },
    async flush() {
      // Of what nobody waits for any more, too.
      await (unwritten ? write() : latest);
    },
  };
}

/**
 * References to a resource by an older URN are turned into its present one, and the aliases that said so are left out. What
 * is rewritten keeps its identity from one snapshot to the next, for the writer's cache.
 */
export function createNormaliser(): (resources: ResourceState[]) => ResourceState[] {
  const cache = new WeakMap<ResourceState, { key: string; state: ResourceState }>();
  return (resources) => {
    if (!resources.some(({ aliases }) => aliases && aliases.length > 0)) return resources;
    const renamed = new Map<Urn, Urn>();
    for (const { urn, parent, aliases } of resources) {
      for (const alias of aliases ?? []) renamed.set(alias, urn);
      const movedParent = parent === undefined ? undefined : renamed.get(parent);
      if (movedParent !== undefined && parseUrn(movedParent).qualifiedType !== stackType) {
        const { stack, project, type, name } = parseUrn(urn);
        renamed.set(urn, makeUrn(stack, project, movedParent, type, name));
      }
    }
    return resources.map((state) => {
      const references = [state.urn, ...dependenciesOf(state).map(({ urn }) => urn)];
      if (state.provider) references.push(parseReference(state.provider).urn);
      const moved = references.filter((urn) => renamed.has(urn));
      if (moved.length === 0 && !state.aliases) return state;
      const key = moved.map((urn) => `${urn} ${renamed.get(urn)}`).join("\n");
      const known = cache.get(state);
      if (known?.key === key) return known.state;
      const rewritten = rewriteUrns(state, (urn) => renamed.get(urn) ?? urn);
      cache.set(state, { key, state: rewritten });
      return rewritten;
    });
  };
}

function rewriteUrns(state: ResourceState, fix: (urn: Urn) => Urn): ResourceState {
  const { aliases: _, ...rest } = state;
  const next: ResourceState = { ...rest, urn: fix(state.urn) };
  if (state.parent) next.parent = fix(state.parent);
  if (state.provider) {
    const { urn, id } = parseReference(state.provider);
    next.provider = formatReference({ urn: fix(urn), id });
  }
  if (state.dependencies) next.dependencies = state.dependencies.map(fix);
  if (state.propertyDependencies) {
    next.propertyDependencies = Object.fromEntries(
      Object.entries(state.propertyDependencies).map(([property, urns]) => [property, urns?.map(fix) ?? null]),
    );
  }
  if (state.deletedWith) next.deletedWith = fix(state.deletedWith);
  if (state.replaceWith) next.replaceWith = state.replaceWith.map(fix);
  return next;
}
