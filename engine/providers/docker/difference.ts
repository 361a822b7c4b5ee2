/** How a docker resource's state and its plan differ, path by path, as Pulumi's Terraform bridge says it. */
import { type PropertyPath, printPath } from "../../property-path.ts";
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import type { DiffKind, DiffResponse, PropertyDiff } from "../provider.ts";
import { type Field, type Fields, isZero, type ResourceFields, sameValue, strings } from "./fields.ts";

interface Differ {
  out: Map<string, { kind: "ADD" | "UPDATE" | "DELETE"; replaces: boolean; top: string }>;
}
type Kind = "ADD" | "UPDATE" | "DELETE";

export function difference(
  type: ResourceFields,
  old: PropertyMap,
  plan: PropertyMap,
  inputs: PropertyMap,
  ignored: string[],
): DiffResponse {
  const differ: Differ = { out: new Map() };
  for (const name of Object.keys(type.fields).sort()) {
    const field = type.fields[name];
    if (!field || ignored.some((path) => path === name)) continue;
    diffField(differ, field, [name], old[name] ?? null, plan[name] ?? null, inputs[name] ?? null, field.replaces === true);
  }
  if ([...differ.out.values()].some((entry) => entry.replaces)) addForgotten(differ, type, old, plan);
  for (const path of differ.out.keys()) {
    if (ignored.some((prefix) => path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`))) {
      differ.out.delete(path);
    }
  }
  return response(type, differ, old, inputs);
}

/**
 * Terraform plans a replaced set with one block anew and takes what the program does not give in it for unknown. It shows
 * for `build` alone, the one such set whose fields are not all lists.
 */
function addForgotten(differ: Differ, type: ResourceFields, old: PropertyMap, plan: PropertyMap): void {
  const [before, now, of] = [old.build, plan.build, type.fields.build?.of];
  if (!isMap(before) || !isMap(now) || !of) return;
  for (const [name, field] of Object.entries(of)) {
    const path = `build.${name}`;
    if (before[name] !== null || now[name] !== null || differ.out.has(path)) continue;
    differ.out.set(path, { kind: "ADD", replaces: field.replaces === true, top: "build" });
  }
}

function response(type: ResourceFields, { out }: Differ, old: PropertyMap, inputs: PropertyMap): DiffResponse {
  const paths = [...out.keys()].sort();
  const detailedDiff: { [path: string]: PropertyDiff } = {};
  const replaces: string[] = [];
  const diffs: string[] = [];
  for (const path of paths) {
    const entry = out.get(path);
    if (!entry) continue;
    const kind: DiffKind = entry.replaces ? `${entry.kind}_REPLACE` : entry.kind;
    detailedDiff[path] = kind === "ADD" ? {} : { kind };
    if (entry.replaces) replaces.push(entry.top);
    if (!diffs.includes(entry.top)) diffs.push(entry.top);
  }
  const stables = Object.keys(type.fields)
    .filter((name) => type.fields[name]?.replaces && !diffs.includes(name))
    .sort();
  if (paths.length === 0) return { stables, changes: "DIFF_NONE", hasDetailedDiff: true };
  const first = replaces.length > 0 && (type.deleteBeforeReplace || nameStays(type, old, inputs));
  return {
    ...(replaces.length > 0 ? { replaces } : {}),
    stables,
    ...(first ? { deleteBeforeReplace: true } : {}),
    changes: "DIFF_SOME",
    diffs,
    detailedDiff,
    hasDetailedDiff: true,
  };
}

/** Two resources of one name cannot be there at the same time. */
function nameStays(type: ResourceFields, old: PropertyMap, inputs: PropertyMap): boolean {
  return type.autonamed && !strings(inputs.__defaults).includes("name") && old.name === inputs.name;
}

function note(differ: Differ, path: PropertyPath, kind: Kind, replaces: boolean): void {
  differ.out.set(printPath(path), { kind, replaces, top: String(path[0]) });
}

function diffField(
  differ: Differ,
  field: Field,
  path: PropertyPath,
  old: Value,
  now: Value,
  input: Value,
  replaces: boolean,
): void {
  if (sameValue(old, now)) return;
  if (now === unknown) {
    note(differ, path, old === null ? "ADD" : "UPDATE", replaces);
    return;
  }
  if (old === null || now === null) {
    const there = old === null ? now : old;
    note(differ, path, old === null ? "ADD" : "DELETE", replaces || holdsReplacing(field, there));
    return;
  }
  if (field.of && field.one) {
    if (isMap(old) && isMap(now)) {
      diffBlock(differ, field.of, path, old, now, input, replaces);
      return;
    }
  } else if (Array.isArray(old) && Array.isArray(now)) {
    if (field.kind === "set") {
      diffSet(differ, field, path, old, now, input, replaces);
      return;
    }
    if (field.of) {
      diffList(differ, field, path, old, now, input, replaces);
      return;
    }
    diffTexts(differ, path, old, now, replaces);
    return;
  } else if (field.kind === "map" && isMap(old) && isMap(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      diffField(differ, { kind: "string" }, [...path, key], old[key] ?? null, now[key] ?? null, null, replaces);
    }
    return;
  }
  note(differ, path, "UPDATE", replaces);
}

function holdsReplacing(field: Field, value: Value): boolean {
  if (field.replaces) return !isZero(value);
  const { of } = field;
  if (!of) return false;
  const blocks = Array.isArray(value) ? value : [value];
  return blocks.some(
    (block) => isMap(block) && Object.entries(of).some(([name, inner]) => holdsReplacing(inner, block[name] ?? null)),
  );
}

function diffBlock(
  differ: Differ,
  of: Fields,
  path: PropertyPath,
  old: PropertyMap,
  now: PropertyMap,
  input: Value,
  replaces: boolean,
): void {
  for (const [name, field] of Object.entries(of)) {
    const given = isMap(input) ? (input[name] ?? null) : null;
    const inner = replaces || field.replaces === true;
    diffField(differ, field, [...path, name], old[name] ?? null, now[name] ?? null, given, inner);
  }
}

function diffElement(
  differ: Differ,
  field: Field,
  path: PropertyPath,
  old: Value,
  now: Value,
  input: Value,
  replaces: boolean,
): void {
  if (field.of) {
    diffField(differ, { ...field, one: true }, path, old, now, input, replaces);
    return;
  }
  diffField(differ, { kind: "string" }, path, old, now, input, replaces);
}

function diffList(
  differ: Differ,
  field: Field,
  path: PropertyPath,
  old: Value[],
  now: Value[],
  input: Value,
  replaces: boolean,
): void {
  for (let index = 0; index < Math.max(old.length, now.length); index++) {
    const given = Array.isArray(input) ? (input[index] ?? null) : null;
    diffElement(differ, field, [...path, index], old[index] ?? null, now[index] ?? null, given, replaces);
  }
}

/** Lists of texts: what is taken out and what is put in, by the longest common part. */
function diffTexts(differ: Differ, path: PropertyPath, old: Value[], now: Value[], replaces: boolean): void {
  const lengths: number[][] = Array.from({ length: old.length + 1 }, () => new Array<number>(now.length + 1).fill(0));
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const row = lengths[i];
      if (row) row[j] = old[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const kinds = new Map<number, Kind>();
  const mark = (index: number, kind: Kind) => kinds.set(index, kinds.has(index) ? "UPDATE" : kind);
  for (let i = 0, j = 0; i < old.length || j < now.length; ) {
    if (i < old.length && j < now.length && old[i] === now[j]) [i, j] = [i + 1, j + 1];
    else if (j >= now.length || (i < old.length && at(i + 1, j) >= at(i, j + 1))) mark(i++, "DELETE");
    else mark(j++, "ADD");
  }
  for (const [index, kind] of kinds) note(differ, [...path, index], kind, replaces);
}

/** Elements of a set have no position; changed ones are shown where the program has them, if they can be told there. */
function diffSet(
  differ: Differ,
  field: Field,
  path: PropertyPath,
  old: Value[],
  now: Value[],
  input: Value,
  replaces: boolean,
): void {
  const removed = old.flatMap((item, index) => (now.some((other) => sameValue(item, other)) ? [] : [index]));
  const added = now.flatMap((item, index) => (old.some((other) => sameValue(item, other)) ? [] : [index]));
  if (removed.length === 0 && added.length === 0) return;
  const matched = matchInputs(field, added, now, Array.isArray(input) ? input : []);
  if (matched?.size !== added.length) {
    note(differ, path, "UPDATE", replaces);
    return;
  }
  for (const index of new Set([...removed, ...matched.keys()])) {
    const before = removed.includes(index) ? (old[index] ?? null) : null;
    const place = matched.get(index);
    const after = place === undefined ? null : (now[place] ?? null);
    diffElement(differ, field, [...path, index], before, after, null, replaces);
  }
}

/** Position among the inputs -> position in the plan, for elements that hold nothing but what the program gives. */
function matchInputs(field: Field, added: number[], now: Value[], inputs: Value[]): Map<number, number> | undefined {
  if (inputs.length < now.length) return undefined;
  const matched = new Map<number, number>();
  for (const place of added) {
    const index = inputs.findIndex((given, i) => !matched.has(i) && couldBe(field, given, now[place] ?? null));
    if (index >= 0) matched.set(index, place);
  }
  return matched;
}

function couldBe(field: Field, given: Value, plan: Value): boolean {
  const { of } = field;
  if (!of || !isMap(given) || !isMap(plan)) return given === plan;
  return Object.entries(of).every(([name, inner]) => {
    const [a, b] = [given[name] ?? null, plan[name] ?? null];
    if (a === null && inner.computed) return true;
    if (a === null && (inner.kind === "list" || inner.kind === "set" || inner.kind === "map")) return isZero(b);
    if (inner.of) return sameValue(a, b);
    return JSON.stringify(a) === JSON.stringify(b);
  });
}
