// One state folder, one writer: a lock that the kernel drops with its holder, also across containers, and a file that names the holder.
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import * as z from "zod";

const holderSchema = z.object({ pid: z.int(), host: z.string(), since: z.string(), version: z.string() });
export type Holder = z.output<typeof holderSchema>;

export interface StateOwner {
  readonly owns: boolean;
  /** Who holds the lock, or held it last, as it named itself. */
  holder(): Holder | undefined;
  /** Tries now, and again until the lock is there. */
  acquire(): void;
  /** Ends the stateful work, in the reverse order of `use`, then lets the lock go: for good. */
  release(): Promise<void>;
  /** Stateful work: begins with the lock, ends before it goes. */
  use(part: { begin(): void; end(): Promise<void> }): void;
  /** Why there is no lock where none can be had; undefined while another process has it. */
  problem(): string | undefined;
}

interface Options {
  readonly stateDir: string;
  readonly version: string;
  readonly pollMs?: number;
  readonly onChange: (owns: boolean) => void;
  /** Another process has the lock; told once. */
  readonly onWaiting: (holder: string) => void;
}

/** SQLite's SQLITE_BUSY: another process has it. */
const busy = 5;

export function createStateOwner({ stateDir, version, pollMs = 200, onChange, onWaiting }: Options): StateOwner {
  const parts: { begin(): void; end(): Promise<void> }[] = [];
  const nameFile = join(stateDir, "state.owner.json");
  let lock: DatabaseSync | undefined;
  let timer: NodeJS.Timeout | undefined;
  let problem: string | undefined;
  let over = false;
  let told = false;

  function attempt(): void {
    timer = undefined;
    if (lock || over) return;
    try {
      lock = takeLock(join(stateDir, "state.lock"));
      problem = undefined;
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    if (!lock) {
      if (!told && problem === undefined) onWaiting(describe(readHolder()));
      told = true;
      timer = setTimeout(attempt, pollMs).unref();
      return;
    }
    name();
    onChange(true);
    for (const part of parts) part.begin();
  }

  /** For people and error texts; the lock itself does not depend on it. */
  function name(): void {
    const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString(), version };
    try {
      const fresh = `${nameFile}.${process.pid}`;
      writeFileSync(fresh, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
      renameSync(fresh, nameFile);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
  }

  function readHolder(): Holder | undefined {
    try {
      return holderSchema.parse(JSON.parse(readFileSync(nameFile, "utf8")));
    } catch {
      return undefined;
    }
  }

  return {
    get owns() {
      return lock !== undefined;
    },
    holder: readHolder,
    acquire() {
      if (timer === undefined) attempt();
    },
    async release() {
      if (over) return;
      over = true;
      clearTimeout(timer);
      for (const part of parts.toReversed()) await part.end();
      if (!lock) return;
      rmSync(nameFile, { force: true });
      lock.close();
      lock = undefined;
      onChange(false);
    },
    use(part) {
      parts.push(part);
      if (lock) part.begin();
    },
    problem: () => problem,
  };
}

const describe = (holder: Holder | undefined): string =>
  holder ? `process ${holder.pid} on ${holder.host} since ${holder.since}` : "another process";

/** Undefined where another process has it. The lock is fcntl(2)'s, which SQLite brings; nothing is ever written to the file. */
function takeLock(file: string): DatabaseSync | undefined {
  const { DatabaseSync: Database } = process.getBuiltinModule("node:sqlite");
  const database = new Database(file, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    const code: unknown = error instanceof Error ? Reflect.get(error, "errcode") : undefined;
    if (typeof code === "number" && (code & 0xff) === busy) return undefined;
    throw error;
  }
}
