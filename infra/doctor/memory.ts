/** There is memory for the gateway, beside what runs already. */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import type { Check } from "./check.ts";

const neededMb = 256;
const comfortableMb = 1024;

export const memory: Check = {
  name: "free memory",
  run() {
    const freeMb = availableMb();
    const fix = "close some programs, or use a larger machine";
    if (freeMb < neededMb) {
      return [{ level: "error", message: `only ${freeMb} MB of memory are free, and ${neededMb} MB are needed; ${fix}` }];
    }
    if (freeMb < comfortableMb) {
      return [{ level: "warning", message: `only ${freeMb} MB of memory are free; deploying may be slow; ${fix}` }];
    }
    return [];
  },
};

/** What programs can get without swapping: caches count as free (MemAvailable of proc_meminfo(5)). */
function availableMb(): number {
  try {
    const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
    if (kilobytes) return Math.floor(Number(kilobytes) / 1024);
  } catch {
    // Not Linux, or /proc is hidden.
  }
  // macOS counts its file cache as used: there only a lower bound is known, and it must not stop anybody.
  return process.platform === "darwin" ? comfortableMb : Math.floor(freemem() / 1_048_576);
}
