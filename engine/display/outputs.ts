/** The outputs of a step that are worth showing: all of a stack after an update, otherwise what changed. */
import type { StepMetadata } from "../events.ts";
import { deepEqual } from "../properties.ts";
import { parseUrn, stackType } from "../resource.ts";
import { isMap, type PropertyMap, type Value } from "../values.ts";
import { createDiffPrinter } from "./diff-printer.ts";
import {
  diffKeys,
  diffMaps,
  diffValues,
  hiddenPaths,
  isInternalKey,
  isUnknown,
  type ObjectDiff,
  type ValueDiff,
} from "./object-diff.ts";
import { createPrinter, type PrintSettings, shouldPrint, widest } from "./property-printer.ts";

/** Marks a resource among the outputs in a preview; it is gone once the resource exists. */
const resourceMark = "@isPulumiResource";

export function isRootStack(step: { urn: string }): boolean {
  return step.urn !== "" && parseUrn(step.urn).qualifiedType === stackType;
}

export interface OutputOptions extends PrintSettings {
  refresh: boolean;
  showSames: boolean;
}

/** The lines of the outputs, or an empty text. */
export function outputsText(step: StepMetadata, indent: number, options: OutputOptions): string {
  const { planning, refresh } = options;
  const stack = isRootStack(step);
  const showSames = options.showSames || (!planning && stack);
  const known =
    refresh ||
    stack ||
    step.op === "read" ||
    step.op === "read-replacement" ||
    step.op === "import" ||
    step.op === "import-replacement";
  if (planning && !known) return "";
  if ((step.old?.initErrors ?? []).length > 0) return "";

  const ins = step.new?.outputs ? (step.new.inputs ?? {}) : {};
  const outs = step.new?.outputs ?? {};
  const hidden = hiddenPaths(step);
  let diff: ObjectDiff | undefined;
  if (step.old?.outputs) {
    diff = diffMaps(step.old.outputs, outs, { ignore: hidden.ignore });
    if (!diff && hidden.found().length > 0)
      diff = { adds: new Map(), deletes: new Map(), sames: new Map(), updates: new Map() };
    if (planning && stack && diff) dropUnknownAdditions(diff);
    if (!diff && !showSames) return "";
  }
  const keys = diff ? diffKeys(diff) : Object.keys(outs).sort();
  const align = widest(keys);
  const print = createPrinter(options);
  const diffPrint = createDiffPrinter(print);
  const place = { indent, op: step.op, prefix: false };
  const line = (key: string): string => {
    const out = outs[key];
    if (!diff && (isInternalKey(key) || !shouldPrint(out, true))) return "";
    const given = ins[key];
    if (given !== undefined && !refresh && !diffValues(out ?? null, given, { ignore: hidden.ignore }, [key])) return "";
    if (!diff) return print.property(place, key, out ?? null, align);
    const shown = showSames || diff.adds.has(key) || diff.deletes.has(key) || diff.updates.has(key);
    return shown ? diffPrint.propertyDiff(place, key, align, diff) : "";
  };
  return diffPrint.hidden(place, hidden.found()) + keys.map(line).join("");
}

/** In a preview, what is unknown inside a resource among the outputs is no change, and an unknown value is not one either. */
function dropUnknownAdditions(diff: ObjectDiff): void {
  const resource = diff.adds.delete(resourceMark);
  for (const [key, value] of diff.adds) {
    if (resource && isUnknown(value)) diff.adds.delete(key);
    else diff.adds.set(key, withoutMark(value));
  }
  for (const [key, change] of diff.updates) {
    if (resource && isUnknown(change.new) && !shouldPrint(change.old, false)) {
      diff.updates.delete(key);
      continue;
    }
    dropInside(change);
    const changes = change.object && change.object.adds.size + change.object.deletes.size + change.object.updates.size > 0;
    if ((!changes && deepEqual(change.old, change.new)) || isUnknown(change.new)) diff.updates.delete(key);
  }
}

function dropInside(change: ValueDiff): void {
  if (change.object) dropUnknownAdditions(change.object);
  if (!change.array) return;
  for (const [i, value] of change.array.adds) change.array.adds.set(i, withoutMark(value));
  for (const inner of change.array.updates.values()) dropInside(inner);
}

function withoutMark(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutMark);
  if (!isMap(value)) return value;
  const out: PropertyMap = {};
  for (const [key, inner] of Object.entries(value)) if (key !== resourceMark) out[key] = withoutMark(inner);
  return out;
}
