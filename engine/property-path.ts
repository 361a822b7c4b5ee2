/** Property paths as options name them (`a.b[0]["c d"]`, `*`): parse, contain, print, and put old values back. */
import { unwrapSecret } from "./properties.ts";
import { isMap, isSecret, type PropertyMap, secret, type Value } from "./values.ts";

export type PropertyPath = (string | number)[];

/** Undefined where the text is not a path. */
export function parsePath(text: string): PropertyPath | undefined {
  const path: PropertyPath = [];
  if (text.startsWith(".")) return undefined;
  let rest = text;
  while (rest) {
    if (rest.startsWith(".")) {
      rest = rest.slice(1);
      if (!rest) return undefined;
      continue;
    }
    const quoted = /^\["((?:\\"|[^"])*)"\]/.exec(rest);
    const indexed = /^\[(\*|-?\d+)\]/.exec(rest);
    const named = /^[^.[]+/.exec(rest);
    const match = quoted ?? indexed ?? named;
    if (!match) return undefined;
    const part = match[1] ?? match[0];
    if (quoted) path.push(part.replaceAll('\\"', '"'));
    else path.push(indexed && part !== "*" ? Number(part) : part);
    rest = rest.slice(match[0].length);
  }
  return path;
}

export function printPath(path: PropertyPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    if (!/^\w+$/.test(part)) return `${text}["${part.replaceAll('"', '\\"')}"]`;
    return text ? `${text}.${part}` : part;
  }, "");
}

/** True where `other` lies at or below `path`; `*` stands for any part. */
export function pathContains(path: PropertyPath, other: PropertyPath): boolean {
  return other.length >= path.length && path.every((part, index) => part === "*" || part === other[index]);
}

/**
 * The inputs with the old values at the ignored paths, and the paths at which that could not be done (an element was added
 * to or removed from a list).
 */
export function resetIgnored(
  inputs: PropertyMap,
  old: PropertyMap,
  ignoreChanges: string[],
): { inputs: PropertyMap; invalid: string[] } {
  if (ignoreChanges.length === 0) return { inputs, invalid: [] };
  const copy = structuredClone(inputs);
  const invalid = ignoreChanges.filter((text) => {
    const path = parsePath(text);
    return path !== undefined && !reset(path, old, copy, false, false);
  });
  return { inputs: copy, invalid };
}

function reset(path: PropertyPath, oldValue: Value, newValue: Value, oldSecret: boolean, newSecret: boolean): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return false;
  const old = unwrapSecret(oldValue);
  const now = unwrapSecret(newValue);
  const wasSecret = oldSecret || isSecret(oldValue);
  const nowSecret = newSecret || isSecret(newValue);
  const take = (value: Value): Value => (wasSecret && !nowSecret ? secret(value) : value);
  const deeper = (before: Value, after: Value) => reset(rest, before, after, wasSecret, nowSecret);
  if (typeof key === "number") {
    if (key < 0) return false;
    if (!Array.isArray(old) || !Array.isArray(now)) {
      return !Array.isArray(old) && !Array.isArray(now);
    }
    const before = old[key];
    const after = now[key];
    if (before === undefined || after === undefined) return rest.length === 0 && before === undefined && after === undefined;
    if (rest.length > 0) return deeper(before, after);
    now[key] = take(before);
    return true;
  }
  if (key === "*") return rest.length === 0 ? resetAll(old, now, take) : resetEach(old, now, deeper);
  const before = isMap(old) ? old[key] : undefined;
  if (rest.length === 0) {
    if (before === undefined) {
      if (isMap(now)) delete now[key];
      return true;
    }
    if (!isMap(now)) return false;
    now[key] = take(before);
    return true;
  }
  if (!isMap(old) || !isMap(now)) return !isMap(old) && !isMap(now);
  const after = now[key];
  if (after === undefined) return before === undefined;
  return deeper(before ?? null, after);
}

function resetAll(old: Value, now: Value, take: (value: Value) => Value): boolean {
  if (Array.isArray(now)) {
    if (!Array.isArray(old)) return true;
    old.slice(0, now.length).forEach((value, index) => {
      now[index] = take(value);
    });
    return old.length === now.length;
  }
  if (!isMap(now)) return false;
  if (isMap(old)) {
    for (const key of Object.keys(now)) if (!(key in old)) delete now[key];
    for (const [key, value] of Object.entries(old)) now[key] = take(value);
  }
  return true;
}

function resetEach(old: Value, now: Value, deeper: (before: Value, after: Value) => boolean): boolean {
  if (Array.isArray(old) && Array.isArray(now)) {
    return old.length === now.length && old.every((value, index) => deeper(value, now[index] ?? null));
  }
  if (!isMap(old) || !isMap(now)) return false;
  return Object.entries(old).every(([key, value]) => {
    const after = now[key];
    return after !== undefined && deeper(value, after);
  });
}
