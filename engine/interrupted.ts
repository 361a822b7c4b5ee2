/**
 * Creations that nobody saw end, since an earlier run was killed or lost its connection. Where the provider can look, what they
 * left is taken away, so that they can be done anew; official plug-ins cannot, and the user has to say what became of theirs.
 */
import type { Cell } from "./dependency-graph.ts";
import type { Ledger } from "./ledger.ts";
import type { ProviderClient } from "./provider-client.ts";
import type { ProviderRegistry } from "./provider-registry.ts";
import type { PendingOperation, Urn } from "./resource.ts";
import type { StateKeeper } from "./state-keeper.ts";

/** What a command did on the user's own machine is for the user to say, as the official CLI has it. */
const usersOwn = /^command:local:/;

export interface InterruptedDeps {
  /** All that the state has on record, of any kind. */
  operations: PendingOperation[];
  ledger: Ledger;
  keeper: StateKeeper;
  registry: ProviderRegistry;
  stop: AbortSignal;
  say(severity: "info" | "warning" | "error", message: string, urn?: Urn): void;
  ensureProvider(reference: string | undefined): Promise<void>;
}

export interface Interrupted {
  /** Before an update: takes away what is in the way. */
  makeRoom(): Promise<void>;
  /** True where every operation is taken care of without the user. */
  isOurs(): Promise<boolean>;
  /** Before deletions: what is not going to be created again is taken away, too. */
  takeAway(): Promise<void>;
  /** After everything: what was created in this run is on record no more. */
  settle(): Promise<void>;
}

export function createInterrupted({ operations, ledger, keeper, registry, stop, ...deps }: InterruptedDeps): Interrupted {
  const targeted = operations.filter(({ resource }) => ledger.targets.contains(resource.urn));
  // What depends on others was begun after them.
  const creations = targeted.filter(({ type }) => type === "creating").toReversed();
  const cleared = new Set<PendingOperation>();

  /** Undefined where the provider cannot look. */
  async function undoOf({ resource }: PendingOperation): Promise<ProviderClient["undoCreate"]> {
    if (usersOwn.test(resource.type)) return undefined;
    try {
      await deps.ensureProvider(resource.provider);
    } catch {
      return undefined;
    }
    return resource.provider ? registry.get(resource.provider)?.undoCreate : undefined;
  }

  /** True where nothing of it is left that anybody must look after. */
  async function undo(operation: PendingOperation, again: boolean): Promise<boolean> {
    const { urn, inputs = {}, type } = operation.resource;
    const undoCreate = await undoOf(operation);
    if (!undoCreate) return false;
    if (cleared.has(operation) && again) return true;
    const cells: Cell[] = [...ledger.old.cells, ...ledger.news.values()];
    const known = [...new Set(cells.flatMap(({ state }) => (state.type === type && state.id ? [state.id] : [])))];
    try {
      await undoCreate({ urn, inputs, again, known });
      cleared.add(operation);
      return true;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      deps.say("warning", `What an interrupted creation left could not be taken away: ${why}`, urn);
      return false;
    }
  }

  /** Still on record from before this run. */
  const open = (): PendingOperation[] => creations.filter((operation) => keeper.unresolved().includes(operation));

  return {
    async makeRoom() {
      for (const operation of creations) if (!stop.aborted) await undo(operation, true);
      // Of several attempts at the same, all of which left nothing, one stays on record until it is there.
      const seen = new Set<Urn>();
      const again = [...cleared].filter(({ resource: { urn } }) => seen.size === seen.add(urn).size);
      if (again.length > 0) await keeper.resolve(again);
      for (const { resource, type } of targeted) {
        const cell = ledger.old.byUrn.get(resource.urn);
        if (type !== "updating" || !cell || cell.state.initErrors || !(await undoOf({ resource, type }))) continue;
        // As it was before it may be no more: it is updated even where the program wants it so.
        cell.state = { ...cell.state, initErrors: ["its update was interrupted"] };
      }
    },
    async isOurs() {
      for (const operation of operations) if (!targeted.includes(operation) || !(await undoOf(operation))) return false;
      return true;
    },
    async takeAway() {
      const gone: PendingOperation[] = [];
      for (const operation of open()) {
        const { urn } = operation.resource;
        if (!stop.aborted && (await undo(operation, ledger.urns.has(urn) || ledger.old.all.has(urn)))) gone.push(operation);
      }
      if (gone.length > 0) await keeper.resolve(gone);
    },
    async settle() {
      const made = open().filter(
        (operation) =>
          cleared.has(operation) &&
          ledger.news.get(operation.resource.urn)?.state.id &&
          (ledger.creates.has(operation.resource.urn) || ledger.replaces.has(operation.resource.urn)),
      );
      if (made.length > 0) await keeper.resolve(made);
    },
  };
}
