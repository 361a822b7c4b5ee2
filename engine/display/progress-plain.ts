/** Progress without a terminal: a line each time something happens, and dots while nothing does. */
import type { EngineEvent } from "../events.ts";
import { type EndOptions, endText } from "./end-blocks.ts";
import { createRows, type Row, type RowOptions } from "./progress-rows.ts";
import { keepColors } from "./style.ts";

export interface Display {
  event(event: EngineEvent): void;
  /** A sentence to the user from outside the deployment, e.g. after Ctrl-C. */
  notice(text: string): void;
  /** To be called so often while the display is open. */
  tickMs: number;
  tick(): void;
  /** Prints what comes last, and gives the terminal back. */
  close(): void;
}

export interface ProgressOptions extends Omit<RowOptions, "isTerminal">, EndOptions {
  /** "updating", "previewing update" … for the dots. */
  label: string;
  suppressProgress: boolean;
  showConfig: boolean;
  write(text: string): void;
}

/** "Configuration:" with one key a line, where it was asked for. */
export function configurationText(config: { [key: string]: string }): string {
  const keys = Object.keys(config).sort();
  return `Configuration:\n${keys.map((key) => `    ${key}: ${config[key]}\n`).join("")}`;
}

export function createPlainProgress(options: ProgressOptions): Display {
  const { write } = options;
  const rows = createRows({ ...options, isTerminal: false });
  let dots = false;

  function print(text: string): void {
    write(dots ? `\n${text}\n` : `${text}\n`);
    dots = false;
  }

  function printRow(row: Row): void {
    if (row.hidden) return;
    print(keepColors(rows.columns(row).reduce((line, column) => `${line} ${column}`, "")));
  }

  return {
    event: (event) => {
      if (event.kind === "prelude") return print(options.showConfig ? configurationText(event.config) : "");
      const row = rows.take(event);
      if (row) printRow(row);
    },
    notice: print,
    tickMs: 1000,
    tick: () => {
      if (options.suppressProgress) return;
      write(options.paint(dots ? "." : `@ ${options.label}....`, "yellow"));
      dots = true;
    },
    close: () => {
      const open = rows.all().filter((row) => !rows.isDone(row));
      rows.finish();
      for (const row of open) printRow(row);
      const end = endText(rows, options);
      if (end !== "") print(end.slice(0, -1));
    },
  };
}
