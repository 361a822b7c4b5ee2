/** One supervisor per stack: a lock file that names its holder by pid and start time, so that a reused pid is not mistaken for it. */
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as z from "zod";

const Holder = z.object({ pid: z.int().positive(), startTime: z.string() });
export type Holder = z.infer<typeof Holder>;

/** When a process started, in whatever unit the system tells; undefined where it is gone (or a zombie). */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces and parentheses: fields are counted after the last one (proc(5): state is 3, starttime 22).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    if (existsSync("/proc/self/stat")) return undefined;
    return startTimeByPs(pid) ?? (answersSignals(pid) ? "unknown" : undefined);
  }
}

export function isAlive(holder: Holder): boolean {
  return processStartTime(holder.pid) === holder.startTime;
}

/** Who holds the lock, if that process still lives. */
export function readHolder(file: string): Holder | undefined {
  try {
    const holder = Holder.parse(JSON.parse(readFileSync(file, "utf8")));
    return isAlive(holder) ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** Takes the lock, also from a holder that is gone; false where another process lives and holds it. */
export function takeLock(file: string): boolean {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, startTime: processStartTime(process.pid) ?? "" }), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(mine, file);
        return true;
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
        if (readHolder(file)) return false;
        rmSync(file, { force: true });
      }
    }
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Where neither /proc nor ps tells more. */
function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function startTimeByPs(pid: number): string | undefined {
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}
