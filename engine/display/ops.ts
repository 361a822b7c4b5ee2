/** The words, marks and colours of each step operation (pkg/resource/deploy/step.go, pkg/backend/display/progress.go). */
import type { StepOp } from "../events.ts";
import type { Style } from "./style.ts";

interface OpTexts {
  /** Two columns. */
  mark: string;
  style: Style;
  /** In a preview, while it is planned and when all is planned. */
  preview: string;
  previewDone: string;
  running: string;
  done: string;
  failed: string;
  /** In the summary of an update; previews say `to <op>`. */
  past: string;
}

function texts(mark: string, style: Style, [preview, previewDone, running, done, failed, past]: string[]): OpTexts {
  return {
    mark,
    style,
    preview: preview ?? "",
    previewDone: previewDone ?? "",
    running: running ?? "",
    done: done ?? "",
    failed: failed ?? "",
    past: past ?? "",
  };
}

/** In the order of the summary. */
export const ops: { [op in StepOp]: OpTexts } = {
  same: texts("  ", "plain", ["", "", "", "", "failed", "samed"]),
  create: texts("+ ", "green", ["create", "create", "creating", "created", "creating failed", "created"]),
  update: texts("~ ", "yellow", ["update", "update", "updating", "updated", "updating failed", "updated"]),
  delete: texts("- ", "red", ["delete", "delete", "deleting", "deleted", "deleting failed", "deleted"]),
  replace: texts("+-", "brightMagenta", ["replace", "replace", "replacing", "replaced", "replacing failed", "replaced"]),
  "create-replacement": texts("++", "brightGreen", [
    "create replacement",
    "replace",
    "creating replacement",
    "created replacement",
    "creating failed",
    "create-replacementd",
  ]),
  "delete-replaced": texts("--", "brightRed", [
    "delete original",
    "replace",
    "deleting original",
    "deleted original",
    "deleting failed",
    "deleted",
  ]),
  read: texts("> ", "brightCyan", ["read", "read", "reading", "read", "reading failed", "read"]),
  "read-replacement": texts(">>", "brightMagenta", [
    "read for replacement",
    "replace",
    "reading for replacement",
    "read for replacement",
    "reading failed",
    "read-replacementd",
  ]),
  refresh: texts("~ ", "yellow", ["refreshing", "refresh", "refreshing", "refresh", "refreshing failed", "refreshed"]),
  "read-discard": texts("< ", "red", ["discard", "discard", "discarding", "discarded", "discarding failed", "discarded"]),
  "discard-replaced": texts("<<", "red", [
    "discard original",
    "replace",
    "discarding original",
    "discarded original",
    "discarding failed",
    "discarded",
  ]),
  "remove-pending-replace": texts("~ ", "plain", ["", "", "", "", "", ""]),
  import: texts("= ", "green", ["import", "import", "importing", "imported", "importing failed", "imported"]),
  "import-replacement": texts("=>", "brightMagenta", [
    "import replacement",
    "import",
    "importing replacement",
    "imported replacement",
    "importing failed",
    "imported",
  ]),
};

const replacing: StepOp[] = [
  "replace",
  "create-replacement",
  "delete-replaced",
  "read-replacement",
  "discard-replaced",
  "remove-pending-replace",
  "import-replacement",
];

/** One of the steps that together make a replacement. */
export function isReplacementStep(op: StepOp): boolean {
  return replacing.includes(op);
}
