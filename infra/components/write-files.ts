/**
 * Writes files for a Command resource: `write-files.ts <directory> <name or *> put|remove`, content by stdin.
 * With a name stdin is that file's content; with `*` it is a JSON object of names and contents.
 * A file that was written before and is not named any more is removed. Content never shows in arguments or output.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const [directory = "", name = "", command] = process.argv.slice(2);

function main(): void {
  if (command === "put") put(readContents());
  else if (command === "remove") remove(name === "*" ? Object.keys(readContents()) : [name]);
  else throw new Error("usage: write-files.ts <directory> <name or *> put|remove");
}

function put(contents: { [name: string]: string }): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [file, content] of Object.entries(contents)) writeAtomically(join(directory, file), content);
  for (const file of readdirSync(directory)) if (!(file in contents)) rmSync(join(directory, file), { recursive: true });
  // Whoever depends on these files sees that they changed, without seeing anything of them.
  console.log(`revision ${randomBytes(4).toString("hex")}`);
}

function remove(files: string[]): void {
  for (const file of files) rmSync(join(directory, file), { force: true });
  try {
    // The stack's folder goes with the last of its parts.
    rmdirSync(directory);
    rmdirSync(dirname(directory));
  } catch {
    // Gone already, or somebody else's file lies there.
  }
}

/** Readers see the old content or the new one, also after a crash. */
function writeAtomically(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.new`;
  const descriptor = openSync(temporary, "w", 0o600);
  try {
    writeSync(descriptor, content);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
}

function readContents(): { [name: string]: string } {
  const text = readFileSync(0, "utf8");
  if (name !== "*") return { [name]: text };
  const contents: { [name: string]: string } = {};
  for (const [file, content] of Object.entries<unknown>(JSON.parse(text))) {
    if (file !== basename(file) || typeof content !== "string") throw new Error(`not a file name with a text: ${file}`);
    contents[file] = content;
  }
  return contents;
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
