/** Picks how a deployment is shown: lines, a tree, a diff or JSON. */
import type { EngineEvent } from "../events.ts";
import type { Display } from "./progress-plain.ts";
import type { Redactor } from "./redact.ts";
import { createPaint } from "./style.ts";

export type { Display } from "./progress-plain.ts";

export interface DisplayOptions {
  kind: "update" | "refresh" | "destroy";
  isPreview: boolean;
  project: string;
  stack: string;
  /** `--diff`. */
  diff: boolean;
  /** `--json`. */
  json: boolean;
  /** Standard output is a terminal whose lines may be redrawn. */
  interactive: boolean;
  colors: boolean;
  showSames: boolean;
  showReads: boolean;
  showReplacementSteps: boolean;
  showConfig: boolean;
  showSecrets: boolean;
  suppressOutputs: boolean;
  suppressProgress: boolean;
  /** `--show-full-output`. */
  fullOutput: boolean;
  debug: boolean;
}

export interface DisplayOutput {
  out(text: string): void;
  err(text: string): void;
  /** Of the terminal, asked for at each frame. */
  columns(): number;
  rows(): number;
  nowMs(): number;
}

const labels = {
  update: { preview: "Previewing update", run: "Updating" },
  refresh: { preview: "Previewing refresh", run: "Refreshing" },
  destroy: { preview: "Previewing destroy", run: "Destroying" },
} as const;

/** Prints the headline and returns what takes the events. */
export async function openDisplay(options: DisplayOptions, output: DisplayOutput, redactor?: Redactor): Promise<Display> {
  const display = await createDisplay(options, output);
  return {
    ...display,
    event: (event) => {
      if (isInternal(event)) return;
      display.event(redactor ? redactor.event(event) : event);
    },
  };
}

/** Default providers and the like: of use to the history, not to readers. */
function isInternal(event: EngineEvent): boolean {
  return "internal" in event && event.internal === true;
}

/** Each kind is loaded when it is needed. */
async function createDisplay(options: DisplayOptions, output: DisplayOutput): Promise<Display> {
  const paint = createPaint(options.colors);
  const label = labels[options.kind][options.isPreview ? "preview" : "run"];
  const shared = { ...options, paint, truncate: !options.fullOutput, nowMs: output.nowMs, write: output.out };
  if (options.json) {
    const { createJsonEvents, createJsonPreview } = await import("./json.ts");
    return options.isPreview ? createJsonPreview(shared) : createJsonEvents(shared);
  }
  output.out(`${paint(`${label} (${options.stack}):`, "brightMagenta", "bold")}\n`);
  if (options.diff) {
    const { createDiffView } = await import("./diff.ts");
    const view = createDiffView({ ...shared, writeError: output.err });
    return { event: view.event, notice: (text) => output.err(`${text}\n`), tickMs: 1000, tick: () => {}, close: () => {} };
  }
  const progress = { ...shared, label: label.toLowerCase() };
  if (options.interactive) {
    const { createTtyProgress } = await import("./progress-tty.ts");
    return createTtyProgress({ ...progress, screen: { write: output.out, columns: output.columns, rows: output.rows } });
  }
  const { createPlainProgress } = await import("./progress-plain.ts");
  return createPlainProgress(progress);
}

/** Calls `tick` until it is stopped; does not keep the process alive. */
export function startTicking(display: Display): () => void {
  const timer = setInterval(() => display.tick(), display.tickMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** The steps of a preview as a diff, for "details" and for `--diff` after the fact. */
export async function detailsText(events: EngineEvent[], options: DisplayOptions): Promise<string> {
  const { createDiffView } = await import("./diff.ts");
  let text = "";
  const add = (more: string): void => {
    text += more;
  };
  const view = createDiffView({
    ...options,
    paint: createPaint(options.colors),
    truncate: false,
    suppressOutputs: options.suppressOutputs,
    write: add,
    writeError: () => {},
  });
  for (const event of events) {
    if ((event.kind === "resource-pre" || event.kind === "resource-outputs") && !isInternal(event)) view.event(event);
  }
  return `${text.trim()}\n`;
}
