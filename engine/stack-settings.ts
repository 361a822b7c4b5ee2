/** The settings that a program gets: the stack file's values over the project's defaults, checked against the declared types. */
import { type ConfigDeclaration, matchesType, typeName } from "./config-declarations.ts";
import {
  type ConfigMap,
  type ConfigValue,
  formatPath,
  getAt,
  hasSecure,
  isComposite,
  isSecure,
  mapSecure,
  parseConfigKey,
  prettyKey,
  setAt,
  splitKeyPath,
  valueText,
} from "./config-values.ts";
import { EngineError } from "./errors.ts";
import type { Project } from "./project.ts";
import type { SecretsManager } from "./secrets.ts";
import type { StackConfig } from "./stack-config.ts";

export interface ProgramConfig {
  /** `namespace:name` to text; objects as JSON; secrets in clear. */
  config: { [key: string]: string };
  configSecretKeys: string[];
  /** As it may be shown: `[secret]` in place of each secret, also within objects. */
  shownConfig: { [key: string]: string };
}

/** The stack's values and, where it has none, the project's defaults and fixed values. Secrets stay encrypted. */
export function mergedConfig(project: Project, stack: StackConfig): ConfigMap {
  const merged: ConfigMap = new Map(stack.values);
  for (const declaration of project.config) {
    const fallback = declaration.value ?? declaration.default;
    const { key, path } = locate(project, declaration);
    if (fallback === undefined || getAt(merged.get(key), path) !== undefined) continue;
    const value = toConfigValue(fallback);
    merged.set(key, path.length === 0 ? value : setAt(merged.get(key), path, value, key));
  }
  return merged;
}

/** What the program is started with. Types and missing values are complained about as the CLI does, with their place. */
export function programConfig(
  project: Project,
  stackName: string,
  stack: StackConfig,
  secrets: SecretsManager | undefined,
): ProgramConfig {
  const merged = mergedConfig(project, stack);
  const missing = project.config
    .filter((declaration) => {
      const { key, path } = locate(project, declaration);
      return key.startsWith(`${project.name}:`) && getAt(merged.get(key), path) === undefined;
    })
    .map((declaration) => declaration.key)
    .sort();
  if (missing.length > 0) {
    const names = missing.map((name) => `'${name}'`);
    const list = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
    throw new EngineError(
      `Stack '${stackName}' is missing configuration ${names.length > 1 ? "values" : "value"} ${list}\n` +
        `  ${stack.file}: set ${names.length > 1 ? "them" : "it"} with \`pulumi config set ${missing[0]} <value>\``,
    );
  }
  const decrypted: ConfigMap = new Map();
  for (const [key, value] of merged) decrypted.set(key, decryptValue(stack, key, value, secrets, project.name));
  for (const declaration of project.config) checkDeclaration(project, stackName, stack, declaration, merged, decrypted);
  const entries = [...decrypted].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    config: Object.fromEntries(entries.map(([key, value]) => [key, valueText(value)])),
    configSecretKeys: entries.map(([key]) => key).filter((key) => hasSecure(merged.get(key))),
    shownConfig: Object.fromEntries([...merged].map(([key, value]) => [key, valueText(mapSecure(value, () => "[secret]"))])),
  };
}

/** A value with its secrets in clear. */
export function decryptValue(
  stack: StackConfig,
  key: string,
  value: ConfigValue,
  secrets: SecretsManager | undefined,
  project: string,
): ConfigValue {
  return mapSecure(value, (ciphertext, path) => {
    const name = prettyKey(project, key);
    const where = `${stack.at(key)}: the secret '${path.length === 0 ? name : formatPath([name, ...path])}'`;
    if (!secrets)
      throw new EngineError(`${where} cannot be decrypted: the file has no 'encryptionsalt'; restore the line from a backup`);
    try {
      return secrets.decrypt(ciphertext);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new EngineError(
        `${where} could not be decrypted: ${reason}\n  It was encrypted for another stack, or the line was damaged: set it again with \`pulumi config set --secret ${name}\``,
      );
    }
  });
}

function checkDeclaration(
  project: Project,
  stackName: string,
  stack: StackConfig,
  declaration: ConfigDeclaration,
  merged: ConfigMap,
  decrypted: ConfigMap,
): void {
  const { type } = declaration;
  if (!type) return;
  const { key, path } = locate(project, declaration);
  const raw = getAt(merged.get(key), path);
  const plain = getAt(decrypted.get(key), path);
  if (raw === undefined || plain === undefined) return;
  const fail = (problem: string, fix: string): never => {
    throw new EngineError(
      `Stack '${stackName}' with configuration key '${declaration.key}' ${problem}\n  ${stack.at(key)}: ${fix}`,
    );
  };
  if (declaration.secret && !hasSecure(raw)) {
    fail("must be encrypted as it's secret", `set it again with \`pulumi config set --secret ${declaration.key}\``);
  }
  // The CLI compares the text of single values, so 5 is a string too where it stands at the top.
  const seen = isComposite(raw) ? plain : valueText(plain);
  if (!matchesType(type, seen)) {
    const found = isSecure(raw) ? "the secret value" : JSON.stringify(seen);
    fail(`must be of type '${typeName(type)}'`, `${found} is not; correct the value`);
  }
}

function locate(project: Project, declaration: ConfigDeclaration): { key: string; path: (string | number)[] } {
  return splitKeyPath(parseConfigKey(project.name, declaration.key));
}

/** As the CLI: single defaults become text, lists and maps stay objects. */
function toConfigValue(value: unknown): ConfigValue {
  const convert = (item: unknown): ConfigValue => {
    if (item === null || typeof item === "string" || typeof item === "number" || typeof item === "boolean") return item;
    if (Array.isArray(item)) return item.map(convert);
    if (typeof item === "object") return Object.fromEntries(Object.entries(item).map(([key, part]) => [key, convert(part)]));
    return String(item);
  };
  return typeof value === "object" ? convert(value) : String(value);
}
