/** What is not among the targets of an operation is carried over as it is, with all that it depends on before it. */
import { type Cell, dependenciesOf, providerUrn } from "./dependency-graph.ts";
import { parseReference } from "./provider-reference.ts";
import { type RegisterDeps, type Registration, ReportedError } from "./register.ts";
import type { ResourceState, Urn } from "./resource.ts";
import type { Step } from "./steps.ts";

export interface Untargeted {
  /** Steps that carry an old resource and its dependencies over. */
  sames(registration: Registration, old: Cell): Step[];
  /** Queues old dependencies of a resource that nothing else in this operation registers. */
  queueDependencies(state: ResourceState): void;
  takeQueued(): Step[];
  /** Loads a provider that only the old state has, and carries it over. */
  loadOldProvider(reference: string): Promise<void>;
  /** URNs that a state refers to. */
  needed(state: ResourceState, withProvider?: boolean): Urn[];
}

const carryOver = (cell: Cell): Step => ({
  op: "same",
  urn: cell.state.urn,
  old: cell,
  new: { state: cell.state },
  untargeted: true,
});

export function createUntargeted({ ledger, registry, ensureProvider }: RegisterDeps): Untargeted {
  const queuedUrns = new Set<Urn>();
  let queued: Step[] = [];

  function needed(state: ResourceState, withProvider = true): Urn[] {
    const urns = dependenciesOf(state).map(({ urn }) => urn);
    const provider = withProvider ? providerUrn(state) : undefined;
    return provider === undefined ? urns : [...urns, provider];
  }

  function collect(old: Cell, urn: Urn, steps: Step[], last: Step): void {
    const { state } = old;
    if (state.delete) return;
    for (const seen of [state.urn, urn]) ledger.sames.add(seen);
    ledger.urns.add(state.urn);
    if (state.provider) {
      const { urn: provider, id } = parseReference(state.provider);
      const cell = ledger.old.byUrn.get(provider);
      const known = ledger.hasGeneratedStep(provider) || ledger.isOperatedOn(provider);
      if (!known && cell?.state.id === id && cell) collect(cell, urn, steps, carryOver(cell));
    }
    for (const { kind, urn: dependency } of dependenciesOf(state)) {
      if (ledger.hasGeneratedStep(dependency)) continue;
      const cell = ledger.old.byUrn.get(dependency);
      if (!cell) throw new ReportedError(`${kind} ${dependency} of untargeted resource ${urn} has no old state`);
      collect(cell, urn, steps, carryOver(cell));
    }
    steps.push(last);
  }

  function queue(urn: Urn): void {
    if (!urn || ledger.hasGeneratedStep(urn) || queuedUrns.has(urn)) return;
    const old = ledger.old.byUrn.get(urn);
    if (!old || old.state.delete) return;
    queuedUrns.add(urn);
    if (old.state.provider) {
      const { urn: provider, id } = parseReference(old.state.provider);
      if (ledger.old.byUrn.get(provider)?.state.id === id) queue(provider);
    }
    for (const { urn: dependency } of dependenciesOf(old.state)) queue(dependency);
    queued.push(carryOver(old));
  }

  return {
    needed,
    sames({ urn, answer, new: next }, old) {
      if (old.state.provider && !registry.get(old.state.provider)) {
        throw new Error(
          `provider ${old.state.provider} for resource ${urn} has not been registered yet, this is due to a change of ` +
            "providers mixed with --target. Change your program back to the original providers",
        );
      }
      const steps: Step[] = [];
      next.state = old.state;
      collect(old, urn, steps, { op: "same", urn: old.state.urn, old, new: next, untargeted: true, answer });
      return steps;
    },
    queueDependencies(state) {
      if (!ledger.targets.constrained) return;
      for (const { urn } of dependenciesOf(state)) queue(urn);
    },
    takeQueued() {
      const taken = queued;
      queued = [];
      return taken.filter(({ urn }) => {
        if (ledger.hasGeneratedStep(urn) || ledger.isOperatedOn(urn)) return false;
        ledger.urns.add(urn);
        ledger.sames.add(urn);
        return true;
      });
    },
    async loadOldProvider(reference) {
      const { urn, id } = parseReference(reference);
      const old = ledger.old.byUrn.get(urn);
      if (!old || old.state.id !== id) return;
      await ensureProvider(reference);
      if (queuedUrns.has(urn)) return;
      queuedUrns.add(urn);
      queued.push(carryOver(old));
    },
  };
}
