/** The blocks at the end: how many resources changed, how many failed, how long it took. */
import type { EngineEvent, StepOp } from "../events.ts";
import { ops } from "./ops.ts";
import type { Paint } from "./style.ts";

export type SummaryEvent = Extract<EngineEvent, { kind: "summary" }>;

export function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

const uncounted: StepOp[] = ["same", "read", "read-discard", "read-replacement"];
const stepOps = [
  "same",
  "create",
  "update",
  "delete",
  "replace",
  "create-replacement",
  "delete-replaced",
  "read",
  "read-replacement",
  "refresh",
  "read-discard",
  "discard-replaced",
  "remove-pending-replace",
  "import",
  "import-replacement",
] as const satisfies StepOp[];

/** "1m5s", as Go writes a duration in whole seconds. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ""}${whole >= 60 ? `${minutes}m` : ""}${whole % 60}s`;
}

/** "Resources:" with its counts and, after an update, "Duration:". Ends with a newline. */
export function summaryText(event: SummaryEvent, errored: number, paint: Paint): string {
  const lines = [paint("Resources:", "brightMagenta", "bold")];
  let kinds = 0;
  let total = 0;
  for (const op of stepOps) {
    const count = event.changes[op] ?? 0;
    if (count === 0 || uncounted.includes(op)) continue;
    kinds++;
    total += count;
    const { mark, style, past } = ops[op];
    lines.push(`    ${paint(`${mark}${count} ${event.isPreview ? `to ${op}` : past}`, style)}`);
  }
  const pieces: string[] = [];
  if (kinds >= 2) pieces.push(paint(plural(total, "change"), "bold"));
  if (event.changes.same) pieces.push(`${event.changes.same} unchanged`);
  if (pieces.length > 0) lines.push(`    ${pieces.join(". ")}`);
  if (errored > 0) lines.push(`    ${paint(`${errored} errored`, "red")}`);
  if (!event.isPreview) {
    lines.push("", `${paint("Duration:", "brightMagenta", "bold")} ${durationText(event.durationSeconds)}`);
  }
  return `${lines.join("\n")}\n`;
}
