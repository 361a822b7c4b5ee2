/** Folders that are made once from their sources and kept beside the clone's stacks: whole, or not there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { cloneDirectory } from "../places.ts";

/** What nobody asked for in this time is removed, unless a gateway of this clone runs from it. */
const unusedMs = 14 * 24 * 3600 * 1000;
/** A folder that is being made is somebody else's until then. */
const makingMs = 3600 * 1000;

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
  removeReleases(clone, unusedMs);
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

/** Removes all that was not asked for in that time, but what a gateway of this clone runs from. */
export function removeReleases(clone: string, unusedForMs = 0): void {
  const releases = join(clone, "releases");
  if (!existsSync(releases)) return;
  const specifications = readdirSync(clone).map((stack) => readIfThere(join(clone, stack, "run", "process.json")));
  for (const name of readdirSync(releases)) {
    const path = join(releases, name);
    const used = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const least = name.endsWith(".new") ? Math.max(unusedForMs, makingMs) : unusedForMs;
    if (Date.now() - used < least || specifications.some((text) => text.includes(path))) continue;
    rmSync(path, { recursive: true, force: true });
  }
  try {
    rmdirSync(releases);
  } catch {
    // Something is left in it.
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
