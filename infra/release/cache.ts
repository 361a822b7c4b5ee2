/** Folders that are made once from their sources and kept beside the clone's stacks: whole, or not there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { cloneDirectory } from "../places.ts";

/** What nobody asked for in this time is removed, unless a gateway of this clone runs from it. */
const unusedDays = 14;

/** The folder of that name; `make` fills it the first time. */
export function kept(name: string, make: (directory: string) => void): string {
  const clone = cloneDirectory();
  const directory = join(clone, "releases", name);
  const now = new Date();
  if (existsSync(directory)) {
    // The last use: for those that clear away.
    utimesSync(directory, now, now);
    return directory;
  }
  const growing = `${directory}.${process.pid}.new`;
  rmSync(growing, { recursive: true, force: true });
  mkdirSync(growing, { recursive: true, mode: 0o700 });
  try {
    make(growing);
    moveInto(growing, directory);
  } finally {
    rmSync(growing, { recursive: true, force: true });
  }
  removeUnused(clone, now);
  return directory;
}

function moveInto(growing: string, directory: string): void {
  try {
    renameSync(growing, directory);
  } catch (error) {
    // Another command was faster; both made the same.
    if (!existsSync(directory)) throw error;
  }
}

function removeUnused(clone: string, now: Date): void {
  const specifications = readdirSync(clone).map((stack) => readIfThere(join(clone, stack, "run", "process.json")));
  for (const name of readdirSync(join(clone, "releases"))) {
    const path = join(clone, "releases", name);
    const age = now.getTime() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now.getTime());
    if (age < unusedDays * 24 * 3600 * 1000 || specifications.some((text) => text.includes(path))) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
