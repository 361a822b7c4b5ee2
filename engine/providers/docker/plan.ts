/** What a docker resource is to be: the program's inputs with all that is not given, in the form of the state. */
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import { type Field, type Fields, isZero, type ResourceFields, sameValue, terraformName } from "./fields.ts";

/** `old` is the state before; absent where the resource is to be made. */
export function planned(type: ResourceFields, inputs: PropertyMap, old?: PropertyMap): PropertyMap {
  const plan: PropertyMap = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const before = old?.[name] ?? null;
    const now = plannedField(field, inputs[name] ?? null, before, old !== undefined);
    const kept = old !== undefined && sameAs(name, before, now);
    plan[name] = kept ? before : now;
  }
  return plan;
}

function plannedField(field: Field, input: Value, before: Value, exists: boolean): Value {
  const value = input === null ? null : fromInput(field, input, before, exists);
  const ignored = isZero(value) && ((field.computed && typeof value === "object") || field.keepsWhenEmpty);
  if (value !== null && !ignored) return value;
  if (field.computed || (field.keepsWhenEmpty && exists)) return exists ? before : unknown;
  if (field.default !== undefined) return field.default;
  return exists && isZero(before) && before !== null ? before : emptyOf(field);
}

/** Ports come back from the daemon in its own order. */
function sameAs(name: string, before: Value, now: Value): boolean {
  if (name === "ports" && Array.isArray(before) && Array.isArray(now)) return sameValue(sortedPorts(before), sortedPorts(now));
  return sameValue(before, now);
}

function sortedPorts(ports: Value[]): Value[] {
  const key = (port: Value) => (isMap(port) ? `${port.internal}/${port.protocol}/${port.external}/${port.ip}` : "");
  return [...ports].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Lists of blocks are never null in Terraform; everything else that is not given is. */
export function emptyOf(field: Field): Value {
  return field.of && !field.one ? [] : null;
}

function fromInput(field: Field, input: Value, before: Value, exists: boolean): Value {
  if (input === unknown) return unknown;
  const { of } = field;
  if (!of) return field.kind === "set" && Array.isArray(input) ? sortedSet(field, input) : input;
  if (field.one) return isMap(input) ? block(of, input, isMap(before) ? before : {}, exists) : input;
  if (!Array.isArray(input)) return input;
  const blocks = input.map((item, index) => {
    if (!isMap(item)) return item;
    const olds = Array.isArray(before) ? before : [];
    return block(of, item, oldBlock(olds, item, index), exists);
  });
  return field.kind === "set" ? sortedSet(field, blocks) : blocks;
}

/** The block of before that a block of now goes on with: for ports the same inner port, else the same position. */
function oldBlock(olds: Value[], item: PropertyMap, index: number): PropertyMap {
  const same = olds.find(
    (old) => isMap(old) && item.internal !== undefined && old.internal === item.internal && old.protocol === item.protocol,
  );
  const old = same ?? olds[index];
  return isMap(old) ? old : {};
}

function block(of: Fields, input: PropertyMap, before: PropertyMap, exists: boolean): PropertyMap {
  const out: PropertyMap = {};
  for (const [name, field] of Object.entries(of)) {
    const value = input[name] ?? null;
    if (value !== null) out[name] = fromInput(field, value, before[name] ?? null, exists);
    else if (field.default !== undefined) out[name] = field.default;
    else if (field.computed) out[name] = exists ? (before[name] ?? null) : unknown;
    else out[name] = emptyInBlock(field);
  }
  return out;
}

function emptyInBlock(field: Field): Value {
  if (field.kind === "string") return "";
  return (field.kind === "list" || field.kind === "set") && !field.one ? [] : null;
}

/** Terraform's null of a number, flag or map inside a block becomes its zero value once it went through a state. */
export function withZeros(field: Field, value: Value): Value {
  const { of } = field;
  if (!of || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => (isMap(item) ? zeroBlock(of, item) : item));
  return isMap(value) ? zeroBlock(of, value) : value;
}

function zeroBlock(of: Fields, value: PropertyMap): PropertyMap {
  const out: PropertyMap = { ...value };
  for (const [name, field] of Object.entries(of)) {
    const inner = value[name] ?? null;
    out[name] = inner === null ? zeroOf(field) : withZeros(field, inner);
  }
  return out;
}

export function zeroOf(field: Field): Value {
  if (field.kind === "int") return 0;
  if (field.kind === "bool") return false;
  if (field.kind === "string") return "";
  if (field.kind === "map") return {};
  return field.one ? null : [];
}

/** Terraform keeps sets of texts by the text, and sets of blocks by the bytes of the block with its fields by name. */
export function sortedSet(field: Field, elements: Value[]): Value[] {
  const keyed = elements.map((element) => ({ element, key: Buffer.from(setKey(field, element)) }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ element }) => element);
}

function setKey(field: Field, element: Value): string {
  if (field.of) return isMap(element) ? blockKey(field.of, element) : "?";
  return typeof element === "string" && element !== unknown ? element : "\u{10ffff}";
}

function blockKey(of: Fields, value: PropertyMap): string {
  const names = Object.entries(of).map(([name, field]) => ({ name, field, terraform: terraformName(name, field) }));
  names.sort((a, b) => (a.terraform < b.terraform ? -1 : 1));
  return `<${names.map(({ name, field }) => `${valueKey(field, value[name] ?? null)};`).join("")}>`;
}

function valueKey(field: Field, value: Value): string {
  if (value === unknown) return "?";
  if (value === null) return field.one ? "[]" : "~";
  if (typeof value === "boolean") return value ? "T" : "F";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  const [open, close] = field.kind === "list" ? ["[", "]"] : ["{", "}"];
  if (Array.isArray(value)) {
    const inner = value.map((item) => (field.of && isMap(item) ? blockKey(field.of, item) : JSON.stringify(item)));
    return `${open}${inner.map((item) => `${item};`).join("")}${close}`;
  }
  if (field.of) return `${open}${blockKey(field.of, value)};${close}`;
  const entries = Object.keys(value).sort();
  return `{${entries.map((key) => `${JSON.stringify(key)}:${JSON.stringify(value[key] ?? null)};`).join("")}}`;
}
