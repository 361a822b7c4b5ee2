// Reads a config file: JSON5 or YAML, $include, and ${NAME} from the environment.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import JSON5 from "json5";
import { messageOf, systemCode } from "../errors.ts";
import { type Fault, isPlain, type Path, type Plain } from "./faults.ts";
import type { Environment } from "./places.ts";

/** One file that was read, and the place in the config that it fills. */
export interface Source {
  readonly file: string;
  readonly text: string;
  readonly mount: Path;
}

export interface ReadResult {
  readonly value: Plain;
  readonly sources: readonly Source[];
  readonly faults: readonly Fault[];
  /** sha256 of the main file's bytes, in hex: what a deployer compares. */
  readonly hash: string;
  readonly exists: boolean;
}

const maxIncludeDepth = 10;
const maxFileBytes = 8 * 1024 * 1024;

export async function readConfigFile(file: string, env: Environment): Promise<ReadResult> {
  const sources: Source[] = [];
  const faults: Fault[] = [];
  const bytes = readBytes(file, [], faults);
  if (!bytes) return { value: {}, sources, faults: existsSync(file) ? faults : [], hash: "", exists: existsSync(file) };
  const hash = createHash("sha256").update(bytes).digest("hex");
  const value = await include(file, bytes, []);
  if (!isPlain(value)) {
    if (faults.length === 0)
      faults.push({ path: [], file, problem: "is not an object", fix: "Write the settings as { gateway: { … } }." });
    return { value: {}, sources, faults, hash, exists: true };
  }
  const expanded = expand(value, [], env, faults);
  return { value: isPlain(expanded) ? expanded : {}, sources, faults, hash, exists: true };

  async function include(path: string, content: Buffer, mount: Path, chain: readonly string[] = []): Promise<unknown> {
    const text = content.toString("utf8").replace(/^\uFEFF/, "");
    sources.push({ file: path, text, mount });
    const parsed = await parse(path, text, faults);
    return resolveIncludes(parsed, path, mount, [...chain, path]);
  }

  async function resolveIncludes(node: unknown, path: string, mount: Path, chain: readonly string[]): Promise<unknown> {
    if (Array.isArray(node)) {
      const items: unknown[] = [];
      for (const [index, item] of node.entries()) items.push(await resolveIncludes(item, path, [...mount, index], chain));
      return items;
    }
    if (!isPlain(node)) return node;
    const { $include: wanted, ...rest } = node;
    const own: Plain = {};
    for (const [key, value] of Object.entries(rest)) own[key] = await resolveIncludes(value, path, [...mount, key], chain);
    if (wanted === undefined) return own;
    const names =
      typeof wanted === "string" ? [wanted] : Array.isArray(wanted) ? wanted.filter((name) => typeof name === "string") : [];
    if (names.length === 0) {
      faults.push({
        path: [...mount, "$include"],
        problem: "is neither a file name nor a list of them",
        fix: 'Write "$include": "./other.json5".',
      });
    }
    let merged: unknown = {};
    for (const name of names) {
      const target = resolve(dirname(path), name);
      if (chain.includes(target) || chain.length > maxIncludeDepth) {
        faults.push({ path: [...mount, "$include"], problem: `${name} includes itself`, fix: "Remove one of the includes." });
        continue;
      }
      const content = readBytes(target, [...mount, "$include"], faults);
      if (content) merged = merge(merged, await include(target, content, mount, chain));
    }
    return Object.keys(own).length > 0 ? merge(merged, own) : merged;
  }
}

function readBytes(file: string, path: Path, faults: Fault[]): Buffer | undefined {
  try {
    const bytes = readFileSync(file);
    if (bytes.length <= maxFileBytes) return bytes;
    faults.push({
      path,
      problem: `${file} is larger than 8 MiB`,
      fix: "A config is a few kilobytes: check that this is the right file.",
    });
  } catch (error) {
    const code = systemCode(error);
    const problem =
      code === "ENOENT"
        ? `${file} does not exist`
        : code === "EISDIR"
          ? `${file} is a folder`
          : `${file} cannot be read (${code})`;
    const fix = code === "EACCES" ? `Let this user read it: chmod u+r ${file}` : "Check the path.";
    faults.push({ path, problem, fix });
  }
  return undefined;
}

async function parse(file: string, text: string, faults: Fault[]): Promise<unknown> {
  if (text.trim() === "") {
    faults.push({ path: [], file, problem: "is empty", fix: "Write the settings as { gateway: { … } }." });
    return undefined;
  }
  if (/\.ya?ml$/.test(file)) {
    const { parseDocument } = await import("./yaml.ts");
    const document = parseDocument(text, { prettyErrors: true });
    const [error] = document.errors;
    if (!error) return camelKeys(document.toJS() ?? {});
    const at = error.linePos?.[0];
    const problem = (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
    faults.push({
      path: [],
      file,
      line: at?.line,
      column: at?.col,
      problem: `is not YAML: ${problem}`,
      fix: "Correct the file at this place.",
    });
    return undefined;
  }
  try {
    return JSON5.parse<unknown>(text);
  } catch (error) {
    const [line, column] = [numberAt(error, "lineNumber"), numberAt(error, "columnNumber")];
    const problem = messageOf(error)
      .replace(/^JSON5: /, "")
      .replace(/ at \d+:\d+$/, "");
    faults.push({
      path: [],
      file,
      line,
      column,
      problem: `is not JSON5: ${problem}`,
      fix: "Correct the file at this place: often a comma, a quote or a bracket is missing just before it.",
    });
    return undefined;
  }
}

function numberAt(error: unknown, key: string): number | undefined {
  const value: unknown = error instanceof Error ? Reflect.get(error, key) : undefined;
  return typeof value === "number" ? value : undefined;
}

/** Objects are merged key by key; anything else is replaced by the later one. */
export function merge(base: unknown, over: unknown): unknown {
  if (!isPlain(base) || !isPlain(over)) return over;
  const result: Plain = { ...base };
  for (const [key, value] of Object.entries(over)) result[key] = key in base ? merge(base[key], value) : value;
  return result;
}

/** Maps whose keys are names that the user chose: they are not renamed. */
const userNames = new Set(["providers", "entries", "headers", "env", "channels"]);

/** The YAML form of older tutorials writes keys as snake_case. */
function camelKeys(node: unknown, keep = false): unknown {
  if (Array.isArray(node)) return node.map((item) => camelKeys(item));
  if (!isPlain(node)) return node;
  const result: Plain = {};
  for (const [key, value] of Object.entries(node)) {
    const name = keep ? key : key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    result[name] = camelKeys(value, !keep && userNames.has(name));
  }
  return result;
}

/** `${NAME}` becomes the variable's value; `$${NAME}` stays as `${NAME}`. */
function expand(node: unknown, path: Path, env: Environment, faults: Fault[]): unknown {
  if (typeof node === "string") {
    return node.replace(/\$?\$\{([A-Z_][A-Z0-9_]*)\}/g, (whole, name: string) => {
      if (whole.startsWith("$$")) return whole.slice(1);
      const value = env[name];
      if (value !== undefined && value !== "") return value;
      faults.push({
        path,
        problem: `the environment variable ${name} is not set`,
        fix: `Set ${name}, or write $\${${name}} if the text itself is meant.`,
      });
      return "";
    });
  }
  if (Array.isArray(node)) return node.map((item, index) => expand(item, [...path, index], env, faults));
  if (!isPlain(node)) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, expand(value, [...path, key], env, faults)]));
}
