/** Waiting for processes to end, by their id. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** A process that has ended but was not yet waited for counts as gone. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^\d+ \(.*\) [ZX]/s.test(stat);
  } catch {
    return process.platform !== "linux";
  }
}

/** Resolves when the process has ended; rejects after `timeoutMs`. There is no event for a process that is not a child. */
export async function gone(pid: number, timeoutMs = 5000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (isRunning(pid)) {
    if (Date.now() > end) throw new Error(`process ${pid} is still running after ${timeoutMs} ms`);
    await delay(20);
  }
}
