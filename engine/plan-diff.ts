/** Pure: what a provider's diff, the options of a resource and its old state mean together. */

import { containsUnknowns, deepEqual, isPlainMap, withoutSecrets } from "./properties.ts";
import { diffMaps } from "./property-diff.ts";
import { parsePath, pathContains } from "./property-path.ts";
import type { DiffKind, PropertyDiff } from "./providers/provider.ts";
import type { Diff } from "./resource-operations.ts";
import type { PropertyMap, Value } from "./values.ts";

const initErrorKey = "#initerror";

const replaceKind = { ADD: "ADD_REPLACE", DELETE: "DELETE_REPLACE", UPDATE: "UPDATE_REPLACE" } as const;
const inverseKind: { [kind in DiffKind]: DiffKind } = {
  ADD: "DELETE",
  ADD_REPLACE: "DELETE_REPLACE",
  DELETE: "ADD",
  DELETE_REPLACE: "ADD_REPLACE",
  UPDATE: "UPDATE",
  UPDATE_REPLACE: "UPDATE_REPLACE",
};

const kindOf = (diff: PropertyDiff): DiffKind => diff.kind ?? "ADD";

export function isReplacement(diff: Diff): boolean {
  const kinds = Object.values(diff.detailedDiff ?? {}).map(kindOf);
  return diff.replaceKeys.length > 0 || kinds.some((kind) => kind.endsWith("_REPLACE"));
}

/** Where the provider did not say whether there are changes, the inputs decide. */
export function resolveUnknownDiff(diff: Diff, oldInputs: PropertyMap, newInputs: PropertyMap): Diff {
  if (diff.changes !== "unknown") return diff;
  const clear = (map: PropertyMap): PropertyMap => {
    const value = withoutSecrets(map);
    return isPlainMap(value) ? value : {};
  };
  const changed = diffMaps(clear(oldInputs), clear(newInputs));
  return changed ? { ...diff, ...changed, changes: "some" } : { ...diff, changes: "none" };
}

/** Turns changes below the given paths into replacements; `#initerror` stands for a failed initialisation. */
export function applyReplaceOnChanges(diff: Diff, replaceOnChanges: string[], hasInitErrors: boolean): Diff {
  if (diff.changes !== "some" && !hasInitErrors) return diff;
  const paths = replaceOnChanges.flatMap((text) => {
    const path = parsePath(text);
    return path ? [path] : [];
  });
  const forced = (text: string): boolean => {
    const other = parsePath(text);
    return other !== undefined && paths.some((path) => pathContains(path, other));
  };
  const replaceKeys = [...new Set([...diff.replaceKeys, ...diff.changedKeys.filter(forced)])];
  const detailedDiff = diff.detailedDiff && { ...diff.detailedDiff };
  for (const [path, property] of Object.entries(detailedDiff ?? {})) {
    const kind = kindOf(property);
    if (detailedDiff && forced(path) && (kind === "ADD" || kind === "DELETE" || kind === "UPDATE")) {
      detailedDiff[path] = { ...property, kind: replaceKind[kind] };
    }
  }
  let changes = diff.changes;
  if (hasInitErrors && forced(initErrorKey)) {
    replaceKeys.push(initErrorKey);
    if (detailedDiff) detailedDiff[initErrorKey] = { kind: "UPDATE_REPLACE" };
    changes = "some";
  }
  return { ...diff, changes, replaceKeys, ...(detailedDiff && { detailedDiff }) };
}

/** A refresh tells what changed outside, so the diff of an update that would undo it is turned round. */
export function invertDiff(diff: Diff): Diff {
  if (!diff.detailedDiff) return diff;
  const inverted = Object.entries(diff.detailedDiff).map(([path, property]): [string, PropertyDiff] => [
    path,
    { ...property, kind: inverseKind[kindOf(property)] },
  ]);
  return { ...diff, detailedDiff: Object.fromEntries(inverted) };
}

/** A trigger replaces where it changed or is not known; none before or after means there is nothing to compare. */
export function triggersReplacement(now: Value | undefined, old: Value | undefined): boolean {
  const after = withoutSecrets(now ?? null);
  const before = withoutSecrets(old ?? null);
  if (containsUnknowns(after) || containsUnknowns(before)) return true;
  return after !== null && before !== null && !deepEqual(after, before);
}
