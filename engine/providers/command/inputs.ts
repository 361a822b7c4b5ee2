/** The inputs of commands and copies: their kinds, and the messages for wrong ones (pulumi-go-provider's texts). */
import { isArchive, isAsset, isMap, isSecret, type PropertyMap, secret, unknown, type Value } from "../../values.ts";
import type { CheckFailure } from "../provider.ts";

export type Kind = "string" | "bool" | "float64" | "[]string" | "map[string]string" | "[]interface {}" | "source" | "object";

const base: { [name: string]: Kind } = {
  stdin: "string",
  logging: "string",
  interpreter: "[]string",
  dir: "string",
  environment: "map[string]string",
  assetPaths: "[]string",
  archivePaths: "[]string",
  addPreviousOutputInEnv: "bool",
};
export const commandInputs: { [name: string]: Kind } = {
  ...base,
  triggers: "[]interface {}",
  create: "string",
  update: "string",
  delete: "string",
};
export const runInputs: { [name: string]: Kind } = { ...base, command: "string" };

const copyInputs = { connection: "object", triggers: "[]interface {}", remotePath: "string" } as const;
export const remoteCommandInputs: { [name: string]: Kind } = {
  connection: "object",
  stdin: "string",
  logging: "string",
  environment: "map[string]string",
  addPreviousOutputInEnv: "bool",
  triggers: "[]interface {}",
  create: "string",
  update: "string",
  delete: "string",
};
export const copyToRemoteInputs: { [name: string]: Kind } = { ...copyInputs, source: "source" };
export const copyFileInputs: { [name: string]: Kind } = { ...copyInputs, localPath: "string" };

export function missingInputs(names: string[], inputs: PropertyMap, owner: string): CheckFailure[] {
  const missing = names.filter((name) => (inputs[name] ?? null) === null);
  return missing.map((property) => ({ property, reason: `Missing required field '${property}' on '${owner}'` }));
}

export function checkInputs(kinds: { [name: string]: Kind }, inputs: PropertyMap, owner: string): CheckFailure[] {
  const failures: CheckFailure[] = [];
  for (const [name, value] of Object.entries(inputs)) {
    const kind = kinds[name];
    if (kind === undefined) failures.push({ property: name, reason: `Unrecognized field '${name}' on '${owner}'` });
    else failures.push(...checkValue(kind, value, name, owner));
  }
  return failures;
}

function checkValue(kind: Kind, wrapped: Value, name: string, owner: string): CheckFailure[] {
  const value = bare(wrapped);
  const found = kindOf(value);
  if (value === null || value === unknown || found === kind) return [];
  if (kind === "source" && (isAsset(value) || isArchive(value))) return [];
  if (kind === "source") return [{ property: name, reason: "either asset or archive must be set" }];
  if (kind === "object" && isMap(value)) return [];
  if (kind === "[]string" && Array.isArray(value)) {
    return value.flatMap((item, i) => checkValue("string", item, `${name}[${i}]`, owner));
  }
  if (kind === "map[string]string" && isMap(value)) {
    return Object.entries(value).flatMap(([key, item]) => checkValue("string", item, `${name}[${key}] value`, owner));
  }
  return [{ property: name, reason: `Field '${name}' on '${owner}' must be a '${kind}'; got '${found}' instead` }];
}

function kindOf(value: Value): string {
  if (Array.isArray(value)) return "[]interface {}";
  if (isMap(value)) return "map[string]interface {}";
  return typeof value === "number" ? "float64" : typeof value === "boolean" ? "bool" : "string";
}

/** The inputs as the official provider hands them back: a secret that is not known yet becomes a secret empty string. */
export function checkedInputs(inputs: PropertyMap): PropertyMap {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, checkedValue(value)]));
}

function checkedValue(value: Value): Value {
  return isSecret(value) && bare(value) === unknown ? secret("") : value;
}

/** A value without secret marks at any depth. */
export function bare(value: Value): Value {
  if (isSecret(value)) return bare(value.value ?? null);
  if (Array.isArray(value)) return value.map(bare);
  return isMap(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bare(item)])) : value;
}

/** The string values under a secret mark, which messages must not show. */
export function secretTexts(value: Value, marked = false): string[] {
  if (isSecret(value)) return secretTexts(value.value ?? null, true);
  if (Array.isArray(value)) return value.flatMap((item) => secretTexts(item, marked));
  if (isMap(value)) return Object.values(value).flatMap((item) => secretTexts(item, marked));
  return marked && typeof value === "string" ? [value] : [];
}
