/** What of a resource changed, on one line: `diff: ~environment,update`. */
import type { StepMetadata } from "../events.ts";
import { diffMaps, translateDetailedDiff } from "./object-diff.ts";
import { ops } from "./ops.ts";
import type { Paint } from "./style.ts";

/** Top-level keys only, and what of its options shows in the state; an empty text where nothing changed. */
export function changedKeys(step: StepMetadata, paint: Paint): string {
  if (!step.old || !step.new) return "";
  const same = step.op === "same";
  const detailed = !same && step.detailedDiff ? translateDetailedDiff(step, false).diff : undefined;
  const plain =
    !same && !step.detailedDiff && step.old.inputs && step.new.inputs ? diffMaps(step.old.inputs, step.new.inputs) : undefined;
  const diff = detailed ?? plain;
  const keys = {
    create: [...(diff?.adds.keys() ?? [])],
    delete: [...(diff?.deletes.keys() ?? [])],
    update: [...(diff?.updates.keys() ?? [])],
  };
  const metadata: string[] = [];
  if ((step.old.provider ?? "") !== (step.new.provider ?? "")) metadata.push("provider");
  if ((step.old.protect ?? false) !== (step.new.protect ?? false)) metadata.push("protect");
  if ((step.old.taint ?? false) !== (step.new.taint ?? false)) metadata.push("taint");
  keys.update.push(...metadata);
  if (!diff && metadata.length === 0) return "";
  const include = step.diffs ?? [];
  const marked = (["create", "delete", "update"] as const).map((op) => {
    const shown = keys[op].filter((key) => include.length === 0 || include.includes(key)).sort();
    return shown.length === 0 ? "" : paint(ops[op].mark.trim() + shown.join(","), ops[op].style);
  });
  return `diff: ${marked.join("")}`;
}
