/**
 * Reads the YAML files that people write (Pulumi.yaml, stack files): encoding and syntax are checked before anything is
 * taken from them, and every complaint names file, line and column.
 */
import { readFile } from "node:fs/promises";
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
} from "yaml";
import { editDistance } from "./edit-distance.ts";
import { EngineError } from "./errors.ts";
import { errnoOf, explainErrno } from "./files.ts";

export interface YamlFile {
  path: string;
  document: Document.Parsed;
  /** The top-level map; undefined where the file is empty. */
  root?: YAMLMap;
  /** How the file is laid out, so that a change keeps it. */
  indent: number;
  indentSeq: boolean;
  crlf: boolean;
  /** `path:line:column` of a node, for error texts. */
  at(node: unknown): string;
  /** An error at a node. */
  fail(node: unknown, message: string): never;
}

/** Reads and parses; undefined where there is no such file. */
export async function readYamlFile(path: string): Promise<YamlFile | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw new EngineError(`could not read '${path}': ${explainErrno(error)}`, { cause: error });
  }
  return parseYamlFile(path, decodeUtf8(path, bytes));
}

function parseYamlFile(path: string, text: string): YamlFile {
  const lines = new LineCounter();
  const position = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const [broken] = document.errors;
  if (broken)
    throw new EngineError(`${position(broken.pos[0])}: ${explainSyntax(broken.code, broken.message, text, broken.pos[0])}`);
  const at = (node: unknown): string => {
    const start = rangeStart(node);
    return start === undefined ? path : position(start);
  };
  const fail = (node: unknown, message: string): never => {
    throw new EngineError(`${at(node)}: ${message}`);
  };
  const { contents } = document;
  const layout = {
    indent: /^( +)[^\s#-]/m.exec(text)?.[1]?.length ?? 2,
    indentSeq: !/^( *)[^\s#-][^\n]*:[ ]*\r?\n\1- /m.test(text),
    crlf: text.includes("\r\n"),
  };
  if (contents === null || (isScalar(contents) && contents.value === null)) return { path, document, at, fail, ...layout };
  if (!isMap(contents)) {
    return fail(contents, `expected a map of settings (\`key: value\` lines), found ${describeNode(contents)}`);
  }
  for (const pair of contents.items) {
    if (!isScalar(pair.key)) fail(pair.key, "keys must be plain text");
  }
  return { path, document, root: contents, at, fail, ...layout };
}

/** The value node under a key. */
export function childOf(map: YAMLMap | undefined, key: string): Node | undefined {
  const found = map?.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)?.value;
  return isNode(found) ? found : undefined;
}

/** The key node itself: where a complaint about the key points. */
export function keyNodeOf(map: YAMLMap | undefined, key: string): unknown {
  return map?.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)?.key;
}

export function describeNode(node: unknown): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (isScalar(node)) {
    if (node.value === null) return "nothing";
    return typeof node.value === "string" ? "text" : `a ${typeof node.value} (${String(node.value)})`;
  }
  return "something else";
}

/** The name in `known` that was probably meant. */
export function closest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  // Of a short word not half may differ.
  let distance = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of known) {
    const d = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (d < distance) {
      best = candidate;
      distance = d;
    }
  }
  return best;
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function rangeStart(node: unknown): number | undefined {
  if (isNode(node)) return node.range?.[0];
  if (isPair(node)) return rangeStart(node.key);
  return undefined;
}

function decodeUtf8(path: string, bytes: Buffer): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw new EngineError(`${path}: the file is UTF-16, not UTF-8; save it again as UTF-8 (without a byte order mark)`);
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0)
    throw new EngineError(`${path}: the file holds a NUL byte at offset ${nul}, so it is not text; save it as UTF-8`);
  try {
    // A UTF-8 byte order mark is dropped, as the CLI does.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new EngineError(`${path}:${lineOfBadByte(bytes)}: the file is not valid UTF-8; save it again as UTF-8`, {
      cause: error,
    });
  }
}

function lineOfBadByte(bytes: Buffer): number {
  let line = 1;
  for (const part of bytes.toString("latin1").split("\n")) {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(part, "latin1"));
    } catch {
      return line;
    }
    line++;
  }
  return line;
}

function explainSyntax(code: string, message: string, text: string, offset: number): string {
  if (code === "TAB_AS_INDENT" || /^[ ]*\t/.test(text.slice(text.lastIndexOf("\n", offset - 1) + 1))) {
    return "a tab is used to indent; YAML wants spaces";
  }
  if (code === "DUPLICATE_KEY") return "this key is there twice; remove one of them";
  if (code === "MULTIPLE_DOCS") return "the file holds more than one YAML document (`---`); keep one";
  const plain = message.split("\n")[0] ?? message;
  return `the YAML cannot be read: ${plain.charAt(0).toLowerCase()}${plain.slice(1)}`;
}
