/** Runs steps, so many at a time: events, the record of what is under way, the step itself, the record of its result. */
import { type ApplyContext, applyStep, ProtectedError } from "./apply-step.ts";
import type { Cell } from "./dependency-graph.ts";
import type { EmitEvent, StepOp } from "./events.ts";
import type { Ledger } from "./ledger.ts";
import { deepEqual, markSecretOutputs } from "./properties.ts";
import { isProviderType } from "./provider-reference.ts";
import { ProviderError } from "./providers/provider.ts";
import { refreshResult } from "./refresh.ts";
import type { OperationKind, Urn } from "./resource.ts";
import type { StateKeeper } from "./state-keeper.ts";
import { runAfterHook } from "./step-hooks.ts";
import { differs, readChanged } from "./step-result.ts";
import { describeStep, isInternal, isLogical, type Step, stepCell } from "./steps.ts";
import type { PropertyMap } from "./values.ts";

export interface ExecutorOptions {
  parallel: number;
  dryRun: boolean;
  continueOnError: boolean;
  /** Refreshes: one that fails does not keep the others from running. */
  ignoreErrors: boolean;
  /** A refresh operation: refreshes count as what they found. */
  countRefreshes: boolean;
}

export interface ExecutorDeps {
  context: ApplyContext;
  keeper: StateKeeper;
  ledger: Ledger;
  emit: EmitEvent;
  changes: { [op in StepOp]?: number };
  /** The user wants an end at once: nothing more is recorded, so that what was under way stays on record. */
  terminated(): boolean;
  lateError(): Error | undefined;
}

export interface Executor {
  /** Runs the steps one after another; resolves when they ended, whichever way. */
  run(chain: Step[]): Promise<void>;
  /** Starts nothing new. */
  halt(): void;
  halted(): boolean;
  /** Resolves when it was halted. */
  whenHalted: Promise<void>;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
  /** The first error. */
  error(): Error | undefined;
  /** Steps that failed while the rest went on. */
  errored: Step[];
  maybeCorrupt(): boolean;
  /** Outputs of a component, which come after its registration. */
  registerOutputs(urn: Urn, outputs: PropertyMap): Promise<void>;
}

const operationKinds: { [op in StepOp]?: OperationKind } = {
  create: "creating",
  "create-replacement": "creating",
  update: "updating",
  delete: "deleting",
  "delete-replaced": "deleting",
  "discard-replaced": "deleting",
  "read-discard": "deleting",
  read: "reading",
  "read-replacement": "reading",
  import: "importing",
  "import-replacement": "importing",
};

/** Only what a provider does to the world outside has to be on record before it begins. */
function operationKind(step: Step): OperationKind | undefined {
  const { state } = stepCell(step);
  return state.custom && !isProviderType(state.type) ? operationKinds[step.op] : undefined;
}

export function createExecutor(options: ExecutorOptions, deps: ExecutorDeps): Executor {
  const { context, keeper, ledger, emit, changes } = deps;
  const { dryRun } = options;
  /** Steps whose resource may still get outputs. */
  const registered = new Map<Urn, Step>();
  const errored: Step[] = [];
  const running = new Set<Promise<void>>();
  const waiting: (() => void)[] = [];
  let free = Math.max(1, options.parallel);
  let halted = false;
  const whenHalted = Promise.withResolvers<void>();
  let firstError: Error | undefined;
  let maybeCorrupt = false;

  function halt(): void {
    halted = true;
    whenHalted.resolve();
    for (const wake of waiting.splice(0)) wake();
  }
  async function acquire(): Promise<boolean> {
    if (halted) return false;
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return !halted;
  }
  function release(): void {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }

  async function runChain(chain: Step[]): Promise<void> {
    if (!(await acquire())) return;
    try {
      for (const [index, step] of chain.entries()) {
        if (halted) return;
        const error = await execute(step);
        // What became of the step nobody knows: that it was begun stays in the state.
        if (deps.terminated()) return;
        if (!error) continue;
        fail(error, step, chain.slice(index + 1));
        return;
      }
    } finally {
      release();
    }
  }

  function fail(error: Error, step: Step, rest: Step[]): void {
    firstError ??= error;
    if (options.ignoreErrors) return;
    if (!options.continueOnError && !(error instanceof ProtectedError)) {
      halt();
      return;
    }
    // A registration may hang on a later step of the chain (deletions before a replacement): it has failed with this one.
    for (const lost of [step, ...rest.filter(({ answer }) => answer)]) {
      errored.push(lost);
      lost.answer?.("fail");
    }
  }

  async function execute(step: Step): Promise<Error | undefined> {
    const internal = isInternal(step) && { internal: true };
    emit({ kind: "resource-pre", step: describeStep(step), planning: dryRun, ...internal });
    const operation = dryRun ? undefined : operationKind(step);
    const cell = stepCell(step);
    let failure: Error | undefined;
    let kept = false;
    try {
      if (step.op === "update" && step.old?.state.id !== undefined) cell.state = { ...cell.state, id: step.old.state.id };
      if (operation) await keeper.begin(cell, operation);
      const { partial } = await applyStep(step, context);
      failure = partial;
      kept = true;
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    if (deps.terminated()) return failure;
    if (kept) keepResult(step, failure === undefined);
    if (failure) reportFailure(step, failure);
    else reportSuccess(step);
    try {
      const unfinished = failure instanceof ProviderError && failure.unfinished === true;
      if (unfinished && operation === "creating" && !kept) await keeper.leave(cell);
      else await record(step, cell, kept, operation !== undefined);
    } catch (error) {
      const lost = error instanceof Error ? error : new Error(String(error));
      context.say("error", lost.message, step.urn);
      // Without a state there is no going on.
      halt();
      return lost;
    }
    if (failure) return failure;
    step.answer?.("success");
    if (!options.continueOnError && deps.lateError()) halt();
    return undefined;
  }

  function keepResult(step: Step, ok: boolean): void {
    const { new: next } = step;
    if (!next) return;
    if (ok && isLogical(step.op)) registered.set(step.urn, step);
    if (step.op === "replace") return;
    const { outputs = {}, inputs = {}, additionalSecretOutputs } = next.state;
    if (additionalSecretOutputs?.includes("id")) {
      context.say("warning", "The 'id' property cannot be made secret. See pulumi/pulumi#2717 for more details.", step.urn);
    }
    const marked = markSecretOutputs(outputs, inputs, additionalSecretOutputs);
    if (marked !== outputs) next.state = { ...next.state, outputs: marked };
    ledger.news.set(step.urn, next);
  }

  function reportFailure(step: Step, error: Error): void {
    if (error instanceof ProviderError && error.code === "failed") maybeCorrupt = true;
    const internal = isInternal(step);
    context.say("error", dryRun ? `Preview failed: ${error.message}` : error.message, internal ? undefined : step.urn);
    if (!dryRun && !internal) emit({ kind: "resource-failed", step: describeStep(step), error: error.message });
  }

  function reportSuccess(step: Step): void {
    const refreshed = step.op === "refresh" && options.countRefreshes;
    const op = refreshed ? refreshResult(step) : step.op;
    const counted = step.op === "read" ? readChanged(step) : refreshed || isLogical(step.op);
    const internal = isInternal(step);
    if (counted && !internal) changes[op] = (changes[op] ?? 0) + 1;
    const { custom } = stepCell(step).state;
    if (dryRun || custom || refreshed || step.op === "delete") {
      emit({ kind: "resource-outputs", step: describeStep(step, op), planning: dryRun, ...(internal && { internal: true }) });
    }
  }

  async function record(step: Step, cell: Cell, kept: boolean, begun: boolean): Promise<void> {
    const { old, new: next } = step;
    const operation = begun ? { operation: cell } : {};
    if (!kept) {
      if (begun) await keeper.end({ ...operation, write: true });
      return;
    }
    switch (step.op) {
      case "same":
        if (step.skippedCreate || !old || !next) return;
        return keeper.end({ done: [old], added: next, write: differs(old.state, next.state) });
      case "create":
      case "create-replacement":
        return keeper.end({ ...operation, added: cell, done: old?.state.pendingReplacement ? [old] : [], write: true });
      case "update":
      case "read":
      case "read-replacement": {
        const replaced = step.op === "read-replacement";
        return keeper.end({ ...operation, added: cell, done: replaced ? [] : [old], write: true });
      }
      case "import":
      case "import-replacement":
        return keeper.end({ ...operation, added: cell, write: true });
      case "delete":
      case "delete-replaced":
      case "discard-replaced":
      case "read-discard":
        return keeper.end({ ...operation, done: old?.state.pendingReplacement ? [] : [old], write: true });
      case "remove-pending-replace":
        return keeper.end({ done: [old], write: true });
      case "replace":
      case "refresh":
        return;
    }
  }

  async function registerOutputs(urn: Urn, outputs: PropertyMap): Promise<void> {
    const step = registered.get(urn);
    if (!step?.new) throw new Error(`cannot complete a resource '${urn}' whose registration isn't pending`);
    registered.delete(urn);
    if (step.skippedCreate) return;
    step.new.state = { ...step.new.state, outputs };
    const { custom } = step.new.state;
    if (!custom && step.op === "create") await runAfterHook("afterCreate", step.goal?.hooks?.afterCreate ?? [], step, context);
    if (!custom && step.op === "update") await runAfterHook("afterUpdate", step.goal?.hooks?.afterUpdate ?? [], step, context);
    const internal = isInternal(step) && { internal: true };
    emit({ kind: "resource-outputs", step: describeStep(step), planning: dryRun, ...internal });
    if (!options.continueOnError && deps.lateError()) halt();
    if (!step.old || !deepEqual(step.old.state.outputs ?? {}, outputs)) await keeper.touch();
  }

  return {
    run(chain) {
      const run = runChain(chain);
      running.add(run);
      return run.finally(() => running.delete(run));
    },
    halt,
    halted: () => halted,
    whenHalted: whenHalted.promise,
    async idle() {
      while (running.size > 0) await Promise.allSettled([...running]);
    },
    error: () => firstError,
    errored,
    maybeCorrupt: () => maybeCorrupt,
    registerOutputs,
  };
}
