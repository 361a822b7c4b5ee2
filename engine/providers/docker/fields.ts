/**
 * The words in which the docker resource types are described: the kind of each field, its default, what is checked, and
 * whether a change of it replaces the resource. Facts are those of terraform-provider-docker 4.5 behind Pulumi's bridge.
 */
import { isMap, type PropertyMap, type Value } from "../../values.ts";

export interface Field {
  kind: "string" | "int" | "bool" | "map" | "list" | "set";
  /** The fields of a block; absent where list and set hold strings. */
  of?: Fields;
  /** At most one block, which stands there without a list around it. */
  one?: boolean;
  required?: boolean;
  /** The daemon fills it in where the program does not. */
  computed?: boolean;
  /** The program cannot set it. */
  readOnly?: boolean;
  replaces?: boolean;
  default?: Value;
  /** An empty value in the program leaves what is there. */
  keepsWhenEmpty?: boolean;
  /** The name in Terraform, where it is not the same in snake_case. */
  terraform?: string;
  atLeast?: number;
  pattern?: RegExp;
  duration?: boolean;
  base64?: boolean;
  conflicts?: string;
}
export type Fields = { readonly [name: string]: Field };
type More = Omit<Field, "kind">;

export const text = (more: More = {}): Field => ({ kind: "string", ...more });
export const int = (more: More = {}): Field => ({ kind: "int", ...more });
export const flag = (more: More = {}): Field => ({ kind: "bool", ...more });
export const map = (more: More = {}): Field => ({ kind: "map", ...more });
export const list = (of: Fields | undefined, more: More = {}): Field => ({ kind: "list", ...(of ? { of } : {}), ...more });
export const set = (of: Fields | undefined, more: More = {}): Field => ({ kind: "set", ...(of ? { of } : {}), ...more });
export const replaces: More = { replaces: true };
export const needed: More = { required: true, replaces: true };

export const labelFields: Fields = { label: text(needed), value: text(needed) };

export interface ResourceFields {
  fields: Fields;
  /** What Pulumi's bridge notes about the Terraform state. */
  meta: { schemaVersion?: string; timeouts?: boolean };
  /** Without a name in the program one is made up. */
  autonamed: boolean;
  deleteBeforeReplace: boolean;
  /** Values that count as the same although they are written differently. */
  same?: { [name: string]: (old: Value, now: Value) => boolean };
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function terraformName(name: string, field: Field): string {
  return field.terraform ?? snakeCase(name);
}

/** Absent, or what Terraform's SDK takes for absent. */
export function isZero(value: Value | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isMap(value) && Object.keys(value).length === 0;
}

/** A value without what Terraform's SDK takes for absent, so that equal values are written equally. */
export function essence(value: Value): Value {
  if (Array.isArray(value)) return value.map(essence);
  if (!isMap(value)) return value;
  const out: PropertyMap = {};
  for (const key of Object.keys(value).sort()) {
    const inner = essence(value[key] ?? null);
    if (!isZero(inner) && !key.startsWith("__")) out[key] = inner;
  }
  return out;
}

export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (isZero(a) && isZero(b)) return true;
  return JSON.stringify(essence(a ?? null)) === JSON.stringify(essence(b ?? null));
}

/** Readers that take what is there, or the zero value. */
export const string = (value: Value | undefined): string => (typeof value === "string" ? value : "");
export const number = (value: Value | undefined): number => (typeof value === "number" ? value : 0);
export const boolean = (value: Value | undefined): boolean => value === true;
export const items = (value: Value | undefined): Value[] => (Array.isArray(value) ? value : []);
export const maps = (value: Value | undefined): PropertyMap[] => items(value).filter(isMap);
export const strings = (value: Value | undefined): string[] => items(value).map(string);
export const object = (value: Value | undefined): PropertyMap => (isMap(value) ? value : {});
/** A map whose values are texts, as the daemon wants them. */
export function texts(value: Value | undefined): { [key: string]: string } {
  return Object.fromEntries(Object.entries(object(value)).map(([key, item]) => [key, String(item ?? "")]));
}
export function labelMap(value: Value | undefined): { [key: string]: string } {
  return Object.fromEntries(maps(value).map(({ label, value: text }) => [string(label), string(text)]));
}
export function labelList(labels: Value | undefined): Value[] {
  return Object.entries(texts(labels)).map(([label, value]) => ({ label, value }));
}
