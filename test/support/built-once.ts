/** What takes minutes to build is built once: in the user's cache, by one test at a time; others wait for it. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** The folder is there, and whole. */
export const isBuilt = (folder: string): boolean => existsSync(join(folder, "complete"));

/**
 * `build` fills a folder beside it, which becomes `folder` when it has made a file `complete` there; where it throws, nothing is
 * left. A builder that was killed does not stop those after it.
 */
export async function builtOnce(folder: string, build: (building: string) => Promise<void>): Promise<void> {
  const lock = `${folder}.lock`;
  mkdirSync(join(folder, ".."), { recursive: true });
  while (!isBuilt(folder) && !takeLock(lock)) await pause(200);
  if (isBuilt(folder)) {
    // The lock is another's, or was taken after that one was done.
    if (ownerOf(lock) === process.pid) rmSync(lock, { force: true });
    return;
  }
  const building = `${folder}.building-${process.pid}`;
  try {
    mkdirSync(building, { recursive: true });
    await build(building);
    if (!isBuilt(building)) throw new Error(`${folder} was not built to its end`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(building, folder);
  } finally {
    rmSync(building, { recursive: true, force: true });
    rmSync(lock, { force: true });
  }
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}`, { flag: "wx" });
    return true;
  } catch {
    const owner = ownerOf(lock);
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) rmSync(lock, { force: true });
    return false;
  }
}

/** Undefined: nobody's, or just being taken. */
function ownerOf(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}
