/** `stack init`, `ls`, `select`, `unselect`, `rm`. */
import { rm } from "node:fs/promises";
import { stackNotFound } from "../backend.ts";
import { EngineError } from "../errors.ts";
import { lockStack } from "../locks.ts";
import { stackConfigFile } from "../project.ts";
import { stackType } from "../resource.ts";
import { selectedStack, selectStack } from "../selected-stack.ts";
import { openWorkspace, requireStack, stackSecrets, type Workspace } from "../stack.ts";
import { loadStackConfig } from "../stack-config.ts";
import { encodeCheckpoint, goTime, writeState } from "../state.ts";
import { confirm } from "./confirm.ts";
import { type CommandContext, printJson } from "./context.ts";
import { formatTable, humanTime, jsonTime } from "./table.ts";

export function openFor(context: CommandContext): Promise<Workspace> {
  return openWorkspace({ cwd: context.cwd, env: context.env, ask: context.askHidden });
}

export interface StackInitOptions {
  name?: string;
  noSelect?: boolean;
  secretsProvider?: string;
}

/** Makes a stack and selects it. */
export async function stackInit(context: CommandContext, options: StackInitOptions): Promise<void> {
  const workspace = await openFor(context);
  await createStack(workspace, context, options);
}

async function createStack(workspace: Workspace, context: CommandContext, options: StackInitOptions): Promise<void> {
  const { backend, project, env } = workspace;
  const provider = options.secretsProvider ?? "default";
  if (provider !== "default" && provider !== "passphrase" && provider !== "") {
    throw new EngineError(
      `--secrets-provider: '${provider.replace(/[:?].*$/s, "")}' is not offered by the embedded engine, only 'passphrase'; use the Pulumi CLI for others`,
    );
  }
  const name = options.name ?? context.stack ?? (await context.ask?.("stack name: (dev)").then((text) => text.trim() || "dev"));
  if (!name) throw new EngineError("missing stack name");
  const ref = backend.reference(name);
  if (ref.project !== project.name) {
    throw new EngineError(
      `provided project name "${ref.project}" doesn't match Pulumi.yaml (${project.file} names "${project.name}"); run the command in the other project's folder`,
    );
  }
  if (await backend.exists(ref)) throw new EngineError(`stack '${ref.qualified}' already exists`);
  const config = await loadStackConfig(project, ref.name, context.configFile);
  const lock = await lockStack(backend, ref, context.now());
  try {
    const secrets = await stackSecrets(workspace, config, undefined);
    const file = await backend.stateFile(ref);
    const empty = { resources: [], pendingOperations: [] };
    await writeState(file, encodeCheckpoint({ stack: ref.qualified, secrets }, empty, goTime(context.now())), { last: true });
  } finally {
    await lock.release();
  }
  for (const note of lock.notes) context.err(`note: ${note}\n`);
  context.err(`Created stack '${backend.display(ref)}'\n`);
  if (!options.noSelect) await selectStack(project, backend, env, ref.qualified);
}

/** `all`: stacks of other projects too. */
export async function stackList(
  context: CommandContext,
  options: { json?: boolean; all?: boolean; project?: string },
): Promise<void> {
  const workspace = await openFor(context);
  const { backend, project, env } = workspace;
  const selected = await selectedStack(project, backend, env);
  const current = selected === undefined ? undefined : backend.reference(selected).qualified;
  const wanted = options.project ?? (options.all ? undefined : project.name);
  const rows = [];
  for (const ref of await backend.list()) {
    if (wanted !== undefined && ref.project !== wanted) continue;
    const { latest } = await backend.read(ref);
    const lastUpdate = latest ? jsonTime(latest.manifest.time) : undefined;
    rows.push({
      name: backend.display(ref),
      current: ref.qualified === current,
      lastUpdate,
      resourceCount: latest?.resources.length,
    });
  }
  rows.sort((a, b) => (a.name < b.name ? -1 : 1));
  if (options.json) {
    printJson(context, rows);
    return;
  }
  const now = context.now();
  context.out(
    formatTable(
      ["NAME", "LAST UPDATE", "RESOURCE COUNT"],
      rows.map((row) => ({
        columns: [
          row.name + (row.current ? "*" : ""),
          row.lastUpdate ? humanTime(new Date(row.lastUpdate), now) : "n/a",
          row.resourceCount === undefined ? "n/a" : String(row.resourceCount),
        ],
      })),
    ),
  );
}

export async function stackSelect(
  context: CommandContext,
  options: { name?: string; create?: boolean; secretsProvider?: string },
): Promise<void> {
  const workspace = await openFor(context);
  const { backend, project, env } = workspace;
  let name = options.name ?? context.stack;
  if (name === undefined && context.ask) {
    const known = (await backend.list()).filter((ref) => ref.project === project.name).map((ref) => ref.name);
    name = (await context.ask(`Please choose a stack (${known.join(", ") || "there are none"}):`)).trim();
  }
  if (!name) throw new EngineError("no stack selected; specify a stack name with --stack", { exitCode: 6 });
  const ref = backend.reference(name);
  if (!(await backend.exists(ref))) {
    if (!options.create) throw stackNotFound(backend.display(ref));
    await createStack(workspace, context, { name, secretsProvider: options.secretsProvider });
  }
  await selectStack(project, backend, env, ref.qualified);
}

export async function stackUnselect(context: CommandContext): Promise<void> {
  const { backend, project, env } = await openFor(context);
  await selectStack(project, backend, env, undefined);
  context.out("Stack was unselected\n");
}

export interface StackRemoveOptions {
  name?: string;
  yes?: boolean;
  /** Although it still has resources. */
  force?: boolean;
  preserveConfig?: boolean;
  removeBackups?: boolean;
}

export async function stackRemove(context: CommandContext, options: StackRemoveOptions): Promise<void> {
  const workspace = await openFor(context);
  const { backend, project, env } = workspace;
  const ref = await requireStack(workspace, options.name ?? context.stack, { offerNew: false });
  const shown = backend.display(ref);
  if (!options.yes) await confirm(context, `This will permanently remove the '${shown}' stack!`, shown);
  const lock = await lockStack(backend, ref, context.now());
  try {
    // With --force a state that cannot be read is removed too.
    const resources = options.force ? [] : ((await backend.read(ref)).latest?.resources ?? []);
    if (resources.length > 1 || (resources.length === 1 && resources[0]?.type !== stackType)) {
      throw new EngineError(
        `'${shown}' still has resources; removal rejected. Possible actions:\n` +
          `- Make sure that '${shown}' is the stack that you want to destroy\n` +
          "- Run `pulumi destroy` to delete the resources, then run `pulumi stack rm`\n" +
          "- Run `pulumi stack rm --force` to override this error",
      );
    }
    await backend.remove(ref, { removeBackups: options.removeBackups === true });
  } finally {
    await lock.release();
  }
  if (!options.preserveConfig && ref.project === project.name) await rm(stackConfigFile(project, ref.name), { force: true });
  for (const note of lock.notes) context.err(`note: ${note}\n`);
  context.out(`Stack '${shown}' has been removed!\n`);
  await selectStack(project, backend, env, undefined);
}
