/** `config`, `config set`, `config get`, `config rm`. */

import type { StackReference } from "../backend.ts";
import {
  type ConfigValue,
  coerce,
  getAt,
  hasSecure,
  isComposite,
  mapSecure,
  parseConfigKey,
  prettyKey,
  removeAt,
  setAt,
  splitKeyPath,
  valueText,
} from "../config-values.ts";
import { EngineError } from "../errors.ts";
import { openWorkspace, requireStack, stackSecrets, type Workspace } from "../stack.ts";
import { loadStackConfig, type StackConfig } from "../stack-config.ts";
import { decryptValue, mergedConfig } from "../stack-settings.ts";
import { type CommandContext, printJson } from "./context.ts";
import { looksLikeSecret } from "./secret-guess.ts";
import { formatTable } from "./table.ts";

interface Opened {
  workspace: Workspace;
  ref: StackReference;
  config: StackConfig;
}

async function open(context: CommandContext): Promise<Opened> {
  const workspace = await openWorkspace({ cwd: context.cwd, env: context.env, ask: context.askHidden });
  const ref = await requireStack(workspace, context.stack);
  return { workspace, ref, config: await loadStackConfig(workspace.project, ref.name, context.configFile) };
}

/** `config` and `config ls`. */
export async function configList(context: CommandContext, options: { json?: boolean; showSecrets?: boolean }): Promise<void> {
  const { workspace, config } = await open(context);
  const project = workspace.project.name;
  const merged = [...mergedConfig(workspace.project, config)].sort(([a], [b]) => compareKeys(a, b));
  const secrets =
    options.showSecrets && merged.some(([, value]) => hasSecure(value))
      ? await stackSecrets(workspace, config, undefined)
      : undefined;
  const shown = merged.map(([key, value]) => {
    const visible = options.showSecrets
      ? decryptValue(config, key, value, secrets, project)
      : mapSecure(value, () => "[secret]");
    return { key, value, visible };
  });
  if (!options.json) {
    const rows = shown.map(({ key, visible }) => ({ columns: [prettyKey(project, key), valueText(visible)] }));
    context.out(formatTable(["KEY", "VALUE"], rows));
    return;
  }
  const entries = shown.map(({ key, value, visible }) => [key, jsonEntry(value, visible, options.showSecrets === true)]);
  printJson(context, Object.fromEntries(entries));
}

/** Prints the value in clear, as the CLI does. */
export async function configGet(
  context: CommandContext,
  key: string,
  options: { json?: boolean; path?: boolean },
): Promise<void> {
  const { workspace, ref, config } = await open(context);
  const project = workspace.project.name;
  const full = parseConfigKey(project, key, options.path);
  const { key: top, path } = options.path ? splitKeyPath(full) : { key: full, path: [] };
  const value = getAt(mergedConfig(workspace.project, config).get(top), path);
  if (value === undefined) {
    throw new EngineError(
      `configuration key '${prettyKey(project, full)}' not found for stack '${workspace.backend.display(ref)}'`,
    );
  }
  const secrets = hasSecure(value) ? await stackSecrets(workspace, config, undefined) : undefined;
  const visible = decryptValue(config, top, value, secrets, project);
  if (options.json) printJson(context, jsonEntry(value, visible, true));
  else context.out(`${valueText(visible)}\n`);
}

export interface ConfigSetOptions {
  secret?: boolean;
  /** Keep a value that looks like a secret in clear. */
  plaintext?: boolean;
  path?: boolean;
  /** Keep the newline at the end of what standard input gave. */
  raw?: boolean;
  /** string, bool, int, float. */
  type?: string;
}

/** `value` undefined: it is read from standard input, or asked for. */
export async function configSet(
  context: CommandContext,
  key: string,
  value: string | undefined,
  options: ConfigSetOptions,
): Promise<void> {
  const { workspace, ref, config } = await open(context);
  const full = parseConfigKey(workspace.project.name, key, options.path);
  const text = value ?? (await readValue(context, options));
  const { key: top, path } = options.path ? splitKeyPath(full) : { key: full, path: [] };
  let leaf: ConfigValue;
  if (options.secret) {
    const checkpoint = config.encryptionSalt ? undefined : await workspace.backend.read(ref);
    leaf = { secure: (await stackSecrets(workspace, config, checkpoint)).encrypt(text) };
  } else {
    leaf = options.type ? typedValue(text, options.type) : path.length > 0 ? coerce(text) : text;
    if (!options.plaintext && looksLikeSecret(full, text)) {
      throw new EngineError(
        `config value for '${full}' looks like a secret; rerun with --secret to encrypt it, or --plaintext if you meant to store in plaintext`,
      );
    }
  }
  config.set(top, path.length === 0 ? leaf : setAt(config.values.get(top), path, leaf, top));
  await config.save();
}

export async function configRemove(context: CommandContext, key: string, options: { path?: boolean }): Promise<void> {
  const { workspace, config } = await open(context);
  const full = parseConfigKey(workspace.project.name, key, options.path);
  const { key: top, path } = options.path ? splitKeyPath(full) : { key: full, path: [] };
  const current = config.values.get(top);
  if (current === undefined) return;
  if (path.length === 0) config.remove(top);
  else config.set(top, removeAt(current, path));
  await config.save();
}

async function readValue(context: CommandContext, options: ConfigSetOptions): Promise<string> {
  if (context.readStdin) {
    const text = await context.readStdin();
    return options.raw ? text : text.replace(/\r?\n$/, "");
  }
  const ask = options.secret ? context.askHidden : context.ask;
  if (!ask) throw new EngineError("config value must be specified in non-interactive mode");
  return ask("value");
}

function typedValue(text: string, type: string): ConfigValue {
  const fail = (what: string): never => {
    throw new EngineError(`could not set config: '${text}' is not ${what}; correct the value or the --type`);
  };
  switch (type) {
    case "string":
      return text;
    case "int":
      return /^[+-]?\d+$/.test(text) ? Number(text) : fail("a whole number");
    case "float": {
      const number = Number(text);
      return text.trim() !== "" && Number.isFinite(number) ? number : fail("a number");
    }
    case "bool":
      return /^(1|t|true)$/i.test(text) ? true : /^(0|f|false)$/i.test(text) ? false : fail("true or false");
    default:
      throw new EngineError(`invalid type "${type}"; must be one of string, int, bool, or float`);
  }
}

export interface JsonEntry {
  value?: string;
  objectValue?: unknown;
  secret: boolean;
}

/** A value as the CLI's JSON documents show it; what is secret is left out unless asked for. */
export function jsonEntry(value: ConfigValue, visible: ConfigValue, showSecrets: boolean): JsonEntry {
  const secret = hasSecure(value);
  if (secret && !showSecrets) return { secret };
  const text = valueText(visible);
  return { value: text, ...(isComposite(value) ? { objectValue: JSON.parse(text) } : {}), secret };
}

/** By namespace, then by name. */
function compareKeys(a: string, b: string): number {
  const [namespaceA, namespaceB] = [a.slice(0, a.indexOf(":")), b.slice(0, b.indexOf(":"))];
  if (namespaceA !== namespaceB) return namespaceA < namespaceB ? -1 : 1;
  return a < b ? -1 : 1;
}
