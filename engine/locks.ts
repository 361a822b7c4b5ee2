/** Locks of a stack, in the CLI's format: one small file a holder; a file whose process is gone is taken over. */

import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { type Backend, makeFolder, removeBlob, type StackReference } from "./backend.ts";
import { EngineError } from "./errors.ts";
import { errnoOf, explainErrno, writeDurably } from "./files.ts";

export interface Lock {
  /** What the user should know, e.g. that a lock was taken over. */
  notes: string[];
  release(): Promise<void>;
}

interface LockContent {
  pid: number;
  username: string;
  hostname: string;
  timestamp: string;
  /** Ours only: when the process began (seconds since the epoch), on which machine, in which PID namespace. */
  processStart?: number;
  machine?: string;
  pidNamespace?: string;
}

interface Found extends Partial<LockContent> {
  path: string;
}

/** Throws the CLI's text where somebody else holds the stack. */
export async function lockStack(backend: Backend, ref: StackReference, now: Date): Promise<Lock> {
  const folder = backend.folderOf("locks", ref);
  const notes: string[] = [];
  await checkLocks(backend, folder, undefined, notes);
  await backend.prepare();
  await makeFolder(folder);
  const path = join(folder, `${randomUUID()}.json`);
  const content: LockContent = {
    pid: process.pid,
    username: userName(),
    hostname: hostname(),
    timestamp: now.toISOString(),
    processStart: Math.round(Date.now() / 1000 - process.uptime()),
    ...(machineId() ? { machine: machineId() } : {}),
    ...(pidNamespace() ? { pidNamespace: pidNamespace() } : {}),
  };
  try {
    await writeDurably(path, JSON.stringify(content));
  } catch (error) {
    throw new EngineError(`could not lock the stack: ${path}: ${explainErrno(error)}`, { cause: error });
  }
  const stop = releaseWithProcess(path);
  try {
    // Somebody may have locked between the first look and the write.
    await checkLocks(backend, folder, path, notes);
  } catch (error) {
    stop();
    await removeBlob(path);
    throw error;
  }
  return {
    notes,
    async release() {
      stop();
      await removeBlob(path);
    },
  };
}

/** `pulumi cancel`: takes away whatever lock there is. */
export async function clearLocks(backend: Backend, ref: StackReference): Promise<void> {
  const folder = backend.folderOf("locks", ref);
  for (const file of await lockFiles(folder)) await removeBlob(join(folder, file));
}

async function checkLocks(backend: Backend, folder: string, own: string | undefined, notes: string[]): Promise<void> {
  const held: Found[] = [];
  for (const file of await lockFiles(folder)) {
    const path = join(folder, file);
    if (path === own) continue;
    const found = await readLock(path);
    if (!found) continue;
    if (isGone(found)) {
      await removeBlob(path);
      notes.push(
        `took over the lock of ${found.username}@${found.hostname} (pid ${found.pid}, since ${shortTime(found.timestamp)}): that process is gone`,
      );
    } else held.push(found);
  }
  if (held.length === 0) return;
  const lines = held.map((lock) =>
    lock.pid === undefined
      ? `  ${backend.urlOf(lock.path)}: the lock file cannot be read; if no other update runs, remove it with \`pulumi cancel\``
      : `  ${backend.urlOf(lock.path)}: created by ${lock.username}@${lock.hostname} (pid ${lock.pid}) at ${shortTime(lock.timestamp)}`,
  );
  throw new EngineError(
    `the stack is currently locked by ${held.length} lock(s). Either wait for the other process(es) to end or delete the lock file with \`pulumi cancel\`.\n${lines.join("\n")}`,
  );
}

async function lockFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw new EngineError(`could not read the locks in '${folder}': ${explainErrno(error)}`, { cause: error });
  }
}

/** Undefined where it went away meanwhile; a file that is no lock counts as one that cannot be read. */
async function readLock(path: string): Promise<Found | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? undefined : { path };
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { path };
  }
  if (typeof parsed !== "object" || parsed === null) return { path };
  const {
    pid,
    username,
    hostname: host,
    timestamp,
    processStart,
    machine,
    pidNamespace: space,
  }: { [key: string]: unknown } = { ...parsed };
  if (typeof pid !== "number" || typeof host !== "string" || typeof timestamp !== "string") return { path };
  return {
    path,
    pid,
    username: typeof username === "string" ? username : "?",
    hostname: host,
    timestamp,
    ...(typeof processStart === "number" ? { processStart } : {}),
    ...(typeof machine === "string" ? { machine } : {}),
    ...(typeof space === "string" ? { pidNamespace: space } : {}),
  };
}

/** True only where it is certain: a process of this machine that ended, or whose number belongs to a younger one. */
function isGone(lock: Found): boolean {
  if (lock.pid === undefined || lock.hostname !== hostname()) return false;
  if (lock.machine !== undefined && lock.machine !== machineId()) return false;
  if (lock.pidNamespace !== undefined && lock.pidNamespace !== pidNamespace()) return false;
  try {
    process.kill(lock.pid, 0);
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return true;
  }
  const started = startOf(lock.pid);
  if (started === undefined) return false;
  // Clocks are read in different ways: two seconds of tolerance.
  if (lock.processStart !== undefined) return Math.abs(started - lock.processStart) > 2;
  return started > Date.parse(lock.timestamp ?? "") / 1000 + 2;
}

/** When a process began, in seconds since the epoch; undefined where the system does not say. */
function startOf(pid: number): number | undefined {
  try {
    if (process.platform === "linux") {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      // A zombie holds nothing any more.
      if (fields[0] === "Z" || fields[0] === "X") return Number.POSITIVE_INFINITY;
      const boot = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
      // Field 22 counts in ticks of 1/100 s on every Linux that Node runs on.
      const ticks = Number(fields[19]);
      return Number.isFinite(boot + ticks) ? boot + ticks / 100 : undefined;
    }
    const text = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", timeout: 2000 });
    const time = Date.parse(text.trim());
    return Number.isNaN(time) ? undefined : time / 1000;
  } catch {
    return undefined;
  }
}

function machineId(): string | undefined {
  return readLine("/etc/machine-id");
}

function pidNamespace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "?");
  }
}

function shortTime(timestamp: string | undefined): string {
  return (timestamp ?? "").replace(/\.\d+/, "");
}

/** The lock goes with the process, whether it exits or is ended by a signal that nobody else handles. */
function releaseWithProcess(path: string): () => void {
  const drop = (): void => rmSync(path, { force: true });
  const signals = ["SIGTERM", "SIGHUP", "SIGINT"] as const;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) > 1) return;
    drop();
    process.removeListener(signal, onSignal);
    process.kill(process.pid, signal);
  };
  process.once("exit", drop);
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    process.removeListener("exit", drop);
    for (const signal of signals) process.removeListener(signal, onSignal);
  };
}
