// Usage in SQLite: single calls for a while, sums of each hour for long. One connection a process, and one writer of the file.
import { closeSync, existsSync, fdatasync, openSync, renameSync } from "node:fs";
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { promisify } from "node:util";
import type { UsageRecord } from "../store.ts";
import { migrate } from "./migrations.ts";

export interface UsageDatabase {
  /** One transaction. Records that are there already are left out; returns how many were not. */
  insert(records: readonly UsageRecord[]): number;
  all(sql: string, ...values: readonly SQLInputValue[]): readonly Readonly<Record<string, unknown>>[];
  /**
   * Brings what was written safely to disk, without holding the event loop: nothing may be written meanwhile.
   * Until then it would survive the end of this process, but not of the machine.
   */
  settle(): Promise<void>;
  /** Deletes what is too old, a piece at a time; true while there is more. */
  expire(limits: { detailsBefore: number; maxDetails: number; hoursBefore: number }): boolean;
  close(): void;
}

const sync = promisify(fdatasync);
const piece = 500;
const hourMs = 3_600_000;

/** SQLite's extended codes end in these: SQLITE_CORRUPT and SQLITE_NOTADB. */
const brokenCodes = new Set([11, 26]);

/** Opens it for writing. A file that is broken is put aside and a new one begun: `onBroken` is told where it lies. */
export function openUsageDatabase(file: string, onBroken: (movedTo: string) => void): UsageDatabase {
  try {
    return open(file);
  } catch (error) {
    if (!isBroken(error)) throw error;
    onBroken(putAside(file));
    return open(file);
  }
}

export function isBroken(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, "errcode") : undefined;
  return typeof code === "number" && brokenCodes.has(code & 0xff);
}

export function putAside(file: string): string {
  const movedTo = `${file}.broken-${new Date().toISOString().replace(/[:.]/g, "-")}`;
  for (const end of ["", "-wal", "-shm"]) if (existsSync(file + end)) renameSync(file + end, movedTo + end);
  return movedTo;
}

/** For a process that is not the writer; undefined while there is no file. */
export function readUsageDatabase(file: string): Pick<UsageDatabase, "all" | "close"> | undefined {
  if (!existsSync(file)) return undefined;
  const database = new (sqlite())(file, { readOnly: true, timeout: 1000 });
  return { all: (sql, ...values) => database.prepare(sql).all(...values), close: () => database.close() };
}

/** Loaded when it is needed: 2 MB. */
const sqlite = (): typeof DatabaseSync => process.getBuiltinModule("node:sqlite").DatabaseSync;

function open(file: string): UsageDatabase {
  const database = new (sqlite())(file, { timeout: 1000 });
  let descriptors: number[] = [];
  try {
    // Nothing waits for the disk here: `settle` does, between two writes.
    database.exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY",
    );
    migrate(database, file);
    // The write-ahead log is there once something was read or written.
    database.exec("BEGIN IMMEDIATE; COMMIT");
    // Kept open until the end: closing any descriptor of a file drops the locks that a process has on it (fcntl(2)).
    descriptors = [`${file}-wal`, file].map((path) => openSync(path, "r"));
  } catch (error) {
    database.close();
    throw error;
  }
  const insertOne = database.prepare(`INSERT OR IGNORE INTO usage VALUES (${Array.from({ length: 16 }, () => "?").join(",")})`);
  const addHour = database.prepare(
    `INSERT INTO usage_hours VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
     ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, input = input + excluded.input,
       output = output + excluded.output, cached = cached + excluded.cached, stored = stored + excluded.stored,
       cost = cost + excluded.cost, duration_ms = duration_ms + excluded.duration_ms`,
  );

  function insert(records: readonly UsageRecord[]): number {
    const fresh: UsageRecord[] = [];
    for (const r of records) {
      const { changes } = insertOne.run(
        r.id,
        r.time,
        r.token,
        r.provider,
        r.model,
        r.api,
        r.input,
        r.output,
        r.cached,
        r.stored,
        r.cost ?? null,
        r.currency,
        r.durationMs,
        r.outcome,
        r.estimated ? 1 : 0,
        r.requestId,
      );
      if (changes === 1) fresh.push(r);
    }
    for (const { key, sums } of byHour(fresh)) addHour.run(...key, ...sums);
    return fresh.length;
  }

  return {
    insert(records) {
      database.exec("BEGIN IMMEDIATE");
      try {
        const count = insert(records);
        database.exec("COMMIT");
        return count;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
    all: (sql, ...values) => database.prepare(sql).all(...values),
    async settle() {
      const [log, main] = descriptors;
      if (log === undefined || main === undefined) return;
      // In this order a loss of power finds either the log whole or the file (https://sqlite.org/wal.html#ckpt).
      await sync(log);
      database.exec("PRAGMA wal_checkpoint(PASSIVE)");
      await sync(main);
    },
    expire({ detailsBefore, maxDetails, hoursBefore }) {
      // Rows are numbered in the order in which they came, which is that of their times but for seconds.
      const ends = database.prepare("SELECT min(rowid) AS first, max(rowid) AS last FROM usage").get() ?? {};
      const first = Number(ends.first ?? 0);
      const surplusTo = Number(ends.last ?? 0) - maxDetails;
      const { changes } = database
        .prepare("DELETE FROM usage WHERE rowid >= ? AND rowid < ? AND (time < ? OR rowid <= ?)")
        .run(first, first + piece, detailsBefore, surplusTo);
      database.prepare("DELETE FROM usage_hours WHERE hour < ?").run(Math.floor(hoursBefore / hourMs));
      return Number(changes) > 0;
    },
    close() {
      // What is left in the log goes into the file at its close: this once the disk is waited for.
      database.exec("PRAGMA synchronous=FULL");
      database.close();
      for (const descriptor of descriptors) closeSync(descriptor);
      descriptors = [];
    },
  };
}

/** One row for each hour, token, model and so on, instead of one for each record. */
function byHour(records: readonly UsageRecord[]) {
  const rows = new Map<string, { key: SQLInputValue[]; sums: [number, number, number, number, number, number, number] }>();
  for (const r of records) {
    const key = [Math.floor(r.time / hourMs), r.token, r.provider, r.model, r.api, r.outcome, r.currency, r.estimated ? 1 : 0];
    const name = key.join("\0");
    const row = rows.get(name) ?? { key, sums: [0, 0, 0, 0, 0, 0, 0] };
    rows.set(name, row);
    const { sums } = row;
    sums[0] += 1;
    sums[1] += r.input;
    sums[2] += r.output;
    sums[3] += r.cached;
    sums[4] += r.stored;
    sums[5] += r.cost ?? 0;
    sums[6] += r.durationMs;
  }
  return rows.values();
}
