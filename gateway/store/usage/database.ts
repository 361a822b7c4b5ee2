// Usage in SQLite: single calls for a while, sums of each hour for long. One connection a process, and one writer of the file.
import { closeSync, existsSync, fdatasync, openSync, renameSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { promisify } from "node:util";
import type { UsageRecord } from "../store.ts";
import { migrate } from "./migrations.ts";

export interface UsageDatabase {
  /** One transaction. Records that are there already are left out; returns how many were not. */
  insert(records: readonly UsageRecord[]): number;
  /** The same for records whose ids are given beside them: they are made only now, where nobody waits for them. */
  insertAs(records: readonly Unnamed[], idOf: (index: number) => string): number;
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

export type Unnamed = Omit<UsageRecord, "id">;

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
  const addHour = database.prepare(
    `INSERT INTO usage_hours VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
     ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, input = input + excluded.input,
       output = output + excluded.output, cached = cached + excluded.cached, stored = stored + excluded.stored,
       cost = cost + excluded.cost, duration_ms = duration_ms + excluded.duration_ms`,
  );

  const insertRows = insertsOf(database);

  /** False where one of them was there already: the sums may not count that again. */
  function insertAll(records: readonly Unnamed[], idOf: (index: number) => string): boolean {
    for (const group of groupsOf(records)) {
      if (insertRows(group, records, idOf) !== group.rows.length) return false;
      addHour.run(...group.key, ...group.sums);
    }
    return true;
  }

  function insertEach(records: readonly Unnamed[], idOf: (index: number) => string): number {
    let count = 0;
    for (const [index, record] of records.entries())
      for (const group of groupsOf([record])) {
        if (insertRows(group, [record], () => idOf(index)) === 0) continue;
        addHour.run(...group.key, ...group.sums);
        count += 1;
      }
    return count;
  }

  function transaction<Result>(work: () => Result, isWanted: (result: Result) => boolean): Result {
    database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      database.exec(isWanted(result) ? "COMMIT" : "ROLLBACK");
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  }

  function insertAs(records: readonly Unnamed[], idOf: (index: number) => string): number {
    const isDone = transaction(
      () => insertAll(records, idOf),
      (all) => all,
    );
    if (isDone) return records.length;
    return transaction(
      () => insertEach(records, idOf),
      () => true,
    );
  }

  return {
    insert: (records) => insertAs(records, (index) => records[index]?.id ?? ""),
    insertAs,
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

/** Records of one hour, token, model and so on: what they share is given to SQLite once, and summed in one row. */
interface Group {
  readonly key: readonly [number, string, string, string, string, string, string, number];
  /** Their places among the records. */
  readonly rows: number[];
  readonly sums: [number, number, number, number, number, number, number];
}

/** A record is looked for in so many of the latest groups; two groups of one key are no mistake. */
const lookedAt = 8;

function groupsOf(records: readonly Unnamed[]): readonly Group[] {
  const groups: Group[] = [];
  for (let index = 0; index < records.length; index += 1) {
    const r = records[index];
    if (r) addTo(groupOf(groups, r), index, r);
  }
  return groups;
}

function groupOf(groups: Group[], r: Unnamed): Group {
  const hour = Math.floor(r.time / hourMs);
  const estimated = r.estimated ? 1 : 0;
  for (let at = groups.length - 1; at >= 0 && at >= groups.length - lookedAt; at -= 1) {
    const group = groups[at];
    const key = group?.key;
    if (
      key &&
      key[0] === hour &&
      key[1] === r.token &&
      key[2] === r.provider &&
      key[3] === r.model &&
      key[4] === r.api &&
      key[5] === r.outcome &&
      key[6] === r.currency &&
      key[7] === estimated
    )
      return group;
  }
  const made: Group = {
    key: [hour, r.token, r.provider, r.model, r.api, r.outcome, r.currency, estimated],
    rows: [],
    sums: [0, 0, 0, 0, 0, 0, 0],
  };
  groups.push(made);
  return made;
}

function addTo({ rows, sums }: Group, index: number, r: Unnamed): void {
  rows.push(index);
  sums[0] += 1;
  sums[1] += r.input;
  sums[2] += r.output;
  sums[3] += r.cached;
  sums[4] += r.stored;
  sums[5] += r.cost ?? 0;
  sums[6] += r.durationMs;
}

/** Rows of one statement: binding and starting one costs more than the rows do. */
const sizes = [64, 16, 4, 1];

/** Inserts the rows of a group; gives how many were not there. */
function insertsOf(
  database: DatabaseSync,
): (group: Group, records: readonly Unnamed[], idOf: (index: number) => string) => number {
  const statements = new Map<number, StatementSync>();
  const statementOf = (size: number): StatementSync => {
    const known = statements.get(size);
    if (known) return known;
    const rows = Array.from({ length: size }, () => "(?,?,?,?,?,?,?,?,?)").join(",");
    const made = database.prepare(
      `WITH k(token, provider, model, api, outcome, currency, estimated) AS (VALUES (?,?,?,?,?,?,?)),
         v(id, time, input, output, cached, stored, cost, duration_ms, request_id) AS (VALUES ${rows})
       INSERT OR IGNORE INTO usage (id, time, token, provider, model, api, input, output, cached, stored, cost, currency,
         duration_ms, outcome, estimated, request_id)
       SELECT v.id, v.time, k.token, k.provider, k.model, k.api, v.input, v.output, v.cached, v.stored, v.cost, k.currency,
         v.duration_ms, k.outcome, k.estimated, v.request_id FROM v CROSS JOIN k`,
    );
    statements.set(size, made);
    return made;
  };
  return ({ key, rows }, records, idOf) => {
    let inserted = 0;
    let at = 0;
    for (const size of sizes) {
      for (; rows.length - at >= size; at += size) {
        const values: SQLInputValue[] = [key[1], key[2], key[3], key[4], key[5], key[6], key[7]];
        for (let row = at; row < at + size; row += 1) {
          const index = rows[row] ?? 0;
          const r = records[index];
          if (!r) continue;
          const { cost = null } = r;
          values.push(idOf(index), r.time, r.input, r.output, r.cached, r.stored, cost, r.durationMs, r.requestId);
        }
        inserted += Number(statementOf(size).run(...values).changes);
      }
    }
    return inserted;
  };
}
