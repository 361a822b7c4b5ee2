/** The folders that a deployment writes to can be written. */
import { accessSync, constants, existsSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Check, Finding } from "./check.ts";

export const writable: Check = {
  name: "writable folders",
  run({ clone, stackFile }) {
    const findings: Finding[] = [];
    const stacks = existsSync(stackFile) ? stackFile : dirname(stackFile);
    if (!canWrite(stacks)) findings.push({ level: "error", message: `${stacks} cannot be written; make it writable for you` });
    const existing = nearestExisting(clone);
    if (!canWrite(existing)) {
      const fix = "make it writable for you, or set OPENCLAW_STACK_HOME to a folder that is";
      findings.push({ level: "error", message: `${existing} cannot be written, so ${clone} cannot hold the stack; ${fix}` });
    }
    return findings;
  },
};

export function nearestExisting(path: string): string {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** By doing it: what the mode says does not count on a read-only disk, nor for root. */
function canWrite(path: string): boolean {
  try {
    if (statSync(path).isDirectory()) rmdirSync(mkdtempSync(join(path, ".openclaw-stack-")));
    else accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
