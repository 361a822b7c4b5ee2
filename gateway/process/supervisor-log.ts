/** The log file of gateway and supervisor: JSON lines, rotated by size. */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { dirname } from "node:path";

export interface SupervisorLog {
  /** For a child's stdout and stderr: it goes on writing when the supervisor is gone. */
  descriptor: number;
  write(level: "info" | "warn" | "error", event: string, fields?: { [key: string]: unknown }): void;
  rotateIfLarge(maxBytes: number, kept: number): void;
}

export function openLog(file: string): SupervisorLog {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const descriptor = openSync(file, "a", 0o600);
  return {
    descriptor,
    write(level, event, fields = {}) {
      const line = { timestamp: new Date().toISOString(), level, component: "supervisor", event, ...fields };
      try {
        appendFileSync(descriptor, `${JSON.stringify(line)}\n`);
      } catch {
        // A full disk must not take the supervisor down with it.
      }
    },
    rotateIfLarge(maxBytes, kept) {
      if (sizeOf(file) <= maxBytes) return;
      // The gateway holds the file open in append mode, so it is copied and emptied instead of renamed.
      if (kept === 0) {
        truncateSync(file);
        return;
      }
      rmSync(`${file}.${kept}`, { force: true });
      for (let n = kept - 1; n >= 1; n--) renameIfThere(`${file}.${n}`, `${file}.${n + 1}`);
      copyFileSync(file, `${file}.1`);
      copyRest(file, `${file}.1`);
      truncateSync(file);
    },
  };
}

/** The last lines of a log, at most 64 KiB of it. */
export function lastLines(file: string, count: number): string[] {
  try {
    const size = sizeOf(file);
    const length = Math.min(size, 65536);
    const buffer = Buffer.alloc(length);
    const descriptor = openSync(file, "r");
    readSync(descriptor, buffer, 0, length, size - length);
    closeSync(descriptor);
    return buffer.toString("utf8").split("\n").filter(Boolean).slice(-count);
  } catch {
    return [];
  }
}

/** What was written while the copy was made. */
function copyRest(from: string, to: string): void {
  for (let at = sizeOf(to), size = sizeOf(from); size > at; size = sizeOf(from)) {
    const rest = Buffer.alloc(size - at);
    const descriptor = openSync(from, "r");
    at += readSync(descriptor, rest, 0, rest.length, at);
    closeSync(descriptor);
    appendFileSync(to, rest);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function renameIfThere(from: string, to: string): void {
  if (sizeOf(from) > 0) renameSync(from, to);
}
