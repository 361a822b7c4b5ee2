/**
 * A stack with all that belongs to it, opened for a command: project, backend, settings, secrets, state; and one update
 * of it, from the lock to the history entry.
 */
import { basename, dirname } from "node:path";
import {
  type Backend,
  openBackend,
  readStackOutputs as readOutputs,
  removeLeftovers,
  type StackReference,
  stackNotFound,
} from "./backend.ts";
import { decodeDeployment, type StoredCheckpoint } from "./checkpoint.ts";
import { hasSecure } from "./config-values.ts";
import type { ReadStackOutputs } from "./deployment.ts";
import { EngineError } from "./errors.ts";
import type { StepOp } from "./events.ts";
import { historyConfig, recordUpdate } from "./history.ts";
import { findProblem, verifySnapshot } from "./integrity.ts";
import { lockStack } from "./locks.ts";
import { loadProject, type Project } from "./project.ts";
import type { Snapshot, StateWriter } from "./resource.ts";
import { type AskHidden, createSecrets, openSecrets, type SecretsManager } from "./secrets.ts";
import { selectedStack } from "./selected-stack.ts";
import { loadStackConfig, type StackConfig } from "./stack-config.ts";
import { mergedConfig, type ProgramConfig, programConfig } from "./stack-settings.ts";
import { createStateWriter } from "./state.ts";

export interface Workspace {
  cwd: string;
  env: { [name: string]: string | undefined };
  project: Project;
  backend: Backend;
  ask: AskHidden;
}

export interface OpenStack {
  ref: StackReference;
  config: StackConfig;
  /** Types checked, defaults applied, secrets in clear. */
  program: ProgramConfig;
  secrets: SecretsManager;
  /** Secrets in clear, tagged. */
  snapshot: Snapshot;
  checkpoint: StoredCheckpoint;
}

export interface Update {
  stack: OpenStack;
  writer: StateWriter;
  /** Texts for the user, e.g. that the lock of a dead process was taken over. */
  notes: string[];
  /**
   * Writes the last state, the history entry and the backup, and takes the lock away. `changes` counts per op as in the
   * summary event. Call it in every case; where the deployment never began, call `abandon`.
   */
  finish(result: { ok: boolean; snapshot: Snapshot; changes: { [op in StepOp]?: number } }): Promise<void>;
  /** Takes the lock away; an update that had begun and was not finished is in the history as failed, where that can be written. */
  abandon(options?: { begun: boolean }): Promise<void>;
}

/** Finds project and backend from `cwd` and the environment. */
export async function openWorkspace(options: { cwd: string; env: Workspace["env"]; ask?: AskHidden }): Promise<Workspace> {
  const project = await loadProject(options.cwd);
  const backend = await openBackend({ env: options.env, project, cwd: options.cwd });
  return { cwd: options.cwd, env: options.env, project, backend, ask: options.ask };
}

/**
 * The stack of `--stack`, or the selected one. It must exist: otherwise the CLI's texts ("no stack selected; …", "no stack
 * named 'x' found"). `offerNew` is for commands where the CLI would offer to make one; it changes the text only.
 */
export async function requireStack(
  workspace: Workspace,
  name?: string,
  options: { offerNew?: boolean } = {},
): Promise<StackReference> {
  const { backend, project, env } = workspace;
  if (name !== undefined && name !== "") {
    const ref = backend.reference(name);
    if (!(await backend.exists(ref))) throw stackNotFound(name);
    return ref;
  }
  const selected = await selectedStack(project, backend, env);
  const ref = selected === undefined ? undefined : backend.reference(selected);
  if (ref && (await backend.exists(ref))) return ref;
  const ways = options.offerNew === false ? "`pulumi stack select`" : "`pulumi stack select` or `pulumi stack init`";
  throw new EngineError(`no stack selected; please use ${ways} to choose one`);
}

/** Reads everything for a preview or an update. A stack without a salt gets one, and its file is written. */
export async function openStack(
  workspace: Workspace,
  ref: StackReference,
  options: { configFile?: string } = {},
): Promise<OpenStack> {
  const config = await loadStackConfig(workspace.project, ref.name, options.configFile);
  // The key takes a while to derive: meanwhile the state is read.
  const early = config.encryptionSalt
    ? openSecrets(config.encryptionSalt, workspace.env, secretsOptions(workspace, config))
    : undefined;
  const checkpoint = await workspace.backend.read(ref);
  const secrets = await (early ?? stackSecrets(workspace, config, checkpoint));
  const program = programConfig(workspace.project, workspace.backend.display(ref), config, secrets);
  const snapshot = await decodeSnapshot(workspace, checkpoint, secrets);
  return { ref, config, program, secrets, snapshot, checkpoint };
}

/** The state, decrypted and verified; empty for a stack that never had a deployment. */
export async function decodeSnapshot(
  workspace: Workspace,
  checkpoint: StoredCheckpoint,
  secrets?: SecretsManager,
  options: { verify?: boolean } = {},
): Promise<Snapshot> {
  const { latest, path } = checkpoint;
  if (!latest) return { resources: [], pendingOperations: [] };
  const salt = latest.secretsProvider?.salt;
  let manager = secrets;
  if (salt && salt !== secrets?.salt) {
    manager = await openSecrets(salt, workspace.env, { source: `${path}: 'secrets_providers.state.salt'`, ask: workspace.ask });
  }
  const snapshot = decodeDeployment(path, latest, manager);
  if (options.verify !== false) verifySnapshot(path, latest, snapshot);
  return snapshot;
}

/** The stack's secrets; where it has none yet, those of its state, otherwise new ones. The salt is kept in the stack file. */
export async function stackSecrets(
  workspace: Workspace,
  config: StackConfig,
  checkpoint: StoredCheckpoint | undefined,
): Promise<SecretsManager> {
  if (config.encryptionSalt) return openSecrets(config.encryptionSalt, workspace.env, secretsOptions(workspace, config));
  for (const [key, value] of config.values) {
    if (hasSecure(value) && !checkpoint?.latest?.secretsProvider?.salt) {
      throw new EngineError(
        `${config.at(key)}: '${key}' is encrypted, but the file has no 'encryptionsalt'; restore the line from a backup`,
      );
    }
  }
  const stored = checkpoint?.latest?.secretsProvider?.salt;
  const secrets = stored
    ? await openSecrets(stored, workspace.env, {
        source: `${checkpoint?.path}: 'secrets_providers.state.salt'`,
        ask: workspace.ask,
      })
    : await createSecrets(workspace.env, workspace.ask);
  config.setEncryptionSalt(secrets.salt);
  await config.save();
  return secrets;
}

function secretsOptions(workspace: Workspace, config: StackConfig): { source: string; ask: AskHidden } {
  return { source: `${config.file}: 'encryptionsalt'`, ask: workspace.ask };
}

/** Locks the stack, then reads it. The lock also goes at exit and on signals that end the process. */
export async function beginUpdate(
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
): Promise<Update> {
  const { backend, env, project } = workspace;
  const started = options.now();
  const lock = await lockStack(backend, ref, started);
  try {
    const stack = await openStack(workspace, ref, options);
    const file = await backend.stateFile(ref);
    await removeLeftovers(dirname(file.path), basename(file.path));
    const { latest, features } = stack.checkpoint;
    const frame = { stack: ref.qualified, secrets: stack.secrets, extras: latest?.extras, features };
    const writer = createStateWriter(file, frame, options.now);
    let recorded = false;
    const record = async (ok: boolean, changes: { [op in StepOp]?: number }): Promise<void> => {
      recorded = true;
      const resourceChanges: { [op: string]: number } = {};
      for (const [op, count] of Object.entries(changes))
        if (count) resourceChanges[op === "read-discard" ? "discard" : op] = count;
      await recordUpdate(
        backend,
        ref,
        {
          kind: options.kind,
          startTime: Math.floor(started.getTime() / 1000),
          message: options.message ?? "",
          environment: options.environment,
          config: historyConfig(mergedConfig(project, stack.config)),
          version: 0,
          result: ok ? "succeeded" : "failed",
          endTime: Math.floor(options.now().getTime() / 1000),
          resourceChanges,
        },
        env,
        options.now(),
      );
    };
    /** What went wrong before says more than that the history cannot be written either. */
    const recordFailure = async (changes: { [op in StepOp]?: number }): Promise<void> => {
      if (!recorded) await record(false, changes).catch(() => {});
    };
    return {
      stack,
      writer,
      notes: lock.notes,
      async finish({ ok, snapshot, changes }) {
        try {
          await writer.close(snapshot);
          const problem = findProblem(snapshot);
          if (problem) {
            throw new EngineError(
              `${file.path}: snapshot integrity failure; it was already written, but is invalid (backup available at ${file.path}.bak): ${problem}`,
            );
          }
          await record(ok, changes);
        } catch (error) {
          await recordFailure(changes);
          throw error;
        } finally {
          await lock.release();
        }
      },
      async abandon({ begun } = { begun: false }) {
        if (begun) await recordFailure({});
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** For StackReference: `organization/project/stack` (or shorter, in this project); undefined where there is no such stack. */
export function stackOutputsReader(workspace: Workspace): ReadStackOutputs {
  return (name) => readOutputs(workspace.backend, name, workspace.env, workspace.ask);
}
