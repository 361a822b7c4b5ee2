/**
 * Configuration values as Pulumi defines them (sdk/go/common/resource/config): keys with namespaces, paths into objects,
 * secret leaves `{ secure: <ciphertext> }`, and how all of that becomes the strings that a program gets.
 */
import { EngineError } from "./errors.ts";

export type ConfigValue = null | boolean | number | string | ConfigValue[] | { [key: string]: ConfigValue };
/** Keys are `namespace:name`. */
export type ConfigMap = Map<string, ConfigValue>;
export type ConfigPath = (string | number)[];

export function isSecure(value: ConfigValue | undefined): value is { secure: string } {
  return isObject(value) && Object.keys(value).length === 1 && typeof value.secure === "string";
}

export function isObject(value: ConfigValue | undefined): value is { [key: string]: ConfigValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True where the value is a secret or holds one. */
export function hasSecure(value: ConfigValue | undefined): boolean {
  if (isSecure(value)) return true;
  if (Array.isArray(value)) return value.some(hasSecure);
  return isObject(value) && Object.values(value).some(hasSecure);
}

/** True where the CLI calls it an object: lists, maps and null, but not a secret text. */
export function isComposite(value: ConfigValue): boolean {
  return value === null || (typeof value === "object" && !isSecure(value));
}

export function mapSecure(
  value: ConfigValue,
  replace: (ciphertext: string, path: ConfigPath) => string,
  path: ConfigPath = [],
): ConfigValue {
  if (isSecure(value)) return replace(value.secure, path);
  if (Array.isArray(value)) return value.map((item, index) => mapSecure(item, replace, [...path, index]));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapSecure(item, replace, [...path, key])]));
}

/** The text of a decrypted value: text as it is, all else as JSON. */
export function valueText(value: ConfigValue): string {
  return typeof value === "string" ? value : goJson(value);
}

/** JSON as Go's encoder writes it: keys sorted, `<`, `>` and `&` escaped. */
export function goJson(value: unknown, indent?: string): string {
  const sorted = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(sorted);
    if (typeof item !== "object" || item === null) return item;
    return Object.fromEntries(
      Object.entries(item)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, part]) => [key, sorted(part)]),
    );
  };
  const escapes: { [character: string]: string } = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
  };
  return JSON.stringify(sorted(value), undefined, indent).replace(
    /[<>&\u2028\u2029]/g,
    (character) => escapes[character] ?? character,
  );
}

/** The full key of what a user wrote: `name` belongs to the project. With `isPath`, only the part before `.` or `[` is the key. */
export function parseConfigKey(project: string, text: string, isPath = false): string {
  if (isPath) {
    const end = text.search(/[[.]/);
    if (end > 0) return parseConfigKey(project, text.slice(0, end)) + text.slice(end);
  }
  const parts = text.split(":");
  if (parts.length === 1) return `${project}:${text}`;
  if (parts.length === 2) return text;
  const [namespace, module, name] = parts;
  // The older `namespace:config:name`.
  if (parts.length === 3 && module === "config") return `${namespace}:${name}`;
  throw new EngineError(
    `invalid configuration key: could not parse ${text} as a configuration key (configuration keys should be of the form \`<namespace>:<name>\`)`,
  );
}

/** `name` for the project's own keys, `namespace:name` for others. */
export function prettyKey(project: string, key: string): string {
  return key.startsWith(`${project}:`) ? key.slice(project.length + 1) : key;
}

/** Splits `ns:outer.list[0]["a.b"]` into the key `ns:outer` and the path `list`, 0, `a.b`. */
export function splitKeyPath(key: string): { key: string; path: ConfigPath } {
  const colon = key.indexOf(":");
  const [first, ...path] = parsePath(key.slice(colon + 1));
  if (first === undefined) throw new EngineError("empty config key path");
  if (typeof first !== "string") throw new EngineError("first path segement of config key must be a string");
  if (first === "") throw new EngineError("config key is empty");
  return { key: `${key.slice(0, colon)}:${first}`, path };
}

export function parsePath(text: string): ConfigPath {
  const fail = (why: string): never => {
    throw new EngineError(`invalid config key path: ${why} (in \`${text}\`; a path reads \`outer.list[0]["a.b"]\`)`);
  };
  if (text.startsWith(".")) fail("expected property path to start with a name or index");
  const path: ConfigPath = [];
  let rest = text;
  while (rest.length > 0) {
    if (rest[0] === ".") {
      rest = rest.slice(1);
      if (rest === "") fail("expected property path to end with a name or index");
      if (rest[0] === "[") fail("expected property name after '.'");
      continue;
    }
    if (rest[0] !== "[") {
      const [name = ""] = /^[^.[]*/.exec(rest) ?? [];
      path.push(name);
      rest = rest.slice(name.length);
      continue;
    }
    if (rest[1] === '"') {
      const [whole, name = ""] = /^\["((?:\\"|[^"])*)"/.exec(rest) ?? [];
      if (whole === undefined) fail("missing closing quote in property name");
      const length = whole?.length ?? 0;
      if (rest[length] !== "]") fail("missing closing bracket in property access");
      path.push(name.replaceAll('\\"', '"'));
      rest = rest.slice(length + 1);
      continue;
    }
    const close = rest.indexOf("]");
    if (close < 0) fail("missing closing bracket in array index");
    const index = rest.slice(1, close);
    if (index === "*") path.push("*");
    else if (/^[+-]?\d+$/.test(index)) path.push(Number(index));
    else fail(`invalid array index: strconv.ParseInt: parsing "${index}": invalid syntax`);
    rest = rest.slice(close + 1);
  }
  return path;
}

export function getAt(value: ConfigValue | undefined, path: ConfigPath): ConfigValue | undefined {
  let current = value;
  for (const step of path) {
    if (Array.isArray(current) && typeof step === "number") current = current[step];
    else if (isObject(current) && !isSecure(current) && typeof step === "string" && Object.hasOwn(current, step))
      current = current[step];
    else return undefined;
  }
  return current;
}

/** Below the top level "true", "false" and whole numbers become what they look like. */
export function coerce(text: string): ConfigValue {
  if (text === "true" || text === "false") return text === "true";
  if (!/^[+-]?\d+$/.test(text) || (text.length > 1 && text.startsWith("0"))) return text;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

/** A new value with `leaf` at the path; containers are made on the way. `key` names the top in error texts. */
export function setAt(root: ConfigValue | undefined, path: ConfigPath, leaf: ConfigValue, key: string): ConfigValue {
  return setBelow(root, path, leaf, [key.slice(key.indexOf(":") + 1)]);
}

function setBelow(current: ConfigValue | undefined, path: ConfigPath, leaf: ConfigValue, prefix: ConfigPath): ConfigValue {
  const [step, ...rest] = path;
  if (step === undefined) return leaf;
  const fail = (where: ConfigPath, why: string): never => {
    throw new EngineError(`could not set config: ${formatPath(where)}: ${why}`);
  };
  let container = current;
  const usable = Array.isArray(container) || (isObject(container) && !isSecure(container));
  if (!usable) {
    if (container !== undefined && container !== null && prefix.length > 1) {
      fail(prefix, typeof step === "number" ? "expected an array" : "expected a map");
    }
    container = typeof step === "number" ? [] : {};
    // As the CLI: a new list is as long as its first index asks for.
    if (Array.isArray(container) && typeof step === "number") for (let i = 0; i < step; i++) container.push(null);
  }
  const where = [...prefix, step];
  if (Array.isArray(container)) {
    if (typeof step !== "number") return fail(where, "key for an array must be an int");
    if (step < 0 || step > container.length) return fail(where, "array index out of range");
    const copy = [...container];
    copy[step] = setBelow(container[step], rest, leaf, where);
    return copy;
  }
  if (typeof step !== "string") return fail(where, "key for a map must be a string");
  if (!isObject(container)) return fail(where, "expected a map");
  if (rest.length === 0 && Object.keys(container).length === 0 && step === "secure" && typeof leaf === "string") {
    throw new EngineError('could not set config: maps with the single key "secure" are reserved');
  }
  const below = Object.hasOwn(container, step) ? container[step] : undefined;
  return { ...container, [step]: setBelow(below, rest, leaf, where) };
}

/** A new value without what lies at the path; the same value where there is nothing. */
export function removeAt(current: ConfigValue, path: ConfigPath): ConfigValue {
  const [step, ...rest] = path;
  if (step === undefined) return current;
  if (Array.isArray(current)) {
    if (typeof step !== "number" || step < 0 || step >= current.length) return current;
    if (rest.length === 0) return current.toSpliced(step, 1);
    return current.with(step, removeAt(current[step] ?? null, rest));
  }
  if (!isObject(current) || isSecure(current) || typeof step !== "string" || !Object.hasOwn(current, step)) return current;
  if (rest.length > 0) return { ...current, [step]: removeAt(current[step] ?? null, rest) };
  const { [step]: _, ...left } = current;
  if (isSecure(left)) throw new EngineError(`${formatPath(path)}: maps with the single key "secure" are reserved`);
  return left;
}

export function formatPath(path: ConfigPath): string {
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      if (!/^[A-Za-z_$][\w$-]*$/.test(step)) return `["${step}"]`;
      return index === 0 ? step : `.${step}`;
    })
    .join("");
}
