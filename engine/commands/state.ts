/** `state unprotect` and `state delete`: edits of the state itself, nothing outside it is touched. */
import { EngineError } from "../errors.ts";
import { parseUrn, type ResourceState, type Snapshot } from "../resource.ts";
import { decodeSnapshot, requireStack, stackSecrets } from "../stack.ts";
import { loadStackConfig } from "../stack-config.ts";
import { closest } from "../yaml-file.ts";
import { confirm } from "./confirm.ts";
import type { CommandContext } from "./context.ts";
import { openFor } from "./stack.ts";
import { replaceState } from "./stack-transfer.ts";

export interface StateEditOptions {
  all?: boolean;
  yes?: boolean;
}

export async function stateUnprotect(context: CommandContext, urns: string[], options: StateEditOptions): Promise<void> {
  if (!options.all && urns.length === 0) throw new EngineError("the resource URN must be provided in non-interactive mode");
  await edit(context, options, (snapshot) => {
    if (options.all) {
      return {
        ...snapshot,
        resources: snapshot.resources.map((resource) => (resource.delete ? resource : unprotected(resource))),
      };
    }
    const live = new Set(snapshot.resources.filter((resource) => !resource.delete).map((resource) => resource.urn));
    const missing = urns.filter((urn) => !live.has(urn));
    if (missing.length > 0) throw new EngineError(missing.map((urn) => notFound(snapshot, urn)).join("\n"));
    return {
      ...snapshot,
      resources: snapshot.resources.map((resource) =>
        urns.includes(resource.urn) && !resource.delete ? unprotected(resource) : resource,
      ),
    };
  });
  context.out(options.all ? "All resources unprotected\n" : `${urns.length} resources unprotected\n`);
}

export interface StateDeleteOptions extends StateEditOptions {
  /** Protected resources too. */
  force?: boolean;
  targetDependents?: boolean;
}

export async function stateDelete(context: CommandContext, urns: string[], options: StateDeleteOptions): Promise<void> {
  if (options.all && urns.length > 0) throw new EngineError("cannot specify a resource URN when deleting all resources");
  if (!options.all && urns.length === 0) throw new EngineError("the resource URN must be provided in non-interactive mode");
  await edit(context, options, (snapshot) => {
    const condemned = new Set(options.all ? snapshot.resources : urns.map((urn) => locate(snapshot, urn)));
    for (const resource of snapshot.resources) {
      if (!options.targetDependents || condemned.has(resource)) continue;
      if ([...condemned].some((other) => dependsOn(resource, other))) condemned.add(resource);
    }
    for (const resource of condemned) {
      if (resource.protect && !options.force) {
        throw new EngineError(
          `${resource.urn} can't be safely deleted because it is protected. Re-run this command with --force to force deletion`,
        );
      }
      if (resource.protect) context.err(`warning: deleting protected resource ${resource.urn} due to presence of --force\n`);
      const dependents = snapshot.resources.filter((other) => !condemned.has(other) && dependsOn(other, resource));
      // Another copy with the same URN still satisfies those that depend on it.
      const copies = snapshot.resources.some((other) => other.urn === resource.urn && !condemned.has(other));
      if (dependents.length === 0 || copies) continue;
      const list = dependents
        .map((other) => ` * ${JSON.stringify(parseUrn(other.urn).name).padEnd(15)} (${other.urn})\n`)
        .join("");
      throw new EngineError(
        `${resource.urn} can't be safely deleted because the following resources depend on it:\n${list}\nDelete those resources first or pass --target-dependents.`,
      );
    }
    return { ...snapshot, resources: snapshot.resources.filter((resource) => !condemned.has(resource)) };
  });
  context.out(
    options.all ? "Resources deleted\n" : urns.length === 1 ? "Resource deleted\n" : `${urns.length} resources deleted\n`,
  );
}

async function edit(
  context: CommandContext,
  options: StateEditOptions,
  change: (snapshot: Snapshot) => Snapshot,
): Promise<void> {
  const workspace = await openFor(context);
  const ref = await requireStack(workspace, context.stack);
  if (context.interactive && !options.yes) await confirm(context, "This command will edit your stack's state directly.", "yes");
  const checkpoint = await workspace.backend.read(ref);
  if (!checkpoint.latest) return;
  const config = await loadStackConfig(workspace.project, ref.name, context.configFile);
  const secrets = await stackSecrets(workspace, config, checkpoint);
  const snapshot = await decodeSnapshot(workspace, checkpoint, secrets);
  await replaceState(workspace, ref, context, change(snapshot), checkpoint.features);
}

function unprotected(resource: ResourceState): ResourceState {
  const { protect: _, ...rest } = resource;
  return rest;
}

function dependsOn(resource: ResourceState, other: ResourceState): boolean {
  if (resource === other) return false;
  const { urn } = other;
  if (resource.parent === urn || resource.deletedWith === urn || resource.dependencies?.includes(urn)) return true;
  if (resource.replaceWith?.includes(urn)) return true;
  if (resource.provider === `${urn}::${other.id ?? ""}`) return true;
  return Object.values(resource.propertyDependencies ?? {}).some((list) => list?.includes(urn));
}

function locate(snapshot: Snapshot, urn: string): ResourceState {
  const hint = listHint;
  if (!/^urn:pulumi:[^:]+::[^:]+::.+::.+$/.test(urn)) throw new EngineError(`"${urn}" is not a valid resource URN\n${hint}`);
  const found = snapshot.resources.filter((resource) => resource.urn === urn);
  const [first, ...more] = found;
  if (!first) throw new EngineError(notFound(snapshot, urn));
  if (more.length > 0) {
    const ids = found.map((resource) => `  ${resource.id ?? ""}\n`).join("");
    throw new EngineError(`Resource URN ambiguously referred to multiple resources. Did you mean:\n${ids}`);
  }
  return first;
}

const listHint =
  "To list the resource URNs in the stack, run `pulumi stack --show-urns`; to inspect the full state, run `pulumi stack export`.";

function notFound(snapshot: Snapshot, urn: string): string {
  const names = new Map(snapshot.resources.map((resource) => [parseUrn(resource.urn).name, resource.urn]));
  const meant = closest(parseUrn(urn).name, names.keys());
  const suggestion = meant === undefined ? "" : `Did you mean:\n  ${names.get(meant)}\n`;
  return `No such resource "${urn}" exists in the current state\n${suggestion}${listHint}`;
}
