/** The difference of two property maps, for providers that do not say it themselves. */
import { deepEqual, isPlainMap } from "./properties.ts";
import { type PropertyPath, printPath } from "./property-path.ts";
import type { PropertyDiff } from "./providers/provider.ts";
import type { PropertyMap, Value } from "./values.ts";

export interface ObjectDiff {
  changedKeys: string[];
  detailedDiff: { [path: string]: PropertyDiff };
}

/** Undefined where nothing differs. Compares in the form given: strip secrets before where they are not to matter. */
export function diffMaps(old: PropertyMap, now: PropertyMap): ObjectDiff | undefined {
  const detailedDiff: { [path: string]: PropertyDiff } = {};
  const changedKeys: string[] = [];
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    if (deepEqual(old[key], now[key])) continue;
    changedKeys.push(key);
    diffValues([key], old[key], now[key], detailedDiff);
  }
  return changedKeys.length > 0 ? { changedKeys: changedKeys.sort(), detailedDiff } : undefined;
}

function diffValues(
  path: PropertyPath,
  old: Value | undefined,
  now: Value | undefined,
  out: { [path: string]: PropertyDiff },
): void {
  if (deepEqual(old, now)) return;
  if (Array.isArray(old) && Array.isArray(now)) {
    for (let index = 0; index < Math.max(old.length, now.length); index++) {
      diffValues([...path, index], old[index], now[index], out);
    }
  } else if (isPlainMap(old) && isPlainMap(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) diffValues([...path, key], old[key], now[key], out);
  } else {
    const kind = old === undefined || old === null ? "ADD" : now === undefined || now === null ? "DELETE" : "UPDATE";
    out[printPath(path)] = { kind, inputDiff: true };
  }
}
