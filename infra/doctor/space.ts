/** There is room for state, logs and data. */
import { statfsSync } from "node:fs";
import type { Check } from "./check.ts";
import { nearestExisting } from "./writable.ts";

const neededMb = 50;
const comfortableMb = 500;

export const space: Check = {
  name: "disk space",
  run({ clone }) {
    const folder = nearestExisting(clone);
    const { bavail, bsize, blocks } = statfsSync(folder);
    // Not a disk: whether it can be written is another check's business.
    if (blocks === 0) return [];
    const freeMb = Math.floor((bavail * bsize) / 1_048_576);
    const fix = "free some, or set OPENCLAW_STACK_HOME to a folder on another disk";
    if (freeMb < neededMb) {
      return [{ level: "error", message: `only ${freeMb} MB are free at ${folder}, and ${neededMb} MB are needed; ${fix}` }];
    }
    if (freeMb < comfortableMb) {
      return [{ level: "warning", message: `only ${freeMb} MB are free at ${folder}: logs and data will need more; ${fix}` }];
    }
    return [];
  },
};
