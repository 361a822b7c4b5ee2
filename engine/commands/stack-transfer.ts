/** `stack export` and `stack import`. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { StackReference } from "../backend.ts";
import { parseExport } from "../checkpoint.ts";
import { EngineError } from "../errors.ts";
import { explainErrno, writeDurably } from "../files.ts";
import { findProblem } from "../integrity.ts";
import { lockStack } from "../locks.ts";
import { parseUrn, type Snapshot } from "../resource.ts";
import { decodeSnapshot, requireStack, stackSecrets, type Workspace } from "../stack.ts";
import { loadStackConfig } from "../stack-config.ts";
import { encodeCheckpoint, encodeResource, goTime, writeState } from "../state.ts";
import type { CommandContext } from "./context.ts";
import { openFor } from "./stack.ts";

/** To standard output, or to `file`. */
export async function stackExport(context: CommandContext, options: { file?: string; showSecrets?: boolean }): Promise<void> {
  const workspace = await openFor(context);
  const ref = await requireStack(workspace, context.stack, { offerNew: false });
  const checkpoint = await workspace.backend.read(ref);
  const { version, features, latest } = checkpoint;
  let deployment: unknown = checkpoint.raw ?? null;
  if (options.showSecrets && latest) {
    const config = await loadStackConfig(workspace.project, ref.name);
    const secrets = await stackSecrets(workspace, config, checkpoint);
    const snapshot = await decodeSnapshot(workspace, checkpoint, secrets);
    const clear = (resource: Snapshot["resources"][number]): unknown => JSON.parse(encodeResource(resource, secrets, true));
    deployment = {
      ...checkpoint.raw,
      ...(snapshot.resources.length > 0 ? { resources: snapshot.resources.map(clear) } : {}),
      ...(snapshot.pendingOperations.length > 0
        ? { pending_operations: snapshot.pendingOperations.map(({ resource, type }) => ({ resource: clear(resource), type })) }
        : {}),
    };
  }
  const text = `${JSON.stringify({ version, ...(features.length > 0 ? { features } : {}), deployment }, undefined, 4)}\n`;
  if (!options.file) {
    context.out(text);
    return;
  }
  const file = resolve(context.cwd, options.file);
  try {
    await writeDurably(file, text, 0o600);
  } catch (error) {
    throw new EngineError(`could not write '${file}': ${explainErrno(error)}`, { cause: error });
  }
}

/** From standard input, or from `file`. With `force`, a deployment of another stack or with errors is taken too. */
export async function stackImport(context: CommandContext, options: { file?: string; force?: boolean }): Promise<void> {
  const workspace = await openFor(context);
  const ref = await requireStack(workspace, context.stack, { offerNew: false });
  const { path, text } = await readInput(context, options.file);
  const checkpoint = parseExport(path, text);
  const { latest } = checkpoint;
  if (!latest) throw new EngineError(`${path}: the file holds no deployment`);
  const snapshot = await decodeSnapshot(workspace, checkpoint, undefined, { verify: false });
  const problems = snapshot.resources
    .map(({ urn }) => ({ urn, stack: parseUrn(urn).stack }))
    .filter(({ stack }) => stack !== ref.name)
    .map(({ urn, stack }) => `resource '${urn}' is from a different stack (${stack} != ${ref.name})`);
  const broken = findProblem(snapshot);
  if (broken) problems.push(`state file contains errors: ${broken}`);
  if (problems.length > 0 && !options.force) {
    const list = problems.map((problem) => `  - ${problem}`).join("\n");
    throw new EngineError(`${path}:\n${list}\nimporting this file could be dangerous; rerun with --force to proceed anyway`);
  }
  for (const problem of problems) context.err(`warning: ${problem}\n`);
  for (const { type, resource } of snapshot.pendingOperations) {
    context.err(`warning: removing pending operation '${type}' on '${resource.urn}' from snapshot\n`);
  }
  await replaceState(workspace, ref, context, { ...snapshot, pendingOperations: [] }, checkpoint.features);
  context.out("Import complete.\n");
}

async function readInput(context: CommandContext, file: string | undefined): Promise<{ path: string; text: string }> {
  if (file !== undefined) {
    const path = resolve(context.cwd, file);
    try {
      return { path, text: await readFile(path, "utf8") };
    } catch (error) {
      throw new EngineError(`could not open file: ${path}: ${explainErrno(error)}`, { cause: error });
    }
  }
  if (!context.readStdin)
    throw new EngineError("nothing to import: pipe a deployment to standard input, or name one with --file");
  return { path: "standard input", text: await context.readStdin() };
}

/** Locks, and writes a state that was edited. */
export async function replaceState(
  workspace: Workspace,
  ref: StackReference,
  context: CommandContext,
  snapshot: Snapshot,
  features: string[],
): Promise<void> {
  const { backend } = workspace;
  const lock = await lockStack(backend, ref, context.now());
  try {
    const checkpoint = await backend.read(ref).catch((error: unknown) => {
      // A damaged state is what an import is to mend.
      if (error instanceof EngineError) return undefined;
      throw error;
    });
    const config = await loadStackConfig(workspace.project, ref.name, context.configFile);
    const secrets = await stackSecrets(workspace, config, checkpoint);
    const frame = { stack: ref.qualified, secrets, extras: checkpoint?.latest?.extras, features };
    const file = await backend.stateFile(ref);
    await writeState(file, encodeCheckpoint(frame, snapshot, goTime(context.now())), { last: true });
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError(`could not write the state of '${ref.name}': ${explainErrno(error)}`, { cause: error });
  } finally {
    await lock.release();
  }
  for (const note of lock.notes) context.err(`note: ${note}\n`);
}
