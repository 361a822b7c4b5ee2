/**
 * One deployment: what goes into a preview, update, refresh or destroy, and what comes out. Only the shapes are here;
 * run-deployment.ts runs it.
 */
import type { EmitEvent, StepOp } from "./events.ts";
import type { ProviderHost } from "./providers/provider.ts";
import type { Snapshot, StateWriter } from "./resource.ts";
import type { PropertyMap } from "./values.ts";

export interface DeploymentOptions {
  kind: "update" | "refresh" | "destroy";
  /** A preview: nothing is written, providers are called with `preview`. */
  dryRun: boolean;
  project: string;
  stack: string;
  /** Always "organization" with a file backend. */
  organization: string;
  /** Steps at a time; the CLI's default is 4 × cores, at least 16. */
  parallel: number;
  /** Keys are `project:name`; values as strings, objects as JSON; secrets in clear here. */
  config: { [key: string]: string };
  configSecretKeys: string[];
  /** The same as it may be shown: secrets masked, also those within objects. Where absent, secret keys are masked as a whole. */
  shownConfig?: { [key: string]: string };
  /** Refresh before the update or destroy. */
  refresh: boolean;
  /** URNs or globs (`**name`, `*`); empty = all. */
  targets: string[];
  targetDependents: boolean;
  /** URNs or globs to replace. */
  replaceTargets: string[];
  continueOnError: boolean;
  /** Where the project file is; asset paths are relative to `programDirectory`. */
  rootDirectory: string;
  programDirectory: string;
  /** What to run in `programDirectory`: the file name of `main`, or "." (also where absent). */
  entryPoint?: string;
  /** `runtime.options` of the project file. `typescript` is true where it is absent, as with the CLI. */
  runtimeOptions?: { typescript?: boolean; nodeargs?: string; tsconfig?: string };
}

export interface RunProgramRequest {
  monitorAddress: string;
  engineAddress: string;
  options: DeploymentOptions;
  /** Lines of the program's own output. */
  onOutput(stream: "stdout" | "stderr", line: string): void;
}

export interface RunningProgram {
  /** Resolves when the process has ended. */
  exited: Promise<{ code: number | null; signal: string | null }>;
  /** Ends it: SIGTERM, then SIGKILL after a moment. Resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts the user's program (program.ts: `@pulumi/pulumi/cmd/run`); a test may put something else in its place. */
export type RunProgram = (request: RunProgramRequest) => RunningProgram;

/** Reads another stack's outputs for a StackReference, secrets tagged; undefined where there is no such stack. */
export type ReadStackOutputs = (name: string) => Promise<PropertyMap | undefined>;

export interface DeploymentDeps {
  /** The state to begin from, secrets decrypted. */
  snapshot: Snapshot;
  /** Undefined in a preview. */
  state?: StateWriter;
  providers: ProviderHost;
  runProgram: RunProgram;
  readStackOutputs: ReadStackOutputs;
  emit: EmitEvent;
  /** First abort: finish what runs, start nothing new. */
  stop: AbortSignal;
  /** Second: providers are cancelled and the program killed at once. */
  terminate: AbortSignal;
  now(): Date;
}

export interface DeploymentResult {
  ok: boolean;
  /** True where the user interrupted it. */
  cancelled: boolean;
  snapshot: Snapshot;
  changes: { [op in StepOp]?: number };
}

export type RunDeployment = (options: DeploymentOptions, deps: DeploymentDeps) => Promise<DeploymentResult>;
