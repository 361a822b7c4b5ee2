/**
 * The inputs of random's resource types: their kinds, checks, defaults, and which change replaces a resource.
 * Texts and rules are those of terraform-provider-random behind Pulumi's bridge.
 */
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import type { CheckFailure } from "../provider.ts";

export interface Field {
  kind: "int" | "string" | "bool" | "strings" | "keepers";
  /** Said where a required field is missing. */
  required?: string;
  default?: Value;
  atLeast?: number;
  /** Changing it needs no new resource in these cases. */
  keeps?(before: Value, after: Value): boolean;
}
export type Fields = { [name: string]: Field };

/** Names as the Terraform provider spells them, which its messages use. */
function terraformName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function failure(resource: string, property: string, reason: string): CheckFailure {
  return { reason: `${reason}. Examine values at '${resource}.${property}'.` };
}

/** The messages for inputs of the wrong kind or out of bounds. Null, absent and unknown values are skipped. */
export function checkFields(fields: Fields, inputs: PropertyMap, resource: string): CheckFailure[] {
  const failures: CheckFailure[] = [];
  for (const [name, field] of Object.entries(fields)) {
    const value = inputs[name] ?? null;
    if (value === null && field.required !== undefined) {
      failures.push({ reason: `Missing required property '${name}': ${field.required}` });
    }
    if (value === null || value === unknown) continue;
    const normal = normalize(field, value);
    if (normal === undefined) {
      failures.push(failure(resource, name, `Expected ${article[field.kind]}, found ${typeName(value)}`));
    } else if (field.atLeast !== undefined && typeof normal === "number" && normal < field.atLeast) {
      failures.push(failure(resource, name, invalidValue(name, `be at least ${field.atLeast}`, normal)));
    }
  }
  return failures;
}

export function invalidValue(name: string, rule: string, value: number): string {
  return `Invalid Attribute Value. Attribute ${terraformName(name)} value must ${rule}, got: ${value}`;
}

const article = {
  int: "a whole number",
  string: "a string",
  bool: "a boolean",
  strings: "a list of strings",
  keepers: "a map of strings",
};

function typeName(value: Value): string {
  return Array.isArray(value)
    ? "a list"
    : isMap(value)
      ? "an object"
      : typeof value === "string"
        ? "a string"
        : `a ${typeof value}`;
}

/** The value as the provider takes it (numbers and strings are converted into each other); undefined where it cannot. */
function normalize(field: Field, value: Value): Value | undefined {
  if (value === null || value === unknown) return value;
  switch (field.kind) {
    case "int": {
      if (value === "") return null;
      const number = typeof value === "string" ? Number(value) : value;
      return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
    }
    case "bool":
      return typeof value === "boolean" ? value : undefined;
    case "string":
      return text(value);
    case "strings": {
      const items = Array.isArray(value) ? value.map(text) : [undefined];
      return items.every((item) => item !== undefined) ? items : undefined;
    }
    case "keepers": {
      if (!isMap(value)) return undefined;
      const entries = Object.entries(value).map(([key, item]) => [key, text(item)] as const);
      return entries.every(([, item]) => item !== undefined)
        ? Object.fromEntries(entries.map(([k, v]) => [k, v ?? null]))
        : undefined;
    }
  }
}

function text(value: Value): string | null | undefined {
  if (value === null || typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

/** Inputs with defaults, one entry for each field that has a value: what a create would store. */
export function planned(fields: Fields, inputs: PropertyMap): PropertyMap {
  const out: PropertyMap = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = normalize(field, inputs[name] ?? null) ?? field.default ?? null;
    if (value !== null) out[name] = value;
  }
  return out;
}

/** Keepers in a state may lack keys whose value is null, and a state without keepers equals a map of nulls only. */
export function sameKeepers(before: Value, after: Value): boolean {
  const present = (value: Value) => (isMap(value) ? Object.entries(value).filter(([, item]) => item !== null) : []);
  if (isMap(before) && !isMap(after)) return false;
  const [old, now] = [present(before), present(after)];
  return old.length === now.length && now.every(([key, item]) => isMap(before) && before[key] === item);
}

export interface FieldChanges {
  changed: string[];
  replaces: string[];
}

export function changes(fields: Fields, state: PropertyMap, plan: PropertyMap): FieldChanges {
  const changed = Object.keys(fields).filter((name) => !equal(state[name] ?? null, plan[name] ?? null));
  const replaces = changed.filter((name) => !fields[name]?.keeps?.(state[name] ?? null, plan[name] ?? null));
  return { changed, replaces };
}

function equal(a: Value, b: Value): boolean {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i] ?? null));
  if (isMap(a)) {
    if (!isMap(b) || Object.keys(a).length !== Object.keys(b).length) return false;
    return Object.entries(a).every(([key, item]) => key in b && equal(item, b[key] ?? null));
  }
  return a === b;
}
