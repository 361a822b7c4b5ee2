/** Progress on a terminal: a tree of resources that updates in place, redrawn at most ten times a second. */
import { type EndOptions, endText } from "./end-blocks.ts";
import { isRootStack } from "./outputs.ts";
import { configurationText, type Display, type ProgressOptions } from "./progress-plain.ts";
import { createRows, type Row, type Rows } from "./progress-rows.ts";
import { clip, keepColors, type Paint, width } from "./style.ts";

export interface Screen {
  write(text: string): void;
  columns(): number;
  rows(): number;
}

export interface TtyOptions extends Omit<ProgressOptions, "write">, EndOptions {
  screen: Screen;
}

const hideCursor = "\u001b[?25l";
/** Also written by whoever ends the process in the middle. */
const showCursor = "\u001b[?25h";
// A terminal that knows them shows all between the two at once; others ignore them.
const beginFrame = "\u001b[?2026h";
const endFrame = "\u001b[?2026l";
const frameMs = 100;

export function createTtyProgress(options: TtyOptions): Display {
  const { screen, paint, nowMs } = options;
  const rows = createRows({ ...options, isTerminal: true });
  let drawn: string[] = [];
  let drawnColumns = 0;
  let lastFrameMs = Number.NEGATIVE_INFINITY;
  let dirty = false;
  let open = true;
  const notices: string[] = [];

  /** Moves to the top of what was drawn; a narrower terminal has wrapped its lines. */
  function toTop(): string {
    if (drawn.length === 0) return "";
    const columns = Math.max(1, screen.columns());
    const lines =
      columns >= drawnColumns
        ? drawn.length
        : drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns)), 0);
    return `\u001b[${lines}A\r`;
  }

  function draw(lines: string[]): void {
    const up = toTop();
    const same = columnsUnchanged() && up !== "";
    // Lines that stay as they are are stepped over, so that a slow connection has little to carry.
    const body = lines.map((line, i) => (same && drawn[i] === line ? "\u001b[1B\r" : `${line}\u001b[K\r\n`)).join("");
    screen.write(`${beginFrame}${hideCursor}${up}${body}\u001b[J${endFrame}`);
    drawn = lines;
    drawnColumns = screen.columns();
  }

  function columnsUnchanged(): boolean {
    return screen.columns() === drawnColumns;
  }

  function tree(): string[] {
    const dots = Math.floor(nowMs() / 500) % 4;
    return treeLines(rows, { paint, isPreview: options.isPreview, columns: screen.columns(), dots });
  }

  const noticeLines = (): string[] =>
    notices.length === 0 ? [] : ["", ...notices.flatMap((line) => wrap(line, screen.columns() - 1))];

  function frame(): void {
    const lines = tree();
    lastFrameMs = nowMs();
    dirty = false;
    const below = noticeLines();
    if (lines.length + below.length > 0) draw([...fit(lines, screen.rows() - 2 - below.length, paint), ...below]);
  }

  return {
    event: (event) => {
      if (event.kind === "prelude") {
        if (options.showConfig) screen.write(configurationText(event.config).replaceAll("\n", "\r\n"));
        return;
      }
      if (rows.take(event)) dirty = true;
      if (dirty && nowMs() - lastFrameMs >= frameMs) frame();
    },
    notice: (text) => {
      notices.push(...text.trimEnd().split("\n"));
      if (open) frame();
    },
    tickMs: frameMs,
    tick: () => {
      // Without news the times of what runs go on.
      if (open && (dirty || nowMs() - lastFrameMs >= 1000)) frame();
    },
    close: () => {
      if (!open) return;
      open = false;
      rows.finish();
      // The last frame is whole: what does not fit scrolls up into the history of the terminal.
      const lines = [...tree(), ...noticeLines()];
      const end = endText(rows, options).replaceAll("\n", "\r\n");
      const body = lines.map((line) => `${line}\u001b[K\r\n`).join("");
      screen.write(`${beginFrame}${toTop()}${body}\u001b[J${endFrame}${lines.length > 0 ? "\r\n" : ""}${end}${showCursor}`);
      drawn = [];
    },
  };
}

/** Between words: what a signal does must be there to read on a narrow terminal too. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines.map((line) => clip(line, columns));
}

/** Header and the newest lines, where a tree is higher than the terminal. */
function fit(lines: string[], height: number, paint: Paint): string[] {
  if (lines.length <= height || height < 4) return lines.length <= height ? lines : lines.slice(-Math.max(1, height));
  const [header = "", ...rest] = lines;
  const shown = height - 2;
  return [header, paint(`     … ${rest.length - shown} more above`, "cyan"), ...rest.slice(-shown)];
}

interface Node {
  row: Row;
  children: Node[];
}

/** The rows as lines: header, then the tree, in aligned columns that fit the width. */
function treeLines(rows: Rows, options: { paint: Paint; isPreview: boolean; columns: number; dots: number }): string[] {
  const { paint } = options;
  const roots = shown(nodesOf(rows));
  const cells: string[][] = [];
  const add = (node: Node, indent: string, branch: string): void => {
    const [mark = "", type = "", name = "", status = "", info = ""] = rows.columns(node.row);
    const dots = rows.isDone(node.row) || node.row.step.op === "same" ? "" : ".".repeat(options.dots);
    cells.push([mark, indent + branch + type, name, status + dots, keepColors(info)]);
    const inner = branch === "" ? indent : indent + (branch === "└─ " ? "   " : "│  ");
    for (const [i, child] of node.children.entries()) add(child, inner, i === node.children.length - 1 ? "└─ " : "├─ ");
  };
  for (const root of roots) add(root, "", "");
  const head = (text: string): string => paint(text, "underline", "brightBlue");
  const informed = cells.some((row) => row[4] !== "");
  const header = ["  ", head("Type"), head("Name"), head(options.isPreview ? "Plan" : "Status"), informed ? head("Info") : ""];
  const table = [header, ...cells];
  // Room for the dots, so that columns do not jump.
  const widths = header.map(
    (_, i) => Math.max(...table.map((row) => width(row[i] ?? ""))) + (i === 3 && !options.isPreview ? 1 : 0),
  );
  return table.map((row) => {
    const line = row.reduce(
      (text, cell, i) => text + cell + (i === 4 ? "" : " ".repeat((widths[i] ?? 0) - width(cell) + (i === 0 ? 1 : 2))),
      " ",
    );
    return clip(line.trimEnd(), options.columns - 1);
  });
}

function nodesOf(rows: Rows): Node[] {
  const all = rows.all();
  const nodes = new Map(all.map((row) => [row.urn, { row, children: [] as Node[] }]));
  const stack = rows.stackRow();
  const root = stack && (all.find((row) => isRootStack(row)) ?? stack);
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const { row } = node;
    if (row === root || row.urn === "") {
      if (row === root) roots.unshift(node);
      continue;
    }
    const parent = nodes.get((row.step.new ?? row.step.old)?.parent ?? "") ?? (root && nodes.get(root.urn));
    if (parent && parent !== node) parent.children.push(node);
    else roots.push(node);
  }
  return roots;
}

/** Without rows that have nothing to say, unless they hold some that have. */
function shown(nodes: Node[]): Node[] {
  return nodes
    .map((node) => ({ ...node, children: shown(node.children) }))
    .filter((node) => !node.row.hidden || node.children.length > 0);
}
