/** Removes a test's folder for good: with the processes that still write into it, and with what is mounted in it. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { linkIfThere, readIfThere } from "./outcome.ts";

const deadlineMs = 30_000;

export async function removeFolder(folder: string): Promise<void> {
  for (const until = Date.now() + deadlineMs; ; await pause(100)) {
    for (const pid of withChildren(processesOf(folder))) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone in the meantime.
      }
    }
    for (const mount of mountsUnder(folder)) spawnSync("umount", ["-l", mount]);
    try {
      return rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      // Whoever was just killed may have written once more.
      if (Date.now() > until) throw error;
    }
  }
}

/** Processes that work in a folder, or were started with a path in it. */
export function processesOf(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      if (pid === process.pid) return false;
      return readIfThere(`/proc/${pid}/cmdline`).includes(folder) || linkIfThere(`/proc/${pid}/cwd`).startsWith(folder);
    });
}

/** A container's processes know nothing of the folder that its own supervisor was started with. */
function withChildren(pids: number[]): number[] {
  const all = new Set(pids);
  for (const pid of all) {
    for (const child of readIfThere(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean)) all.add(Number(child));
  }
  all.delete(process.pid);
  return [...all];
}

function mountsUnder(folder: string): string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return lines
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${folder}/`))
    .reverse();
}
