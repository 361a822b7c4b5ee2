/** The view of `--diff`: each step with its properties, indented below its parents (pkg/backend/display/diff.go). */
import type { EngineEvent, StepMetadata } from "../events.ts";
import type { Urn } from "../resource.ts";
import { unknown } from "../values.ts";
import { createDiffPrinter } from "./diff-printer.ts";
import { printable } from "./names.ts";
import { diffMaps, hiddenPaths, translateDetailedDiff } from "./object-diff.ts";
import { isReplacementStep, ops } from "./ops.ts";
import { isRootStack, outputsText } from "./outputs.ts";
import { type DiagnosticEvent, diagnosticText } from "./progress-rows.ts";
import { createPrinter, indentation, type Place } from "./property-printer.ts";
import { keepColors, type Paint } from "./style.ts";
import { summaryText } from "./summary.ts";

export interface DiffViewOptions {
  paint: Paint;
  showSames: boolean;
  showReplacementSteps: boolean;
  showSecrets: boolean;
  suppressOutputs: boolean;
  truncate: boolean;
  debug: boolean;
  write(text: string): void;
  /** Diagnostics go to stderr. */
  writeError(text: string): void;
}

export interface DiffView {
  event(event: EngineEvent): void;
}

/** Steps worth showing: all that change something; of a replacement only the step that stands for the whole. */
export function isShown(step: StepMetadata, options: { showSames: boolean; showReplacementSteps: boolean }): boolean {
  if (step.op === "same") return (step.old?.protect ?? false) !== (step.new?.protect ?? false) || options.showSames;
  return options.showReplacementSteps || step.logical || !isReplacementStep(step.op);
}

export function createDiffView(options: DiffViewOptions): DiffView {
  const seen = new Map<Urn, StepMetadata>();
  let errored = 0;

  function event(event: EngineEvent): void {
    if (event.kind === "resource-pre") {
      seen.set(event.step.urn, event.step);
      if (event.step.op !== "refresh" && event.step.op !== "import") show(event.step, event.planning, false);
    } else if (event.kind === "resource-outputs") showOutputs(event.step, event.planning);
    else if (event.kind === "resource-failed") errored++;
    else if (event.kind === "diagnostic") showDiagnostic(event);
    else if (event.kind === "stdout") options.writeError(`${keepColors(event.message)}\n`);
    else if (event.kind === "summary") options.write(summaryText(event, errored, options.paint));
  }

  function showDiagnostic(event: DiagnosticEvent): void {
    if (event.severity === "debug" && !options.debug) return;
    const text = diagnosticText(event);
    if (text !== "") options.writeError(`${keepColors(text)}\n`);
  }

  function worthShowing(step: StepMetadata): boolean {
    return isShown(step, options) || isRootStack(step);
  }

  function indentOf(step: StepMetadata): number {
    let indent = 0;
    let parent = (step.new ?? step.old)?.parent;
    const passed = new Set<Urn>();
    while (parent && !passed.has(parent)) {
      const above = seen.get(parent);
      if (!above) break;
      if (worthShowing(above)) indent++;
      passed.add(parent);
      parent = (above.new ?? above.old)?.parent;
    }
    return indent;
  }

  function show(step: StepMetadata, planning: boolean, refresh: boolean): void {
    if (!worthShowing(step)) return;
    const indent = indentOf(step);
    options.write(
      stepHeader(step, indent, options.paint) + (step.op === "same" ? "" : details(step, indent + 1, planning, refresh)),
    );
  }

  function details(step: StepMetadata, indent: number, planning: boolean, refresh: boolean): string {
    const print = createPrinter({ ...options, planning });
    const diffPrint = createDiffPrinter(print);
    const place: Place = { indent, op: step.op, prefix: false };
    const marked: Place = { ...place, op: "same", prefix: true };
    const { old, new: next } = step;
    if (step.detailedDiff && old && next) {
      const { diff, hidden } = translateDetailedDiff(step, refresh);
      return diff
        ? diffPrint.hidden(place, hidden) + diffPrint.objectDiff(marked, diff)
        : print.object(marked, old.inputs ?? {});
    }
    const outputs = next?.outputs ?? {};
    if (!old) return print.object(place, Object.keys(outputs).length > 0 ? outputs : (next?.inputs ?? {}));
    if (!next) return print.object(place, old.inputs ?? {});
    const compareOutputs = Object.keys(outputs).length > 0 && step.op !== "import" && step.op !== "import-replacement";
    const hidden = hiddenPaths(step);
    const news = compareOutputs ? outputs : (next.inputs ?? {});
    const diff = diffMaps((compareOutputs ? old.outputs : old.inputs) ?? {}, news, { ignore: hidden.ignore });
    if (!diff && hidden.found().length === 0) return print.object(marked, news);
    const shown = diff ? diffPrint.objectDiff(marked, diff, compareOutputs ? undefined : step.diffs) : "";
    return diffPrint.hidden(place, hidden.found()) + shown;
  }

  function showOutputs(step: StepMetadata, planning: boolean): void {
    if (!worthShowing(step)) return;
    const before = seen.get(step.urn);
    const refresh = before?.op === "refresh";
    if (step.op === "import" || (refresh && step.op === "update")) {
      show(step, planning, refresh);
      return;
    }
    const indent = indentOf(step);
    const text = outputsText(step, indent + 1, { ...options, planning, refresh });
    if (refresh && (step.op !== "refresh" || text !== "" || isRootStack(step)))
      options.write(stepHeader(step, indent, options.paint));
    if (options.suppressOutputs || text === "") return;
    const header = `${indentation({ indent: indent + 1, op: step.op, prefix: false })}--outputs:--`;
    options.write(`${options.paint(header, ops[step.op].style)}\n${text}`);
  }

  return { event };
}

function stepHeader(step: StepMetadata, indent: number, paint: Paint): string {
  const { mark, style } = ops[step.op];
  const { old, new: next } = step;
  // A lock for what is protected, an open one for what is not any more.
  const lock = next && !next.protect && old?.protect ? " 🔓" : next?.protect || old?.protect ? " 🔒" : "";
  const retain =
    old?.retainOnDelete && ["delete", "replace", "create-replacement", "delete-replaced"].includes(step.op) ? "[retain]" : "";
  const spaces = "    ".repeat(indent);
  const same = ["create", "delete", "delete-replaced", "read-discard", "discard-replaced"].includes(step.op) ? style : "plain";
  const lines = [paint(`${spaces}${mark}${step.type}: (${step.op}${retain})${lock}`, style)];
  const property = (text: string): void => void lines.push(paint(`${spaces}    ${text}`, same));
  if (old?.id) property(`[id=${old.id}]`);
  property(`[urn=${printable(step.urn)}]`);
  if (old && next && (old.provider ?? "") !== (next.provider ?? "") && step.provider) {
    const to = (next.provider ?? "").replace(unknown, "[unknown]");
    lines.push(paint(`${spaces}    [provider: ${old.provider ?? ""} => ${to}]`, "yellow"));
  } else if (step.provider) property(`[provider=${step.provider}]`);
  return `${lines.join("\n")}\n`;
}
