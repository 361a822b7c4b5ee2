/** One deployment from its first event to its last: refresh, the program, deletions, the judgement. */
import type { ApplyContext } from "./apply-step.ts";
import { builtinPackage, createBuiltinProvider } from "./builtins.ts";
import { deleteUnregistered } from "./deletion.ts";
import type { Cell } from "./dependency-graph.ts";
import { dependenciesOf } from "./dependency-graph.ts";
import type { DeploymentDeps, DeploymentOptions, DeploymentResult, RunDeployment } from "./deployment.ts";
import { blinded, pendingOperationsText, refuseDeleteHooks, withProviderOutputs } from "./deployment-start.ts";
import { EngineError } from "./errors.ts";
import type { StepOp } from "./events.ts";
import { createExecutor, type Executor, type ExecutorOptions } from "./executor.ts";
import { createInterrupted } from "./interrupted.ts";
import { createLedger, indexState } from "./ledger.ts";
import { createProviderRegistry } from "./provider-registry.ts";
import { rebuildState } from "./refresh.ts";
import { createRegistrar, type RegisterDeps, ReportedError } from "./register.ts";
import { makeUrn, parseUrn, stackType, type Urn } from "./resource.ts";
import type { HookRunner, ProgramOutcome, RegistrationSink, Source, StartSource } from "./source.ts";
import { createStateKeeper } from "./state-keeper.ts";
import type { Step } from "./steps.ts";
import { untilTerminated } from "./termination.ts";
import type { PropertyMap } from "./values.ts";

export const createRunDeployment =
  (startSource: StartSource): RunDeployment =>
  (options, deps) =>
    deploy(startSource, options, deps);

async function deploy(startSource: StartSource, options: DeploymentOptions, deps: DeploymentDeps): Promise<DeploymentResult> {
  const { emit, now, stop, terminate } = deps;
  const { dryRun } = options;
  const started = now().getTime();
  const changes: { [op in StepOp]?: number } = {};
  const lateErrors: Error[] = [];
  const interrupted = Promise.withResolvers<void>();
  let source: Source | undefined;
  let executor: Executor | undefined;
  let bailed: Error | undefined;
  let recorded = false;
  let maybeCorrupt = false;
  let stackOutputs: { urn: Urn; outputs: PropertyMap } | undefined;

  const say: ApplyContext["say"] = (severity, message, urn) =>
    emit({ kind: "diagnostic", severity, message, ...(urn !== undefined && { urn }) });
  emit({ kind: "prelude", config: blinded(options) });

  const baseCells = deps.snapshot.resources.map((state): Cell => ({ state: withProviderOutputs(state) }));
  const keeper = createStateKeeper(deps.snapshot, baseCells, dryRun ? undefined : deps.state);
  const ledger = createLedger(indexState(baseCells), options);
  const builtin = createBuiltinProvider({
    readStackOutputs: deps.readStackOutputs,
    lookUp: (urn) => ledger.news.get(urn)?.state,
  });
  const registry = createProviderRegistry({
    host: {
      load: async (pkg, version, log) => (pkg === builtinPackage ? builtin : deps.providers.load(pkg, version, log)),
    },
    dryRun,
    log: ({ severity, message, urn, ephemeral }) =>
      emit({ kind: "diagnostic", severity, message, ...(urn && { urn }), ...(ephemeral && { ephemeral }) }),
    signal: terminate,
  });
  const loading = new Map<string, Promise<void>>();
  const context: ApplyContext = {
    dryRun,
    registry,
    hooks: () => source?.hooks ?? noHooks,
    say,
    recordLateError: (error) => lateErrors.push(error),
    isDeleted: (urn) => ledger.deletes.has(urn),
    now,
  };

  async function ensureProvider(reference: string | undefined): Promise<void> {
    if (!reference || registry.get(reference)) return;
    let load = loading.get(reference);
    if (!load) {
      const cell = ledger.old.cells.find(({ state }) => `${state.urn}::${state.id}` === reference);
      if (!cell) throw new Error(`could not find provider ${reference}`);
      load = registry.same(cell.state, false);
      loading.set(reference, load);
    }
    await load;
  }

  const operations = dryRun ? [] : deps.snapshot.pendingOperations;
  const left = createInterrupted({ operations, ledger, keeper, registry, stop, say, ensureProvider });

  function startExecutor(more: Pick<ExecutorOptions, "ignoreErrors" | "countRefreshes">): Executor {
    const made = createExecutor(
      { parallel: options.parallel, dryRun, continueOnError: options.continueOnError, ...more },
      { context, keeper, ledger, emit, changes, terminated: () => terminate.aborted, lateError: () => lateErrors[0] },
    );
    made.whenHalted.then(interrupted.resolve);
    if (stop.aborted) made.halt();
    executor = made;
    return made;
  }

  function bail(error: unknown, urn: Urn | undefined): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    if (bailed || stop.aborted) return;
    bailed = failure;
    if (!(failure instanceof ReportedError)) say("error", failure.message, urn);
    executor?.halt();
    interrupted.resolve();
  }

  function checkTargetsExist(literals: Urn[]): boolean {
    const missing = literals.filter((urn) => !ledger.old.all.has(urn) && !ledger.urns.has(urn));
    for (const urn of missing) {
      const hint = urn.includes("$") ? "" : " Did you forget to escape $ in your shell?";
      say("error", `Target '${urn}' could not be found in the stack.${hint}`);
    }
    return missing.length === 0;
  }

  /** Reads all that is meant, or only what asked to be read before updates. */
  async function refresh(onlyRequested: boolean): Promise<void> {
    const running = startExecutor({ ignoreErrors: true, countRefreshes: options.kind === "refresh" });
    const steps = new Map<Cell, Step>();
    const targets = ledger.targets.clone();
    for (const cell of ledger.old.cells) {
      const { urn, provider, refreshBeforeUpdate } = cell.state;
      if (onlyRequested && !refreshBeforeUpdate) continue;
      const depends = () => dependenciesOf(cell.state).some((dependency) => targets.contains(dependency.urn));
      if (!targets.contains(urn)) {
        if (!options.targetDependents || !depends()) continue;
        targets.add(urn);
      }
      await ensureProvider(provider);
      steps.set(cell, { op: "refresh", urn, old: cell, new: cell });
    }
    await Promise.all([...steps.values()].map((step) => running.run([step])));
    await running.idle();
    const cells = rebuildState(ledger.old.cells, steps);
    ledger.old = indexState(cells);
    keeper.rebase(cells);
    maybeCorrupt ||= running.maybeCorrupt();
  }

  async function work(): Promise<void> {
    const limited = [...ledger.targets.literals()].filter((urn) => !ledger.old.all.has(urn));
    if (options.kind !== "update" && limited[0] !== undefined) throw new EngineError(`no resource named '${limited[0]}' found`);
    if (options.kind === "destroy") refuseDeleteHooks(baseCells, say);
    if (options.kind === "refresh" || options.refresh) {
      await refresh(false);
      if (options.kind === "refresh" || executor?.error() || stop.aborted) return;
    } else if (baseCells.some(({ state }) => state.refreshBeforeUpdate)) {
      await refresh(true);
      if (executor?.error() || stop.aborted) return;
    } else if (operations.length > 0) {
      say("warning", pendingOperationsText(operations, await left.isOurs()));
    }
    if (options.kind === "update") await left.makeRoom();
    if (!checkTargetsExist(ledger.replaceTargets.literals())) throw new ReportedError("missing target");

    const running = startExecutor({ ignoreErrors: false, countRefreshes: false });
    const registering: RegisterDeps = {
      project: options.project,
      stack: options.stack,
      dryRun,
      targetDependents: options.targetDependents,
      ledger,
      registry,
      executor: running,
      say,
      recordError: () => {
        recorded = true;
      },
      ensureProvider,
    };
    let complete = true;
    if (options.kind === "update") {
      source = await startSource(options, { sink: createSink(registering, running), runProgram: deps.runProgram, emit });
      const outcome = await Promise.race([source.registered, interrupted.promise]);
      if (outcome && !outcome.ok) bail(new (outcome.message ? Error : ReportedError)(outcome.message ?? "program"), undefined);
      complete = outcome?.ok ?? false;
    }
    if (complete && !running.halted()) {
      const targetsExist = checkTargetsExist(ledger.targets.literals());
      await left.takeAway();
      await Promise.race([deleteUnregistered(registering), interrupted.promise]);
      if (!targetsExist) bailed ??= new ReportedError("missing target");
    }
    await running.idle();
    await left.settle();
  }

  function createSink(registering: RegisterDeps, running: Executor): RegistrationSink {
    const registrar = createRegistrar(registering);
    const urnOf = (goal: { parent?: Urn; type: string; name: string }) =>
      makeUrn(options.stack, options.project, goal.parent, goal.type, goal.name);
    /** Once nothing new is started, requests stay unanswered. */
    const pending = <T>(
      goal: { parent?: Urn; type: string; name: string },
      run: (answer: (value: T) => void) => Promise<void>,
    ) =>
      new Promise<T>((resolve) => {
        if (!running.halted()) run(resolve).catch((error) => bail(error, urnOf(goal)));
      });
    return {
      registerResource: (goal) => pending(goal, (answer) => registrar.register(goal, answer)),
      readResource: (goal) => pending(goal, (answer) => registrar.read(goal, answer)),
      async registerOutputs(urn, outputs) {
        if (parseUrn(urn).qualifiedType === stackType) {
          stackOutputs = { urn, outputs };
          return;
        }
        if (running.halted()) await new Promise(() => {});
        try {
          await running.registerOutputs(urn, outputs);
        } catch (error) {
          bail(error, urn);
          await new Promise(() => {});
        }
      },
      async invoke({ tok, args, provider }) {
        const client = registry.get(provider);
        if (!client) throw new Error(`unknown provider '${provider}'`);
        return client.invoke(tok, args);
      },
    };
  }

  const failed = () => bailed !== undefined || executor?.error() !== undefined || recorded || lateErrors.length > 0;

  /** Outputs of a program that did not get to its end say nothing of those that are missing. */
  async function finishStackOutputs(): Promise<void> {
    if (!stackOutputs || !executor) return;
    const { urn, outputs } = stackOutputs;
    const before = ledger.old.byUrn.get(urn)?.state.outputs ?? {};
    await executor.registerOutputs(urn, failed() || stop.aborted ? { ...before, ...outputs } : outputs);
  }

  function judge(): void {
    const kind = dryRun ? "preview" : "update";
    if (bailed) return;
    if (failed()) say("error", `${kind} failed`);
    else if (stop.aborted) say("error", `${kind} canceled`);
  }

  async function run(): Promise<void> {
    try {
      await work();
    } catch (error) {
      bail(error, undefined);
      await executor?.idle();
    }
    if (terminate.aborted) return;
    await finishStackOutputs().catch((error) => bail(error, undefined));
    if (source && !failed() && !stop.aborted) {
      const outcome = await source.finish().catch((error): ProgramOutcome => ({ ok: false, message: String(error) }));
      if (!outcome.ok) bail(new (outcome.message ? Error : ReportedError)(outcome.message ?? "program"), undefined);
    } else await source?.cancel();
    judge();
    if (!dryRun) await keeper.flush().catch((error) => bail(error, undefined));
  }

  const onStop = () => {
    executor?.halt();
    interrupted.resolve();
    void registry.cancel();
  };
  const terminated = Promise.withResolvers<void>();
  const onTerminate = () => {
    executor?.halt();
    terminated.resolve();
  };
  stop.addEventListener("abort", onStop, { once: true });
  terminate.addEventListener("abort", onTerminate, { once: true });
  if (stop.aborted) onStop();
  try {
    await Promise.race([run(), terminated.promise]);
  } finally {
    stop.removeEventListener("abort", onStop);
    terminate.removeEventListener("abort", onTerminate);
    const closed = terminate.aborted ? Promise.allSettled([source?.cancel(), registry.close()]) : registry.close();
    await untilTerminated(closed, terminate);
  }
  maybeCorrupt ||= executor?.maybeCorrupt() ?? false;
  const durationSeconds = Math.round((now().getTime() - started) / 1000);
  emit({ kind: "summary", isPreview: dryRun, durationSeconds, changes, maybeCorrupt });
  emit({ kind: "cancel" });
  // A failure trumps the interruption that may have caused it.
  const cancelled = !failed() && (stop.aborted || terminate.aborted);
  return { ok: !failed() && !cancelled, cancelled, snapshot: keeper.snapshot(), changes };
}

const noHooks: HookRunner = {
  run: async () => {},
  runError: async () => false,
};
