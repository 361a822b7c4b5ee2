/** The folder that a build gets: as a tar stream, without what `.dockerignore` leaves out. */
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { UserError } from "./resource.ts";
import { type TarEntry, tarArchive } from "./tar.ts";

export interface BuildContext {
  tar: AsyncIterable<Buffer>;
  /** The Dockerfile's name in it. */
  dockerfile: string;
}

export async function buildContext(folder: string, dockerfile: string): Promise<BuildContext> {
  const info = await stat(folder).catch(UserError.after(`unable to prepare context: path "${folder}" not found`));
  if (!info.isDirectory()) throw new UserError(`unable to prepare context: path "${folder}" is not a folder`);
  const file = isAbsolute(dockerfile) ? dockerfile : resolve(folder, dockerfile);
  const fileInfo = await stat(file).catch(() => undefined);
  if (!fileInfo?.isFile()) throw new UserError(`unable to evaluate symlinks in Dockerfile path: ${file} is not a file`);
  const inside = relative(folder, file).split(sep).join("/");
  const outside = inside.startsWith("../") || isAbsolute(inside);
  // As the docker command does: a Dockerfile from elsewhere goes along under a name of its own.
  const name = outside ? ".dockerfile.outside-of-the-context" : inside;
  const extra = outside ? [{ name, mode: 0o644, modified: new Date(0), content: await readFile(file) }] : [];
  const ignores = await ignoreRules(folder, inside);
  const kept = new Set([name, ".dockerignore"]);
  return { tar: tarArchive(entries(folder, ignores, kept, extra)), dockerfile: name };
}

async function* entries(
  folder: string,
  ignores: (path: string) => boolean,
  kept: ReadonlySet<string>,
  extra: TarEntry[],
): AsyncGenerator<TarEntry> {
  yield* extra;
  const walk = async function* (at: string): AsyncGenerator<TarEntry> {
    const names = (await readdir(join(folder, at))).sort();
    for (const child of names) {
      const name = at === "" ? child : `${at}/${child}`;
      const path = join(folder, name);
      const info = await lstat(path);
      const common = { name, mode: info.mode & 0o7777, modified: info.mtime };
      const ignored = ignores(name) && !kept.has(name);
      if (info.isDirectory()) {
        // Even in an ignored folder something may be kept by an exception.
        if (!ignored) yield { ...common, folder: true };
        yield* walk(name);
      } else if (ignored) continue;
      else if (info.isSymbolicLink()) yield { ...common, link: await readlink(path) };
      else if (info.isFile()) yield { ...common, size: info.size, content: () => createReadStream(path) };
    }
  };
  yield* walk("");
}

/** A Dockerfile may have ignore rules of its own beside it. */
async function ignoreRules(folder: string, dockerfile: string): Promise<(path: string) => boolean> {
  for (const file of [join(folder, `${dockerfile}.dockerignore`), join(folder, ".dockerignore")]) {
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text !== undefined) return ignoreMatcher(text);
  }
  return () => false;
}

/** Docker's rules: one pattern a line, the last that matches decides, `!` makes an exception, `**` is any depth. */
export function ignoreMatcher(text: string): (path: string) => boolean {
  const rules = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .flatMap((line) => {
      const trimmed = line.startsWith("#") ? "" : line.trim();
      if (trimmed === "" || trimmed === "!") return [];
      const keeps = trimmed.startsWith("!");
      const pattern = cleaned(keeps ? trimmed.slice(1).trim() : trimmed);
      return pattern === "" ? [] : [{ keeps, expression: patternExpression(pattern) }];
    });
  return (path) => {
    let ignored = false;
    for (const { keeps, expression } of rules) {
      // A rule for a folder goes for all in it.
      const parts = path.split("/");
      const hit = parts.some((_, index) => expression.test(parts.slice(0, index + 1).join("/")));
      if (hit) ignored = !keeps;
    }
    return ignored;
  };
}

function cleaned(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function patternExpression(pattern: string): RegExp {
  let out = "";
  for (let index = 0; index < pattern.length; index++) {
    const letter = pattern.charAt(index);
    if (pattern.startsWith("**/", index)) {
      out += "(?:.*/)?";
      index += 2;
    } else if (pattern.startsWith("**", index)) {
      out += ".*";
      index += 1;
    } else if (letter === "*") out += "[^/]*";
    else if (letter === "?") out += "[^/]";
    else if (letter === "[") {
      const end = pattern.indexOf("]", index + 2);
      if (end < 0) out += "\\[";
      else {
        out += `[${pattern.slice(index + 1, end).replace(/\\(?!.)/g, "\\\\")}]`;
        index = end;
      }
    } else if (letter === "\\" && index + 1 < pattern.length) {
      index += 1;
      out += escaped(pattern.charAt(index));
    } else out += escaped(letter);
  }
  return new RegExp(`^${out}$`, "s");
}

function escaped(letter: string): string {
  return letter.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
