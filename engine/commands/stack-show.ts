/** `stack`, `stack output`, `stack history`: what a stack holds and how it came about. */
import type { StackReference } from "../backend.ts";
import { hasSecure, mapSecure, valueText } from "../config-values.ts";
import { EngineError } from "../errors.ts";
import { type HistoryEntry, readHistory } from "../history.ts";
import { parseUrn, stackType } from "../resource.ts";
import { decodeSnapshot, requireStack, stackSecrets, type Workspace } from "../stack.ts";
import { loadStackConfig } from "../stack-config.ts";
import { isMap, type PropertyMap, signatureOf, signatures, type Value } from "../values.ts";
import { jsonEntry } from "./config.ts";
import { type CommandContext, printJson } from "./context.ts";
import { openFor } from "./stack.ts";
import { formatTable, goTimeText, humanTime } from "./table.ts";

export interface StackShowOptions {
  showUrns?: boolean;
  showIds?: boolean;
  showSecrets?: boolean;
  /** The name only. */
  showName?: boolean;
}

/** `stack` alone. Nothing is decrypted unless secrets are to be shown. */
export async function stackShow(context: CommandContext, options: StackShowOptions): Promise<void> {
  const workspace = await openFor(context);
  const { backend } = workspace;
  const ref = await requireStack(workspace, context.stack);
  if (options.showName) {
    context.out(`${ref.name}\n`);
    return;
  }
  const { latest } = await backend.read(ref);
  const lines = [`Current stack is ${backend.display(ref)}:`, `    Managed by ${backend.name}`];
  if (latest) {
    const { time, version } = latest.manifest;
    const updated = new Date(time);
    if (updated.getUTCFullYear() > 1 && updated < context.now()) {
      lines.push(`    Last updated: ${humanTime(updated, context.now())} (${goTimeText(time)})`);
    }
    if (version !== "") lines.push(`    Pulumi version used: ${version}`);
  } else lines.push("    No updates yet; run `pulumi up`");
  const resources = latest?.resources ?? [];
  lines.push(`Current stack resources (${resources.length}):`, "");
  context.out(lines.join("\n"));
  if (resources.length === 0) context.out("    No resources currently in this stack\n");
  else {
    context.out(formatTable(["TYPE", "NAME"], treeRows(resources, options), "    "));
    context.out("\n");
    context.out(outputsText(await outputsOf(workspace, ref, options.showSecrets === true)));
  }
  context.out("\nUse `pulumi stack select` to change stack; `pulumi stack ls` lists known ones\n");
}

export interface StackOutputOptions {
  property?: string;
  json?: boolean;
  shell?: boolean;
  showSecrets?: boolean;
}

export async function stackOutput(context: CommandContext, options: StackOutputOptions): Promise<void> {
  if (options.json && options.shell) throw new EngineError("only one of --json and --shell may be set");
  const workspace = await openFor(context);
  const ref = await requireStack(workspace, context.stack, { offerNew: false });
  const outputs = await outputsOf(workspace, ref, options.showSecrets === true);
  const { property } = options;
  if (property !== undefined) {
    const value = Object.hasOwn(outputs, property) ? outputs[property] : undefined;
    if (value === undefined) throw new EngineError(`current stack does not have output property '${property}'`);
    if (options.json) printJson(context, sorted(value));
    else context.out(options.shell ? shellLine(property, value) : `${outputText(value)}\n`);
    return;
  }
  if (options.json) printJson(context, sorted(outputs));
  else if (options.shell) for (const key of Object.keys(outputs).sort()) context.out(shellLine(key, outputs[key] ?? null));
  else context.out(outputsText(outputs));
}

/** The outputs with secrets in clear, or as "[secret]"; in the latter case no passphrase is needed. */
export async function outputsOf(workspace: Workspace, ref: StackReference, showSecrets: boolean): Promise<PropertyMap> {
  const checkpoint = await workspace.backend.read(ref);
  const { latest } = checkpoint;
  if (!latest) return {};
  if (showSecrets) {
    const root = latest.resources.filter((resource) => resource.type === stackType && !resource.parent).slice(0, 1);
    const only = { ...checkpoint, latest: { ...latest, resources: root, pendingOperations: [] } };
    const { resources } = await decodeSnapshot(workspace, only);
    return reveal(resources[0]?.outputs ?? {}, (secret) => secret.value ?? null);
  }
  const outputs = latest.resources.find((resource) => resource.type === stackType && !resource.parent)?.outputs;
  return isMap(outputs) ? reveal(outputs, () => "[secret]") : {};
}

function reveal(map: PropertyMap, replace: (secret: PropertyMap) => Value): PropertyMap {
  const visit = (value: Value): Value => {
    if (Array.isArray(value)) return value.map(visit);
    if (!isMap(value)) return value;
    if (signatureOf(value) === signatures.secret) return visit(replace(value));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item)]));
  };
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, visit(value)]));
}

function outputsText(outputs: PropertyMap): string {
  const keys = Object.keys(outputs).sort();
  const head = `Current stack outputs (${keys.length}):\n`;
  if (keys.length === 0) return `${head}    No output values currently in this stack\n`;
  const rows = keys.map((key) => ({ columns: [key, outputText(outputs[key] ?? null)] }));
  return head + formatTable(["OUTPUT", "VALUE"], rows, "    ");
}

function outputText(value: Value): string {
  return typeof value === "string" ? value : JSON.stringify(sorted(value));
}

function shellLine(name: string, value: Value): string {
  const text = outputText(value);
  return `${name}=${/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`}\n`;
}

function sorted(value: Value): Value {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] ?? null)]),
  );
}

interface TreeNode {
  resource?: PropertyMap;
  children: TreeNode[];
}

function treeRows(resources: PropertyMap[], options: StackShowOptions): { columns: string[]; after?: string }[] {
  const nodes = new Map<string, TreeNode>();
  const nodeOf = (urn: string): TreeNode => {
    const node = nodes.get(urn) ?? { children: [] };
    nodes.set(urn, node);
    return node;
  };
  let root: TreeNode | undefined;
  const orphans: TreeNode[] = [];
  for (const resource of resources) {
    const node = nodeOf(String(resource.urn));
    node.resource = resource;
    if (typeof resource.parent === "string" && resource.parent !== "") nodeOf(resource.parent).children.push(node);
    else if (resource.type === stackType) root = node;
    else orphans.push(node);
  }
  const rows: { columns: string[]; after?: string }[] = [];
  if (!root || [...nodes.values()].some((node) => !node.resource)) {
    for (const resource of resources) rows.push(row(resource, "", "    ", options));
    return rows;
  }
  root.children.push(...orphans);
  const visit = (node: TreeNode, padding: string, branch: string): void => {
    const below = padding + (branch === "├─ " ? "│  " : branch === "└─ " ? "   " : "");
    const info = below + (node.children.length > 0 ? "│  " : "   ");
    if (node.resource) rows.push(row(node.resource, padding + branch, info, options));
    node.children.forEach((child, index) => {
      visit(child, below, index === node.children.length - 1 ? "└─ " : "├─ ");
    });
  };
  visit(root, "", "");
  return rows;
}

function row(
  resource: PropertyMap,
  prefix: string,
  info: string,
  options: StackShowOptions,
): { columns: string[]; after?: string } {
  let after = "";
  if (options.showUrns) after += `    ${info}URN: ${String(resource.urn)}\n`;
  if (options.showIds && resource.id) after += `    ${info}ID: ${String(resource.id)}\n`;
  return { columns: [prefix + String(resource.type), parseUrn(String(resource.urn)).name], ...(after ? { after } : {}) };
}

export interface StackHistoryOptions {
  json?: boolean;
  showSecrets?: boolean;
  pageSize?: number;
  page?: number;
  fullDates?: boolean;
}

export async function stackHistory(context: CommandContext, options: StackHistoryOptions): Promise<void> {
  const workspace = await openFor(context);
  const ref = await requireStack(workspace, context.stack, { offerNew: false });
  const page = { size: options.pageSize ?? 10, number: options.page ?? 1 };
  const entries = await readHistory(workspace.backend, ref, page);
  if (options.json) printJson(context, await historyJson(workspace, ref, entries, options.showSecrets === true));
  else context.out(historyText(context, entries, page.number, options.fullDates === true));
}

async function historyJson(
  workspace: Workspace,
  ref: StackReference,
  entries: HistoryEntry[],
  showSecrets: boolean,
): Promise<unknown[]> {
  const config = await loadStackConfig(workspace.project, ref.name);
  const secrets = showSecrets ? await stackSecrets(workspace, config, await workspace.backend.read(ref)) : undefined;
  const decrypt = (ciphertext: string): string => {
    try {
      return secrets?.decrypt(ciphertext) ?? "[secret]";
    } catch {
      // The CLI's word for a value of an older passphrase.
      return "ERROR_UNABLE_TO_DECRYPT";
    }
  };
  return entries.map((entry) => ({
    version: entry.version,
    kind: entry.kind,
    startTime: new Date(entry.startTime * 1000).toISOString(),
    message: entry.message,
    environment: entry.environment,
    config: Object.fromEntries(
      Object.entries(entry.config ?? {}).map(([key, value]) => {
        const visible = hasSecure(value) ? mapSecure(value, decrypt) : value;
        return [key, jsonEntry(value, visible, showSecrets)];
      }),
    ),
    result: entry.result,
    ...(entry.result === "in-progress"
      ? {}
      : { endTime: new Date(entry.endTime * 1000).toISOString(), resourceChanges: entry.resourceChanges ?? {} }),
  }));
}

function historyText(context: CommandContext, entries: HistoryEntry[], page: number, fullDates: boolean): string {
  if (entries.length === 0) return page > 1 ? `No stack updates found on page '${page}'\n` : "Stack has never been updated\n";
  return entries
    .map((entry) => {
      const { create = 0, delete: deleted = 0, update = 0, same = 0 } = entry.resourceChanges ?? {};
      const start = new Date(entry.startTime * 1000);
      const when = fullDates ? goTimeText(start.toISOString().replace(".000", "")) : humanTime(start, context.now());
      const environment = Object.entries(entry.environment)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .filter(([, value]) => value.trim() !== "")
        .map(([key, value]) => `    ${key}: ${valueText(value)}\n`);
      return (
        `Version: ${entry.version}\nUpdateKind: ${entry.kind}\nStatus: ${entry.result}\nMessage: ${entry.message}\n` +
        `+${create}-${deleted}~${update} ${same} Updated ${when} took ${duration(entry.endTime - entry.startTime)}\n${environment.join("")}\n`
      );
    })
    .join("");
}

/** As Go prints whole seconds: `1h2m3s`. */
function duration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
}
