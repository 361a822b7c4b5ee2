// Finds line and column of a path in the text of a config file, for error messages only.
import { isPlain, type Path } from "./faults.ts";

interface Position {
  readonly line: number;
  readonly column: number;
}

/** Position of the key (or item) that `path` names, or of the nearest one above it that the text has. */
export async function locate(file: string, text: string, path: Path): Promise<Position | undefined> {
  const offsets = /\.ya?ml$/.test(file) ? await yamlOffsets(text) : json5Offsets(text);
  for (let length = path.length; length > 0; length -= 1) {
    const offset = offsets.get(keyOf(path.slice(0, length)));
    if (offset !== undefined) return positionAt(text, offset);
  }
  return undefined;
}

const keyOf = (path: Path): string => path.map(String).join("\0");

function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

/** The parser has accepted the text already, so this only has to keep count of where it is. */
function json5Offsets(text: string): Map<string, number> {
  const offsets = new Map<string, number>();
  const token = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|[{}[\],:]|[^\s{}[\],:"'/]+/g;
  const stack: { array: boolean; path: (string | number)[]; next: string | number | undefined }[] = [];
  for (const match of text.matchAll(token)) {
    const [word] = match;
    if (word.startsWith("//") || word.startsWith("/*")) continue;
    const top = stack.at(-1);
    if (word === "}" || word === "]") {
      stack.pop();
      continue;
    }
    if (word === ":") continue;
    if (word === ",") {
      if (top) top.next = top.array && typeof top.next === "number" ? top.next + 1 : undefined;
      continue;
    }
    if (top && !top.array && top.next === undefined) {
      top.next = unquote(word);
      offsets.set(keyOf([...top.path, top.next]), match.index);
      continue;
    }
    const path = top ? [...top.path, top.next ?? 0] : [];
    if (top?.array) offsets.set(keyOf(path), match.index);
    if (word === "{" || word === "[") stack.push({ array: word === "[", path, next: word === "[" ? 0 : undefined });
  }
  return offsets;
}

function unquote(word: string): string {
  if (!/^["']/.test(word)) return word;
  return word.slice(1, -1).replace(/\\(.)/g, "$1");
}

async function yamlOffsets(text: string): Promise<Map<string, number>> {
  const { parseDocument, visit, isScalar } = await import("./yaml.ts");
  const offsets = new Map<string, number>();
  const document = parseDocument(text);
  visit(document, {
    Pair(_, pair, ancestors) {
      const parts: string[] = [];
      for (const [index, node] of [...ancestors, pair].entries()) {
        if (isPlain(node) && "key" in node && isScalar(node.key)) parts.push(camel(String(node.key.value)));
        else if (isPlain(node) && "items" in node && Array.isArray(node.items)) {
          const child = [...ancestors, pair][index + 1];
          const position = node.items.indexOf(child);
          if (position >= 0 && !(isPlain(child) && "key" in child)) parts.push(String(position));
        }
      }
      if (isScalar(pair.key) && pair.key.range) offsets.set(parts.join("\0"), pair.key.range[0]);
    },
  });
  return offsets;
}

const camel = (key: string): string => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
