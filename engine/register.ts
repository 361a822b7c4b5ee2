/**
 * Turns what the program registers into steps: finds the old state, has the provider check and compare, decides, and hands
 * the steps to the executor (pkg/resource/deploy/step_generator.go).
 */
import { randomBytes } from "node:crypto";
import type { Cell } from "./dependency-graph.ts";
import type { Executor } from "./executor.ts";
import { createIdentity, type Identity } from "./identity.ts";
import type { Ledger } from "./ledger.ts";
import {
  checkFailureText,
  createAfterDelete,
  createBeforeDelete,
  decide,
  isImport,
  shownDiff,
  stateOfGoal,
  stateOfRead,
} from "./plan.ts";
import { resolveUnknownDiff, triggersReplacement } from "./plan-diff.ts";
import { containsUnknowns, deepEqual } from "./properties.ts";
import { resetIgnored } from "./property-path.ts";
import { isProviderType } from "./provider-reference.ts";
import type { ProviderRegistry } from "./provider-registry.ts";
import { planReplacement, providerChanged } from "./replacement.ts";
import { parseUrn, stackType, type Urn } from "./resource.ts";
import { type Diff, noDiff, type ResourceOperations } from "./resource-operations.ts";
import type { Goal, ReadGoal, ReadOutcome, RegisterResult } from "./source.ts";
import type { Step, StepResult } from "./steps.ts";
import { createUntargeted } from "./untargeted.ts";
import type { PropertyMap } from "./values.ts";

/** The user was already told what is wrong; the deployment ends. */
export class ReportedError extends Error {}

export interface RegisterDeps {
  project: string;
  stack: string;
  dryRun: boolean;
  targetDependents: boolean;
  ledger: Ledger;
  registry: ProviderRegistry;
  executor: Executor;
  say(severity: "info" | "warning" | "error", message: string, urn?: Urn): void;
  /** Something went wrong that lets a preview go on but fails it. */
  recordError(message: string): void;
  /** Loads the provider of an old state. */
  ensureProvider(reference: string | undefined): Promise<void>;
}

export interface Registrar {
  register(goal: Goal, answer: (result: RegisterResult) => void): Promise<void>;
  read(goal: ReadGoal, answer: (result: ReadOutcome) => void): Promise<void>;
}

/** One registration on its way to a decision. */
export interface Registration {
  goal: Goal;
  urn: Urn;
  old?: Cell;
  new: Cell;
  operations?: ResourceOperations;
  recreating: boolean;
  randomSeed: string;
  answer: (result: StepResult) => void;
}

export function createRegistrar(deps: RegisterDeps): Registrar {
  const { ledger, registry, executor, say, dryRun } = deps;
  const untargeted = createUntargeted(deps);
  const identity: Identity = createIdentity(deps);
  const { claim, findOld } = identity;
  const { skipped } = ledger;
  let decisions: Promise<unknown> = Promise.resolve();

  /** Decisions are taken one at a time: what one deletes first, another must see. */
  function alone<T>(decision: () => Promise<T>): Promise<T> {
    const next = decisions.then(decision);
    decisions = next.catch(() => {});
    return next;
  }

  /** By its own URN, or the one under which it was found. */
  const isDeleted = (urn: Urn, old: Cell | undefined): boolean =>
    ledger.deletes.has(urn) || (old !== undefined && ledger.deletes.has(old.state.urn));

  function operationsOf(goal: Goal, urn: Urn): ResourceOperations | undefined {
    if (!goal.custom) return undefined;
    if (isProviderType(goal.type)) return registry;
    if (!goal.provider) return identity.report(`unknown provider '' for resource '${urn}'`, urn);
    return registry.get(goal.provider) ?? identity.report(`unknown provider '${goal.provider}' for resource '${urn}'`, urn);
  }

  async function register(goal: Goal, answer: (result: RegisterResult) => void): Promise<void> {
    const urn = claim(goal.parent, goal.type, goal.name);
    const { old, invalid, alias } = findOld(urn, goal);
    const cell: Cell = { state: stateOfGoal(goal, urn, alias, old?.state) };
    if (isProviderType(goal.type)) {
      ledger.providers.set(urn, cell);
      if (alias !== undefined) ledger.providers.set(alias, cell);
    }
    const registration: Registration = {
      goal,
      urn,
      ...(old && { old }),
      new: cell,
      recreating: isDeleted(urn, old),
      randomSeed: randomBytes(32).toString("base64"),
      answer: (result) => answer(registerResult(registration.new, result, ledger.skippedCreates.has(urn))),
    };
    if (goal.provider && !registry.get(goal.provider)) await untargeted.loadOldProvider(goal.provider);
    const operations = operationsOf(goal, urn);
    if (operations) registration.operations = operations;
    if (isImport(goal, old?.state) && !(await importFirst(registration, alias))) return;
    const steps = await generate(registration, invalid);
    await runSteps(validate(steps));
  }

  /** True where the import succeeded; the registration goes on from the imported state. */
  async function importFirst(registration: Registration, alias: Urn | undefined): Promise<boolean> {
    const { goal, urn, old, recreating } = registration;
    const imported = registration.new;
    ledger.imports.add(urn);
    let ok = false;
    const step: Step = {
      op: old && !recreating ? "import-replacement" : "import",
      urn,
      new: imported,
      goal,
      ...(old && { original: old }),
      answer: (result) => {
        if (result === "success") ok = true;
        else registration.answer(result);
      },
    };
    const replace: Step[] = old && !recreating ? [{ op: "replace", urn, old, new: imported, pending: true }] : [];
    await runSteps([step, ...replace]);
    if (!ok) return false;
    const { replacementTrigger: _, ...state } = stateOfGoal(goal, urn, alias, imported.state);
    registration.old = imported;
    registration.new = { state };
    return true;
  }

  async function generate(registration: Registration, invalidBefore: boolean): Promise<Step[]> {
    const { goal, urn, operations, old } = registration;
    const cell = registration.new;
    const oldInputs = old?.state.inputs ?? {};
    const implicit = isProviderType(goal.type) || parseUrn(urn).qualifiedType === stackType;
    const targeted = implicit || ledger.isIncluded(cell.state);
    const fresh = registration.recreating || !old || old.state.external || ledger.isReplaceTarget(urn, old.state);
    const news = fresh ? goal.properties : withIgnored(registration, oldInputs);
    let invalid = invalidBefore;
    if (operations) {
      const { inputs, failures } = targeted
        ? await operations.check({ urn, news, randomSeed: registration.randomSeed, ...(!fresh && { olds: oldInputs }) })
        : { inputs: oldInputs, failures: [] };
      for (const failure of failures) say("error", checkFailureText(cell.state, goal.name, failure), urn);
      invalid ||= failures.length > 0;
      cell.state = { ...cell.state, inputs };
    }
    if (invalid) throw new ReportedError(`resource ${urn} is invalid`);
    if (targeted) untargeted.queueDependencies(cell.state);

    const { answer } = registration;
    if (old && !old.state.external && targeted && !registration.recreating && !isDeleted(urn, old)) {
      const trigger = goal.replacementTrigger;
      if (!dryRun && trigger !== undefined && containsUnknowns(trigger)) {
        identity.report(`replacement trigger contains unknowns for ${urn}`, urn);
      }
      const triggered =
        !ledger.imports.has(urn) && triggersReplacement(cell.state.replacementTrigger, old.state.replacementTrigger);
      const diff: Diff = triggered ? { ...noDiff, changes: "some" } : await compare(registration, old, oldInputs);
      return alone(() => afterDiff(registration, old, diff, triggered));
    }
    return alone(async () => {
      if (old && isDeleted(urn, old)) return recreate(registration, old);
      if (old?.state.external) {
        ledger.creates.add(urn);
        return createBeforeDelete({ urn, old, new: cell, goal, answer });
      }
      if (old && !targeted) return untargeted.sames(registration, old);
      if (!targeted) {
        ledger.sames.add(urn);
        ledger.skippedCreates.add(urn);
        return [{ op: "same", urn, old: { state: cell.state }, new: cell, skippedCreate: true, answer }];
      }
      noteTargeted(registration);
      ledger.creates.add(urn);
      return [{ op: "create", urn, new: cell, goal, answer }];
    });
  }

  function noteTargeted({ urn, new: cell }: Registration): void {
    if (ledger.targets.constrained && ledger.isIncluded(cell.state)) ledger.targetsActual.add(urn);
  }

  function withIgnored({ goal, urn }: Registration, oldInputs: PropertyMap): PropertyMap {
    const { inputs, invalid } = resetIgnored(goal.properties, oldInputs, goal.ignoreChanges);
    if (invalid.length > 0) {
      say("info", `cannot ignore changes in added or removed elements of the path: "${invalid.join(", ")}"`, urn);
    }
    return inputs;
  }

  /** It was deleted on the way, with a resource that had to go before its replacement. */
  function recreate({ urn, goal, new: next, answer }: Registration, old: Cell): Step[] {
    ledger.deletes.delete(urn);
    ledger.deletes.delete(old.state.urn);
    ledger.replaces.add(urn);
    const keys = ledger.dependentReplaceKeys.get(old.state.urn);
    return createAfterDelete({ urn, old, new: next, goal, answer, ...(keys && { keys }) });
  }

  async function compare(registration: Registration, old: Cell, oldInputs: PropertyMap): Promise<Diff> {
    const { goal, urn, operations } = registration;
    const newInputs = registration.new.state.inputs ?? {};
    const replaced = (key: string): Diff => ({ ...noDiff, changes: "some", replaceKeys: [key] });
    if (ledger.isReplaceTarget(urn, old.state)) return replaced("id");
    if (goal.replaceWith.some((other) => ledger.replaces.has(other))) return replaced("replaceWith");
    if (goal.deletedWith && ledger.replaces.has(goal.deletedWith)) return replaced("deletedWith");
    if (await providerChanged(deps, old.state, registration.new.state)) return replaced("provider");
    if (!operations) return deepEqual(oldInputs, newInputs) ? noDiff : { ...noDiff, changes: "some" };
    const { id = "", outputs: oldOutputs = {} } = old.state;
    const ignoreChanges = goal.ignoreChanges;
    const diff = await operations.diff({ urn, id, oldInputs, oldOutputs, newInputs, ignoreChanges });
    if (diff.unavailable) say("warning", diff.unavailable, urn);
    const ignored = resetIgnored(newInputs, oldInputs, ignoreChanges).inputs;
    return resolveUnknownDiff(diff, oldInputs, ignored);
  }

  async function afterDiff(registration: Registration, old: Cell, found: Diff, triggered: boolean): Promise<Step[]> {
    const { urn, goal, new: next, answer } = registration;
    noteTargeted(registration);
    if (isDeleted(urn, old)) return recreate(registration, old);
    const { op, diff } = decide(found, goal, old.state, triggered);
    if (op === "replace") return planReplacement(deps, registration, old, diff);
    if (op === "update") {
      ledger.updates.add(urn);
      return [{ op: "update", urn, old, new: next, goal, answer, ...shownDiff({ ...diff, replaceKeys: [] }) }];
    }
    if (ledger.imports.has(urn)) {
      registration.new = old;
      answer("success");
      return [];
    }
    ledger.sames.add(urn);
    return [{ op: "same", urn, old, new: next, goal, answer }];
  }

  /** In an operation on targets nothing may be done that needs a resource that is not to be created. */
  function validate(steps: Step[]): Step[] {
    const all = [...untargeted.takeQueued(), ...steps];
    if (!ledger.targets.constrained && !ledger.replaceTargets.constrained) return all;
    for (const step of all) {
      if (!step.new || step.skippedCreate) continue;
      const missing = untargeted.needed(step.new.state).find((urn) => ledger.skippedCreates.has(urn));
      if (missing === undefined) continue;
      const text = `Resource '${step.urn}' depends on '${missing}' which was was not specified in --target list.`;
      say("error", text, step.urn);
      deps.recordError(text);
      if (!dryRun) throw new ReportedError("untargeted create");
      ledger.skippedCreates.delete(missing);
    }
    return all;
  }

  /** Steps that depend on one that failed are left out (with continueOnError). */
  function runSteps(steps: Step[]): Promise<void> {
    for (const { urn } of executor.errored) skipped.add(urn);
    const left = steps.filter((step) => {
      if (skipped.size === 0) return true;
      const { state } = step.new ?? step.old ?? {};
      if (!state || !untargeted.needed(state, false).some((urn) => skipped.has(urn))) return true;
      skipped.add(step.urn);
      step.answer?.("skip");
      return false;
    });
    return left.length === 0 ? Promise.resolve() : executor.run(left);
  }

  async function read(goal: ReadGoal, answer: (result: ReadOutcome) => void): Promise<void> {
    const urn = claim(goal.parent, goal.type, goal.name);
    const { old, alias } = findOld(urn, { ...goal, aliases: [] });
    if (!goal.id) throw new Error(`Expected an ID for ${urn}`);
    if (goal.provider && !registry.get(goal.provider)) await untargeted.loadOldProvider(goal.provider);
    const next: Cell = { state: stateOfRead(goal, urn, alias) };
    const done = () => {
      const { id, outputs = {} } = next.state;
      answer({ urn, ...(id !== undefined && { id }), outputs });
    };
    if (old && !old.state.external && old.state.id !== goal.id) {
      ledger.replaces.add(urn);
      await runSteps([
        { op: "read-replacement", urn, old, new: next, answer: done },
        { op: "replace", urn, old, new: next, pending: true },
      ]);
      return;
    }
    ledger.reads.add(urn);
    await runSteps([{ op: "read", urn, new: next, answer: done, ...(old && { old }) }]);
  }

  return { register, read };
}

function registerResult({ state }: Cell, result: StepResult, unknown: boolean): RegisterResult {
  return {
    urn: state.urn,
    ...(state.id !== undefined && { id: state.id }),
    outputs: state.outputs ?? {},
    result,
    ...(unknown && { unknown: true }),
  };
}
