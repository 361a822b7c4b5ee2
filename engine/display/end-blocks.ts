/** What is printed when all is done: Diagnostics, Outputs, Resources, Duration. */

import { outputsText } from "./outputs.ts";
import { type DiagnosticEvent, diagnosticText, type Row, type Rows } from "./progress-rows.ts";
import { keepColors, type Paint, stripAnsi } from "./style.ts";
import { summaryText } from "./summary.ts";

export interface EndOptions {
  isPreview: boolean;
  suppressOutputs: boolean;
  showSames: boolean;
  showSecrets: boolean;
  truncate: boolean;
  paint: Paint;
}

/** Lines that belong together are printed as one message: what a program wrote itself, and each output stream. */
function merged(row: Row): string[][] {
  const streams = new Map<number, DiagnosticEvent[]>();
  for (const event of row.diagnostics) {
    const list = streams.get(event.streamId ?? 0) ?? [];
    list.push(event);
    streams.set(event.streamId ?? 0, list);
  }
  return [...streams].map(([id, events]) => {
    const kept = events.filter((event) => !event.ephemeral);
    if (id === 0) return kept.map(diagnosticText);
    return kept.length === 0 ? [] : [kept.map((event) => event.message.replace(/\n$/, "")).join("\n")];
  });
}

function displayable(message: string): string[] {
  const lines = keepColors(message).split("\n");
  while (lines.length > 0 && stripAnsi(lines.at(-1) ?? "").trim() === "") lines.pop();
  return lines;
}

/** "Diagnostics:" by resource, in the order in which resources were first heard of; undefined where there are none. */
function diagnosticsText(rows: Rows, paint: Paint): string | undefined {
  const out: string[] = [];
  for (const row of rows.all()) {
    let headed = false;
    for (const messages of merged(row)) {
      const lines = messages.flatMap(displayable);
      if (lines.length === 0) continue;
      if (out.length === 0) out.push(paint("Diagnostics:", "brightMagenta", "bold"));
      if (!headed) {
        const [, type, name] = rows.columns(row);
        out.push(`  ${paint(`${type} (${name}):`, "brightBlue")}`);
        headed = true;
      }
      out.push(...lines.map((line) => `    ${line.trimEnd()}`), "");
    }
  }
  return out.length === 0 ? undefined : out.join("\n");
}

/** All blocks, as they stand below the progress; ends with an empty line. */
export function endText(rows: Rows, options: EndOptions): string {
  const { paint } = options;
  const blocks: string[] = [];
  const diagnostics = diagnosticsText(rows, paint);
  if (diagnostics !== undefined) blocks.push(diagnostics);
  const stack = rows.stackRow();
  if (!options.suppressOutputs && rows.stackSeen() && stack) {
    const outputs = outputsText(stack.step, 1, { ...options, planning: options.isPreview, refresh: false });
    if (outputs !== "") blocks.push(`${paint("Outputs:", "brightMagenta", "bold")}\n${outputs}`);
  }
  const summary = rows.summary();
  if (summary) blocks.push(summaryText(summary, rows.errored(), paint));
  return blocks.map((block) => `${block}\n`).join("");
}
