/** What changed between two sets of properties (sdk/go/common/resource/properties_diff.go, pkg/engine/detailedDiff.go). */
import type { StepMetadata } from "../events.ts";
import { deepEqual, isPlainMap } from "../properties.ts";
import { type PropertyPath, parsePath, pathContains } from "../property-path.ts";
import type { DiffKind } from "../providers/provider.ts";
import { isMap, type PropertyMap, signatureOf, signatures, unknown, type Value } from "../values.ts";

export interface ObjectDiff {
  adds: Map<string, Value>;
  deletes: Map<string, Value>;
  sames: Map<string, Value>;
  updates: Map<string, ValueDiff>;
}
export interface ArrayDiff {
  adds: Map<number, Value>;
  deletes: Map<number, Value>;
  sames: Map<number, Value>;
  updates: Map<number, ValueDiff>;
}
export interface ValueDiff {
  old: Value;
  new: Value;
  array?: ArrayDiff;
  object?: ObjectDiff;
}

/** True for what a preview cannot know yet. */
export function isUnknown(value: Value | undefined): boolean {
  return value === unknown || (isMap(value) && signatureOf(value) === signatures.output && value.value === undefined);
}

function hasValue(value: Value | undefined): value is Value {
  return (
    value !== undefined &&
    value !== null &&
    !(isMap(value) && signatureOf(value) === signatures.output && value.value === undefined)
  );
}

export function isInternalKey(key: string): boolean {
  return key.startsWith("__");
}

export interface DiffOptions {
  /** Leaves out what lies under a path, e.g. one in `hideDiffs`. */
  ignore?: (path: PropertyPath) => boolean;
  /** Also compares keys that begin with two underscores. */
  internal?: boolean;
}

export function diffMaps(
  old: PropertyMap,
  next: PropertyMap,
  options: DiffOptions = {},
  path: PropertyPath = [],
): ObjectDiff | undefined {
  const diff: ObjectDiff = { adds: new Map(), deletes: new Map(), sames: new Map(), updates: new Map() };
  const ignored = (key: string) => (!options.internal && isInternalKey(key)) || options.ignore?.([...path, key]) === true;
  for (const [key, before] of Object.entries(old)) {
    if (ignored(key)) continue;
    const after = next[key];
    if (after === undefined) {
      if (hasValue(before)) diff.deletes.set(key, before);
      continue;
    }
    const change = diffValues(before, after, options, [...path, key]);
    if (!change) diff.sames.set(key, before);
    else if (!hasValue(before)) diff.adds.set(key, after);
    else if (!hasValue(after)) diff.deletes.set(key, before);
    else diff.updates.set(key, change);
  }
  for (const [key, after] of Object.entries(next)) {
    if (!ignored(key) && old[key] === undefined && hasValue(after)) diff.adds.set(key, after);
  }
  return diff.adds.size + diff.deletes.size + diff.updates.size > 0 ? diff : undefined;
}

export function diffValues(old: Value, next: Value, options: DiffOptions = {}, path: PropertyPath = []): ValueDiff | undefined {
  if (Array.isArray(old) && Array.isArray(next)) {
    const array: ArrayDiff = { adds: new Map(), deletes: new Map(), sames: new Map(), updates: new Map() };
    for (let i = 0; i < Math.max(old.length, next.length); i++) {
      const before = old[i];
      const after = next[i];
      if (before === undefined) array.adds.set(i, after ?? null);
      else if (after === undefined) array.deletes.set(i, before);
      else {
        const change = diffValues(before, after, options, [...path, i]);
        if (change) array.updates.set(i, change);
        else array.sames.set(i, before);
      }
    }
    return array.adds.size + array.deletes.size + array.updates.size > 0 ? { old, new: next, array } : undefined;
  }
  if (isPlainMap(old) && isPlainMap(next)) {
    const object = diffMaps(old, next, options, path);
    return object ? { old, new: next, object } : undefined;
  }
  return deepEqual(old, next) ? undefined : { old, new: next };
}

/** All keys that a diff knows, sorted. */
export function diffKeys(diff: ObjectDiff): string[] {
  return [...diff.adds.keys(), ...diff.deletes.keys(), ...diff.sames.keys(), ...diff.updates.keys()].sort();
}

/** A test for the paths of `hideDiffs`, which also notes those that hid something. */
export function hiddenPaths(step: StepMetadata): { ignore: (path: PropertyPath) => boolean; found: () => string[] } {
  const hidden = (step.new ?? step.old)?.hideDiff ?? [];
  const parsed = hidden.map((text) => ({ text, path: parsePath(text) ?? [text] }));
  const found = new Set<string>();
  return {
    ignore: (path) => {
      const hit = parsed.find((entry) => pathContains(entry.path, path));
      if (hit) found.add(hit.text);
      return hit !== undefined;
    },
    found: () => [...found].sort(),
  };
}

function property(element: string | number, parent: Value | undefined): Value | undefined {
  if (Array.isArray(parent)) return typeof element === "number" ? parent[element] : undefined;
  if (isPlainMap(parent)) return typeof element === "string" ? parent[element] : undefined;
  // What is unknown or secret may hold the element.
  return parent === unknown || (isMap(parent) && signatureOf(parent) !== undefined) ? parent : undefined;
}

function emptyDiff<Key>(): {
  adds: Map<Key, Value>;
  deletes: Map<Key, Value>;
  sames: Map<Key, Value>;
  updates: Map<Key, ValueDiff>;
} {
  return { adds: new Map(), deletes: new Map(), sames: new Map(), updates: new Map() };
}

function addTo(
  path: PropertyPath,
  kind: DiffKind,
  parent: ValueDiff,
  oldParent: Value | undefined,
  newParent: Value | undefined,
): void {
  const [element, ...rest] = path;
  if (element === undefined) return;
  const old = property(element, oldParent);
  const next = property(element, newParent);
  const put = <Key>(diff: ReturnType<typeof emptyDiff<Key>>, key: Key): void => {
    if (rest.length === 0) {
      if (kind === "ADD" || kind === "ADD_REPLACE") diff.adds.set(key, next === undefined ? unknown : next);
      else if (kind === "DELETE" || kind === "DELETE_REPLACE") diff.deletes.set(key, old === undefined ? unknown : old);
      else
        diff.updates.set(
          key,
          diffValues(old ?? null, next ?? null, { internal: true }) ?? { old: old ?? null, new: next ?? null },
        );
      return;
    }
    if ((old ?? null) === null && (next ?? null) !== null) diff.adds.set(key, next ?? null);
    else if ((old ?? null) !== null && (next ?? null) === null) diff.deletes.set(key, old ?? null);
    else {
      const child = diff.updates.get(key) ?? { old: null, new: null };
      addTo(rest, kind, child, old, next);
      diff.updates.set(key, child);
    }
  };
  if (typeof element === "number") {
    parent.array ??= emptyDiff<number>();
    put(parent.array, element);
  } else {
    parent.object ??= emptyDiff<string>();
    put(parent.object, element);
  }
}

/**
 * The diff that a provider named path by path, with values: old ones from the outputs (or inputs, where it says so), new
 * ones from the inputs; after a refresh from the outputs.
 */
export function translateDetailedDiff(step: StepMetadata, refresh: boolean): { diff?: ObjectDiff; hidden: string[] } {
  const hidden = hiddenPaths(step);
  const root: ValueDiff = { old: null, new: null };
  for (const [text, { kind, inputDiff }] of Object.entries(step.detailedDiff ?? {})) {
    const path = parsePath(text) ?? [text];
    if (hidden.ignore(path)) continue;
    const olds = inputDiff ? step.old?.inputs : step.old?.outputs;
    const news = refresh && !inputDiff ? step.new?.outputs : step.new?.inputs;
    addTo(path, kind ?? "ADD", root, olds ?? {}, news ?? {});
  }
  return { diff: root.object, hidden: hidden.found() };
}
