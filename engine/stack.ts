/**
 * A stack with all that belongs to it, opened for a command: project, backend, settings, secrets, state; and one update
 * of it, from the lock to the history entry.
 */
import { type Backend, openBackend, type StackReference } from "./backend.ts";
import type { Snapshot, StateWriter } from "./resource.ts";
import { loadProject, type Project } from "./project.ts";
import type { AskHidden, SecretsManager } from "./secrets.ts";
import type { StackConfig } from "./stack-config.ts";
import type { ProgramConfig } from "./stack-settings.ts";
import type { StepOp } from "./events.ts";

export interface Workspace {
  cwd: string;
  env: { [name: string]: string | undefined };
  project: Project;
  backend: Backend;
  ask: AskHidden;
}

/** Finds project and backend from `cwd` and the environment. */
export declare function openWorkspace(options: { cwd: string; env: Workspace["env"]; ask?: AskHidden }): Promise<Workspace>;

/**
 * The stack of `--stack`, or the selected one. It must exist. Throws the CLI's texts ("no stack selected; …",
 * "no stack named 'x' found").
 */
export declare function requireStack(workspace: Workspace, name?: string): Promise<StackReference>;

export interface OpenStack {
  ref: StackReference;
  config: StackConfig;
  /** Types checked, defaults applied, secrets in clear. */
  program: ProgramConfig;
  secrets: SecretsManager;
  /** Secrets in clear, tagged. */
  snapshot: Snapshot;
}

/** Reads everything for a preview or an update. A stack without a salt gets one, and its file is written. */
export declare function openStack(workspace: Workspace, ref: StackReference, options?: { configFile?: string }): Promise<OpenStack>;

export interface Update {
  stack: OpenStack;
  writer: StateWriter;
  /** Text for the user, e.g. that a lock of a dead process was taken over. */
  notes: string[];
  /**
   * Writes the last state, the history entry, the backup, and takes the lock away. `changes` counts per op as in the summary event.
   * Call it in every case; on an error before the deployment began call `abandon`.
   */
  finish(result: { ok: boolean; snapshot: Snapshot; changes: { [op in StepOp]?: number } }): Promise<void>;
  /** Only takes the lock away. */
  abandon(): Promise<void>;
}

/** Locks the stack, then reads it. The lock also goes at exit and on signals that end the process. */
export declare function beginUpdate(
  workspace: Workspace,
  ref: StackReference,
  options: {
    kind: "update" | "refresh" | "destroy";
    message?: string;
    /** Recorded in the history, e.g. `pulumi.flag.yes: "true"`. */
    environment: { [name: string]: string };
    configFile?: string;
    now(): Date;
  },
): Promise<Update>;

/** For StackReference: `name`, `project/name` or `organization/project/name`; undefined where there is no such stack. */
export { readStackOutputs } from "./backend.ts";
export { loadProject, openBackend };
