/** What preview, up, refresh and destroy share: lock, preview, ask, deploy, record, exit code. */
import type { Arguments } from "../args.ts";
import { engineVersion } from "../checkpoint.ts";
import type { DeploymentOptions, DeploymentResult } from "../deployment.ts";
import { type DisplayOptions, openDisplay, startTicking } from "../display/display.ts";
import { createRedactor } from "../display/redact.ts";
import { EngineError } from "../errors.ts";
import type { EngineEvent } from "../events.ts";
import {
  beginUpdate,
  type OpenStack,
  openStack,
  openWorkspace,
  requireStack,
  stackOutputsReader,
  type Update,
  type Workspace,
} from "../stack.ts";
import { untilTerminated } from "../termination.ts";
import { approve } from "./approve.ts";
import type { CommandContext } from "./context.ts";
import { listenForInterrupts } from "./interrupts.ts";
import { createLateProviders } from "./late-providers.ts";

type Kind = DeploymentOptions["kind"];

export interface Terminal {
  /** Standard output is a terminal. */
  output: boolean;
  colors: boolean;
  columns(): number;
  rows(): number;
}

export interface Operation {
  context: CommandContext;
  terminal: Terminal;
  args: Arguments;
  kind: Kind;
  /** `preview`, or `--preview-only`. */
  previewOnly: boolean;
}

const noConfirmation =
  "--yes or --skip-preview or --preview-only must be passed in to proceed when running in non-interactive mode";

/** Exit codes of the CLI (pkg/cmd/pulumi/cmd/exit_codes.go). */
const exitCodes = { failed: 1, usage: 2, changes: 7, cancelled: 8 } as const;

/** Runs it and returns the exit code. */
export async function runOperation(operation: Operation): Promise<number> {
  const { context, args, kind, previewOnly } = operation;
  const skipPreview = args.has("skip-preview");
  const approved = args.has("yes") || skipPreview || isTrue(context.env.PULUMI_SKIP_CONFIRMATIONS);
  if (!context.interactive && !approved && !previewOnly) throw new EngineError(noConfirmation, { exitCode: exitCodes.usage });
  if (skipPreview && args.has("preview-only"))
    throw new EngineError("--skip-preview and --preview-only cannot be used together");
  if (args.has("yes") && args.has("preview-only")) throw new EngineError("--yes and --preview-only cannot be used together");

  // Loading the engine and deriving the key from the passphrase take about as long: both at once.
  const loading = loadEngine();
  loading.catch(() => {});
  const workspace = await openWorkspace({ cwd: context.cwd, env: context.env, ask: context.askHidden });
  const ref = await requireStack(workspace, context.stack);
  if (previewOnly) {
    const stack = await openStack(workspace, ref, { configFile: context.configFile });
    const { result } = await deploy(operation, workspace, stack, await loading, undefined);
    return exitCode(operation, result);
  }
  const update = await beginUpdate(workspace, ref, {
    kind,
    message: args.text("message"),
    environment: historyEnvironment(operation),
    configFile: context.configFile,
    now: context.now,
  });
  let begun = false;
  try {
    for (const note of update.notes) context.err(`${note}\n`);
    if (!skipPreview) {
      const preview = await deploy(operation, workspace, update.stack, await loading, undefined);
      if (!preview.result.ok) return await left(update, exitCode(operation, preview.result));
      if (!approved && !(await approve(context, kind, () => details(operation, update.stack, preview.events)))) {
        context.out(`confirmation declined, not proceeding with the ${kind}\n`);
        return await left(update, exitCodes.failed);
      }
    }
    begun = true;
    const { result } = await deploy(operation, workspace, update.stack, await loading, update);
    await update.finish({ ok: result.ok, snapshot: result.snapshot, changes: result.changes });
    if (kind === "destroy" && result.ok && result.snapshot.resources.length === 0 && !args.has("json")) {
      context.out(
        "The resources in the stack have been deleted, but the history and configuration associated with the stack are still maintained. \n" +
          `If you want to remove the stack completely, run \`pulumi stack rm ${ref.name}\`.\n`,
      );
    }
    return exitCode(operation, result);
  } catch (error) {
    await update.abandon({ begun });
    throw error;
  }
}

async function left(update: Update, code: number): Promise<number> {
  await update.abandon();
  return code;
}

interface LoadedEngine {
  runDeployment: typeof import("../deploy.ts").runDeployment;
  runProgram: typeof import("../program.ts").runProgram;
}

async function loadEngine(): Promise<LoadedEngine> {
  const [{ runDeployment }, { runProgram }] = await Promise.all([import("../deploy.ts"), import("../program.ts")]);
  return { runDeployment, runProgram };
}

/** One deployment with its display; a preview where there is no update. */
async function deploy(
  operation: Operation,
  workspace: Workspace,
  stack: OpenStack,
  engine: LoadedEngine,
  update: Update | undefined,
): Promise<{ result: DeploymentResult; events: EngineEvent[] }> {
  const { context } = operation;
  const options = deploymentOptions(operation, workspace, stack, update === undefined);
  const display = await openDisplay(
    displayOptions(operation, stack, update === undefined),
    {
      out: context.out,
      err: context.err,
      columns: operation.terminal.columns,
      rows: operation.terminal.rows,
      nowMs: () => performance.timeOrigin + performance.now(),
    },
    createRedactor({ settings: secretSettings(stack), resources: stack.snapshot.resources }),
  );
  const events: EngineEvent[] = [];
  const emit = (event: EngineEvent): void => {
    if (update === undefined) events.push(event);
    display.event(event);
  };
  const stopTicking = startTicking(display);
  const interrupts = listenForInterrupts((text) => display.notice(text));
  const providers = createLateProviders({
    programDirectory: workspace.project.programDirectory,
    project: workspace.project.name,
  });
  try {
    const result = await engine.runDeployment(options, {
      snapshot: stack.snapshot,
      ...(update ? { state: update.writer } : {}),
      providers: providers.host,
      runProgram: (request) => {
        const program = engine.runProgram(request);
        providers.start();
        return program;
      },
      readStackOutputs: stackOutputsReader(workspace),
      emit,
      stop: interrupts.stop,
      terminate: interrupts.terminate,
      now: context.now,
    });
    return { result, events };
  } finally {
    stopTicking();
    display.close();
    await untilTerminated(providers.host.close(), interrupts.terminate);
    interrupts.close();
  }
}

function deploymentOptions(
  { context, args, kind }: Operation,
  { project }: Workspace,
  stack: OpenStack,
  dryRun: boolean,
): DeploymentOptions {
  return {
    kind,
    dryRun,
    project: project.name,
    stack: stack.ref.name,
    organization: "organization",
    parallel: args.count("parallel") ?? defaultParallel(context.env),
    config: stack.program.config,
    configSecretKeys: stack.program.configSecretKeys,
    shownConfig: stack.program.shownConfig,
    refresh: kind !== "refresh" && (args.truth("refresh") ?? project.refreshAlways),
    targets: args.list("target"),
    targetDependents: args.has("target-dependents"),
    replaceTargets: args.list("replace"),
    continueOnError: args.truth("continue-on-error") ?? isTrue(context.env.PULUMI_CONTINUE_ON_ERROR),
    rootDirectory: project.directory,
    programDirectory: project.programDirectory,
    entryPoint: project.entryPoint,
    runtimeOptions: project.runtimeOptions,
  };
}

function displayOptions({ context, terminal, args, kind }: Operation, stack: OpenStack, isPreview: boolean): DisplayOptions {
  return {
    kind,
    isPreview,
    project: stack.ref.project,
    stack: stack.ref.name,
    diff: args.has("diff"),
    json: args.has("json"),
    interactive: terminal.output && context.interactive,
    colors: terminal.colors,
    showSames: args.has("show-sames"),
    showReads: args.has("show-reads"),
    showReplacementSteps: args.has("show-replacement-steps"),
    showConfig: args.has("show-config"),
    showSecrets: args.has("show-secrets"),
    suppressOutputs: args.has("suppress-outputs"),
    suppressProgress: args.has("suppress-progress"),
    fullOutput: args.has("show-full-output"),
    debug: args.has("debug"),
  };
}

async function details(operation: Operation, stack: OpenStack, events: EngineEvent[]): Promise<string> {
  const { detailsText } = await import("../display/display.ts");
  return detailsText(events, displayOptions(operation, stack, true));
}

function secretSettings({ program }: OpenStack): string[] {
  return program.configSecretKeys.map((key) => program.config[key] ?? "");
}

function exitCode({ args, kind, previewOnly }: Operation, result: DeploymentResult): number {
  if (!result.ok) {
    if (!result.cancelled) return exitCodes.failed;
    throw new EngineError(`${kind} cancelled`, { exitCode: exitCodes.cancelled });
  }
  if (!args.has("expect-no-changes")) return 0;
  const { same: _same, read: _read, "read-discard": _discard, "read-replacement": _replacement, ...changes } = result.changes;
  if (Object.values(changes).every((count) => !count)) return 0;
  const what = previewOnly ? "preview" : kind;
  throw new EngineError(`no changes were expected for ${what} but changes were proposed`, { exitCode: exitCodes.changes });
}

/** Four for each core, at least 16, as the CLI has it. */
function defaultParallel(env: CommandContext["env"]): number {
  const wanted = Number(env.PULUMI_PARALLEL);
  return Number.isInteger(wanted) && wanted > 0 ? wanted : Math.max(16, 4 * navigator.hardwareConcurrency);
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|t|true)$/i.test(value);
}

/** What the history says of how an update was started; values of variables are never recorded. */
function historyEnvironment({ args, kind, context: { env } }: Operation): { [name: string]: string } {
  const out: { [name: string]: string } = {
    "exec.kind": "cli",
    "pulumi.arch": process.arch === "x64" ? "amd64" : process.arch,
    "pulumi.os": process.platform,
    "pulumi.version": engineVersion,
    "stack.environments": "[]",
    updatePlan: "false",
  };
  if (kind === "update") {
    out["runtime.name"] = "nodejs";
    out["runtime.executable"] = process.execPath;
    out["runtime.version"] = process.version;
  }
  for (const flag of args.given) {
    const [, name = "", value = "true"] = /^--([^=]+)(?:=(.*))?$/s.exec(flag) ?? [];
    if (name !== "message") out[`pulumi.flag.${name}`] = value;
  }
  for (const name of Object.keys(env)) if (name.startsWith("PULUMI_")) out[`pulumi.env.${name}`] = "set";
  return out;
}
