/**
 * One row a resource: what is known of it so far and the texts that say so (pkg/backend/display/rows.go, progress.go). Both
 * progress displays, plain lines and the tree, are made from these rows.
 */
import type { EngineEvent, StepMetadata, StepOp } from "../events.ts";
import type { Urn } from "../resource.ts";
import { changedKeys } from "./changed-keys.ts";
import { resourceName } from "./names.ts";
import { ops } from "./ops.ts";
import { isRootStack } from "./outputs.ts";
import { type Paint, stripAnsi } from "./style.ts";
import { plural, type SummaryEvent } from "./summary.ts";

export type DiagnosticEvent = Extract<EngineEvent, { kind: "diagnostic" }>;

export interface Row {
  /** Empty for the stack while its URN is not known. */
  urn: Urn;
  step: StepMetadata;
  /** Steps of this resource whose result is known. */
  ended: StepMetadata[];
  failed: boolean;
  /** Nothing to show but as a parent of others. */
  hidden: boolean;
  diagnostics: DiagnosticEvent[];
  last?: DiagnosticEvent;
  lastError?: DiagnosticEvent;
  counts: { error: number; warning: number; info: number };
  startedMs?: number;
  endedMs?: number;
}

export interface RowOptions {
  project: string;
  stack: string;
  isPreview: boolean;
  /** The tree shows a replacement as one; plain lines show each of its steps. */
  isTerminal: boolean;
  showSames: boolean;
  showReads: boolean;
  showReplacementSteps: boolean;
  debug: boolean;
  paint: Paint;
  /** Milliseconds; only differences matter. */
  nowMs(): number;
}

export interface Rows {
  /** Takes an event in; the row to draw anew, if one is. */
  take(event: EngineEvent): Row | undefined;
  all(): Row[];
  stackRow(): Row | undefined;
  /** Its URN was seen, so it has outputs that may be shown. */
  stackSeen(): boolean;
  summary(): SummaryEvent | undefined;
  isDone(row: Row): boolean;
  /** From now on all rows are done. */
  finish(): void;
  /** Mark, type, name, status, information. */
  columns(row: Row): string[];
  errored(): number;
}

/** The text of a diagnostic with its prefix, without trailing white space. */
export function diagnosticText(event: DiagnosticEvent): string {
  const prefix =
    event.severity === "error" || event.severity === "warning" || event.severity === "debug" ? `${event.severity}: ` : "";
  return (prefix + event.message).trimEnd();
}

export function createRows(options: RowOptions): Rows {
  const { paint, isPreview, isTerminal, nowMs } = options;
  const rows = new Map<Urn, Row>();
  let stackUrn: Urn = "";
  let done = false;
  let anyFailed = false;
  let summary: SummaryEvent | undefined;

  function newRow(urn: Urn, step: StepMetadata | undefined): Row {
    return {
      urn,
      step: step ?? { op: "same", urn, type: "", logical: true },
      ended: [],
      failed: false,
      hidden: true,
      diagnostics: [],
      counts: { error: 0, warning: 0, info: 0 },
    };
  }

  function rowFor(urn: Urn, step: StepMetadata | undefined): Row {
    const known = rows.get(urn);
    if (known) {
      ensureParent(step);
      return known;
    }
    if (isRootStack({ urn })) {
      stackUrn = urn;
      const waiting = rows.get("");
      if (waiting) {
        // What was said before the stack had a URN was said of it.
        rows.delete("");
        waiting.urn = urn;
        if (step) waiting.step = step;
        rows.set(urn, waiting);
        return waiting;
      }
    }
    const row = newRow(urn, step);
    rows.set(urn, row);
    ensureParent(step);
    ensureStack();
    return row;
  }

  function ensureStack(): void {
    if (!rows.has(stackUrn)) rows.set(stackUrn, { ...newRow(stackUrn, undefined), hidden: false });
  }

  function ensureParent(step: StepMetadata | undefined): void {
    const parent = (step?.new ?? step?.old)?.parent;
    if (!parent || parent === stackUrn || rows.has(parent)) return;
    rows.set(parent, newRow(parent, undefined));
    ensureStack();
  }

  function shouldShow(step: StepMetadata): boolean {
    if (step.op !== "same") return true;
    return (step.old?.protect ?? false) !== (step.new?.protect ?? false) || options.showSames;
  }

  function record(row: Row, event: DiagnosticEvent): void {
    row.last = event;
    if (event.severity === "error") row.lastError = event;
    row.diagnostics.push(event);
    if (event.ephemeral) return;
    if (event.severity === "error" || event.severity === "warning") row.counts[event.severity]++;
    else if (event.severity !== "debug") row.counts.info++;
  }

  function takeDiagnostic(event: DiagnosticEvent): Row | undefined {
    if ((event.severity === "debug" && !options.debug) || diagnosticText(event) === "") return undefined;
    const row = rowFor(event.urn || stackUrn, undefined);
    row.hidden = false;
    record(row, event);
    return row;
  }

  function takeStep(
    event: Extract<EngineEvent, { kind: "resource-pre" | "resource-outputs" | "resource-failed" }>,
  ): Row | undefined {
    const { step } = event;
    if (!options.showReads) {
      if (step.op === "read-discard" || step.op === "read-replacement") return undefined;
      if (step.op === "read") {
        const { type, name } = resourceName(step.urn, options.project, options.stack);
        return takeDiagnostic({ kind: "diagnostic", severity: "info", message: `read ${type} ${name}`, ephemeral: true });
      }
    }
    // The stack shows from its second event on: the first only says that the program runs.
    const root = step.urn === stackUrn;
    const row = rowFor(step.urn, step);
    if (shouldShow(step) || root) row.hidden = false;
    if (event.kind === "resource-failed") {
      anyFailed = true;
      row.failed = true;
      return row;
    }
    if (event.kind === "resource-pre") {
      row.startedMs = nowMs();
      delete row.endedMs;
      row.step = step;
      return row;
    }
    const refreshed = shownOp(row.step) === "refresh";
    row.endedMs = nowMs();
    row.step = step;
    row.ended.push(step);
    const custom = (step.new ?? step.old)?.custom ?? true;
    // A plain line that says again what an earlier one said is left out.
    return isTerminal || refreshed || (!isPreview && custom && step.op !== "same") ? row : undefined;
  }

  function take(event: EngineEvent): Row | undefined {
    switch (event.kind) {
      case "summary":
        summary = event;
        return undefined;
      case "diagnostic":
        return takeDiagnostic(event);
      case "stdout":
        return takeDiagnostic({ kind: "diagnostic", severity: "info", message: event.message, streamId: -1 });
      case "resource-pre":
      case "resource-outputs":
      case "resource-failed":
        return takeStep(event);
      default:
        return undefined;
    }
  }

  function isDone(row: Row): boolean {
    if (row.failed || done) return true;
    // The stack is done when all is.
    if (isRootStack(row)) return false;
    return row.ended.some((step) => step.op === row.step.op);
  }

  function shownOp(step: StepMetadata): StepOp {
    if (!isTerminal || anyFailed || options.showReplacementSteps || !(isPreview || done)) return step.op;
    return step.op === "create-replacement" || step.op === "delete-replaced" || step.op === "discard-replaced"
      ? "replace"
      : step.op;
  }

  function interrupted(row: Row): boolean {
    const custom = (row.step.new ?? row.step.old)?.custom ?? false;
    const op = shownOp(row.step);
    if (!done || !custom || op === "same" || op === "remove-pending-replace") return false;
    return !row.ended.some((step) => step.op === row.step.op);
  }

  function status(row: Row): string {
    const op = shownOp(row.step);
    const texts = ops[op];
    const failed = row.failed || row.counts.error > 0;
    const retain =
      row.step.old?.retainOnDelete && ["delete", "replace", "create-replacement", "delete-replaced"].includes(row.step.op)
        ? "[retain]"
        : "";
    const since = (endMs: number | undefined): string => {
      if (row.startedMs === undefined || endMs === undefined || op === "same") return "";
      const seconds = Math.max(0, endMs - row.startedMs) / 1000;
      return ` (${isDone(row) && seconds < 1 ? seconds.toFixed(2) : Math.floor(seconds)}s)`;
    };
    if (!failed && interrupted(row)) return paint(`${texts.running} (interrupted)`, "yellow") + retain;
    if (isDone(row)) {
      if (isPreview) return paint(texts.previewDone, texts.style) + retain;
      if (failed) return paint(`**${texts.failed}${since(row.endedMs)}**`, "red") + retain;
      return paint(texts.done + since(row.endedMs), texts.style) + retain;
    }
    if (isRootStack(row) && op === "same") return `running${retain}`;
    const text = isPreview ? texts.preview : texts.running + since(nowMs());
    return paint(text, "bold", texts.style) + retain;
  }

  function information(row: Row): string {
    let step = row.step;
    if (step.op === "create-replacement" || step.op === "delete-replaced") {
      step = row.ended.findLast((ended) => ended.op === "replace") ?? step;
    } else if (step.op === "import" || step.op === "import-replacement") {
      step = row.ended.findLast((ended) => ended.op === step.op) ?? step;
    }
    const parts = [changedKeys(step, paint)].filter((text) => text !== "").map((text) => `[${text}]`);
    if (done) {
      if (row.counts.error > 0) parts.push(paint(plural(row.counts.error, "error"), "red"));
      if (row.counts.warning > 0) parts.push(paint(plural(row.counts.warning, "warning"), "yellow"));
      if (row.counts.info > 0) parts.push(paint(plural(row.counts.info, "message"), "magenta"));
    } else {
      const shown = (isTerminal && row.lastError) || row.last;
      if (shown) parts.push(diagnosticText(shown));
    }
    const text = parts.join("; ");
    const end = text.indexOf("\n");
    return end < 0
      ? text
      : stripAnsi(text.slice(0, end)) === text.slice(0, end)
        ? text.slice(0, end)
        : stripAnsi(text.slice(0, end));
  }

  return {
    take,
    all: () => [...rows.values()],
    stackRow: () => rows.get(stackUrn),
    stackSeen: () => stackUrn !== "",
    summary: () => summary,
    isDone,
    finish: () => {
      done = true;
    },
    columns: (row) => {
      const { type, name } = resourceName(row.urn, options.project, options.stack);
      const { mark, style } = ops[shownOp(row.step)];
      return [paint(mark, style), type, name, status(row), information(row)];
    },
    errored: () => [...rows.values()].filter((row) => row.counts.error > 0).length,
  };
}
