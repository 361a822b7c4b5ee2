/** A terminal in memory: understands what the engine's display writes, and shows what a user would see. */

export interface FakeTerminal {
  write(text: string): void;
  columns(): number;
  rows(): number;
  resize(columns: number, rows: number): void;
  /** Visible lines without trailing blanks and without empty lines at the end. */
  screen(): string[];
  /** What scrolled off at the top. */
  history(): string[];
  cursorVisible(): boolean;
  /** Characters that were written, control sequences too. */
  written(): number;
}

export function createFakeTerminal(width: number, height: number): FakeTerminal {
  let columns = width;
  let rows = height;
  let lines: string[][] = [[]];
  const scrolled: string[][] = [];
  let x = 0;
  let y = 0;
  let visible = true;
  let written = 0;

  const text = (line: string[]): string =>
    Array.from(line, (cell) => cell ?? " ")
      .join("")
      .trimEnd();

  function down(): void {
    y++;
    while (lines.length <= y) lines.push([]);
    if (lines.length > rows) {
      scrolled.push(lines.shift() ?? []);
      y--;
    }
  }

  function control(parameters: string, final: string): void {
    const count = Number(parameters.replace("?", "")) || 1;
    if (parameters === "?25") visible = final === "h";
    else if (final === "A") y = Math.max(0, y - count);
    else if (final === "B") y = Math.min(rows - 1, y + count);
    else if (final === "K") lines[y] = (lines[y] ?? []).slice(0, x);
    else if (final === "J") {
      lines[y] = (lines[y] ?? []).slice(0, x);
      lines = lines.slice(0, y + 1);
    } else if (final !== "m" && parameters !== "?2026")
      throw new Error(`the fake terminal does not know CSI ${parameters}${final}`);
  }

  function put(character: string): void {
    if (x >= columns) {
      x = 0;
      down();
    }
    const line = lines[y] ?? [];
    while (line.length < x) line.push(" ");
    line[x] = character;
    lines[y] = line;
    x++;
  }

  return {
    write(more) {
      written += more.length;
      for (const [part, parameters, final] of more.matchAll(/\u001b\[([?0-9;]*)([A-Za-z])|[\s\S]/gu)) {
        if (final !== undefined) control(parameters ?? "", final);
        else if (part === "\n") down();
        else if (part === "\r") x = 0;
        else put(part);
        if (part === "\n" && y < lines.length && lines[y] === undefined) lines[y] = [];
      }
    },
    columns: () => columns,
    rows: () => rows,
    resize(newColumns, newRows) {
      columns = newColumns;
      rows = newRows;
    },
    screen: () => {
      const shown = lines.map(text);
      while (shown.at(-1) === "") shown.pop();
      return shown;
    },
    history: () => scrolled.map(text),
    cursorVisible: () => visible,
    written: () => written,
  };
}
