/** Colours on a terminal, and the width of text that holds them. */

export type Style =
  | "bold"
  | "underline"
  | "red"
  | "green"
  | "yellow"
  | "magenta"
  | "cyan"
  | "brightRed"
  | "brightGreen"
  | "brightBlue"
  | "brightMagenta"
  | "brightCyan"
  | "plain";

const codes: { [style in Style]: string } = {
  plain: "",
  bold: "1",
  underline: "4",
  red: "31",
  green: "32",
  yellow: "33",
  magenta: "35",
  cyan: "36",
  brightRed: "91",
  brightGreen: "92",
  brightBlue: "94",
  brightMagenta: "95",
  brightCyan: "96",
};

/** Wraps a text in the codes of some styles; without colours it is the identity. */
export type Paint = (text: string, ...styles: Style[]) => string;

const painted: Paint = (text, ...styles) => {
  const list = styles.map((style) => codes[style]).filter((code) => code !== "");
  return text === "" || list.length === 0 ? text : `\u001b[${list.join(";")}m${text}\u001b[0m`;
};
const unpainted: Paint = (text) => text;

export function createPaint(colors: boolean): Paint {
  return colors ? painted : unpainted;
}

// CSI and OSC sequences, then any two-character escape.
const sequences = /\u001b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Without any escape sequence. */
export function stripAnsi(text: string): string {
  return text.includes("\u001b") ? text.replace(sequences, "") : text;
}

/** Keeps colours and drops all else that would move the cursor or clear the screen of a reader. */
export function keepColors(text: string): string {
  const kept = text.includes("\u001b")
    ? text.replace(sequences, (found) => (/^\u001b\[[0-9;:]*m$/.test(found) ? found : ""))
    : text;
  return kept.replace(/\r(?!\n)|\u0008/g, "");
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const zero = /\p{Mn}|\p{Me}|\p{Cf}/u;

function widthOf(character: string): number {
  if (character < "\u0300") return 1;
  return zero.test(character) ? 0 : wide.test(character) ? 2 : 1;
}

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  let columns = 0;
  for (const character of stripAnsi(text)) columns += widthOf(character);
  return columns;
}

/** The beginning of a text that fits into some columns; colours are closed again. */
export function clip(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  if (columns <= 0) return "";
  let out = "";
  let used = 0;
  let colored = false;
  for (const part of text.split(/(\u001b\[[0-9;:]*m)/)) {
    if (part.startsWith("\u001b[")) {
      out += part;
      colored = true;
      continue;
    }
    for (const character of part) {
      const more = widthOf(character);
      if (used + more > columns - 1) return `${out}…${colored ? "\u001b[0m" : ""}`;
      out += character;
      used += more;
    }
  }
  return out;
}
