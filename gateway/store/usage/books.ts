// The record of usage: collects in memory, writes a batch at a time beside the requests, never in their way.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setImmediate as pause } from "node:timers/promises";
import type { UsageQuery, UsageReader, UsageRecord, UsageReport } from "../store.ts";
import { isBroken, openUsageDatabase, putAside, readUsageDatabase, type Unnamed, type UsageDatabase } from "./database.ts";
import { reportOf, spentOf } from "./report.ts";
import { createSpool } from "./spool.ts";

export interface UsageBooks extends UsageReader {
  /** The record is kept as it is, not copied. */
  record(record: Unnamed): void;
  /** This process is the writer of the state folder now: takes over what others left. */
  own(): void;
  /** Another process is to be the writer: closes the file; what comes from now on goes to the spool. */
  disown(): Promise<void>;
  /** All that is in memory is on disk when it resolves. */
  flush(): Promise<void>;
  /** The process ends at once: what is in memory goes to the spool, without waiting. */
  rescue(): void;
  close(): Promise<void>;
  /** What is wrong; undefined: nothing. */
  problem(): string | undefined;
}

interface Options {
  readonly stateDir: string;
  readonly limits: () => { detailDays: number; maxDetails: number; retentionDays: number };
  /** What became of so many records. */
  readonly onResult: (result: "written" | "spooled" | "merged" | "lost", count: number) => void;
  readonly onProblem: (event: string, message: string) => void;
  readonly now?: () => number;
  readonly flushMs?: number;
}

/** So many are written without letting anything else run: a third of a millisecond. */
const sliceSize = 128;
/** All ids of a process are of one length: the index of them grows at its end. */
const firstNumber = 1_000_000_000;
/** While nothing can be written so many wait; then the oldest are lost. */
const maxPending = 100_000;
const settleAfter = 8000;
const settleMs = 60_000;
const mergeMs = 2000;
const expireMs = 600_000;
const dayMs = 86_400_000;

export function createUsageBooks(options: Options): UsageBooks {
  const { stateDir, onResult, onProblem, now = Date.now, flushMs = 250 } = options;
  const file = join(stateDir, "usage.sqlite");
  const origin = `${Date.now().toString(36)}-${randomBytes(6).toString("hex")}`;
  const spool = createSpool(join(stateDir, "usage-spool"), origin);
  let role: "waiting" | "owner" | "other" = "waiting";
  const pending: Unnamed[] = [];
  /** Records before the first that is pending: they are numbered by how they came, and get their ids when they are written. */
  let before = 0;
  let database: UsageDatabase | undefined;
  let working: Promise<void> | undefined;
  let unsettled = 0;
  let settledAt = now();
  let mergedAt = 0;
  let expiredAt = 0;
  let trouble: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let tender: NodeJS.Timeout | undefined;

  function arm(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      void work();
    }, flushMs).unref();
  }

  /** One at a time. */
  function work(): Promise<void> {
    working ??= write()
      .catch((error: unknown) => failed(error))
      .finally(() => {
        working = undefined;
        if (pending.length > 0) arm();
      });
    return working;
  }

  async function write(): Promise<void> {
    if (role === "owner") {
      database ??= openUsageDatabase(file, sayBroken);
      await merge(database);
      while (pending.length > 0 && role === "owner") {
        const slice = pending.slice(0, sliceSize);
        keep(database.insertAs(slice, idOf), "written");
        forget(slice.length);
        if (pending.length > 0) await pause();
      }
      await tend(database);
    } else {
      while (pending.length > 0) {
        const slice = pending.slice(0, sliceSize * 4);
        spool.append(slice.map(named));
        forget(slice.length);
        onResult("spooled", slice.length);
        if (pending.length > 0) await pause();
      }
    }
    trouble = undefined;
  }

  const idOf = (index: number): string => `${origin}-${firstNumber + before + index}`;
  const named = (record: Unnamed, index: number): UsageRecord => ({ ...record, id: idOf(index) });

  /** The first ones are safe, or given up. */
  function forget(count: number): void {
    pending.splice(0, count);
    before += count;
  }

  function keep(kept: number, result: "written" | "merged"): void {
    unsettled += kept;
    if (kept > 0) onResult(result, kept);
  }

  async function merge(into: UsageDatabase): Promise<void> {
    if (now() - mergedAt < mergeMs) return;
    mergedAt = now();
    for (const { records, broken, done } of spool.claim()) {
      for (let at = 0; at < records.length; at += sliceSize) {
        keep(into.insert(records.slice(at, at + sliceSize)), "merged");
        await pause();
      }
      // Only what is safe on disk is forgotten here.
      await into.settle();
      done();
      if (broken > 0) onResult("lost", broken);
    }
  }

  async function tend(into: UsageDatabase): Promise<void> {
    if (unsettled > 0 && (unsettled >= settleAfter || now() - settledAt > settleMs)) {
      await into.settle();
      unsettled = 0;
      settledAt = now();
    }
    if (now() - expiredAt < expireMs) return;
    expiredAt = now();
    const { detailDays, maxDetails, retentionDays } = options.limits();
    const limits = { detailsBefore: now() - detailDays * dayMs, maxDetails, hoursBefore: now() - retentionDays * dayMs };
    while (into.expire(limits)) await pause();
  }

  function sayBroken(movedTo: string): void {
    onProblem("usage_broken", `The record of usage could not be read; it was put aside as ${movedTo}, and a new one begun.`);
  }

  function failed(error: unknown): void {
    if (isBroken(error) && database) {
      try {
        database.close();
      } catch {
        // What is left of it is put aside all the same.
      }
      database = undefined;
      try {
        sayBroken(putAside(file));
        return;
      } catch {
        // Told below as what it was, and tried again with the next batch.
      }
    }
    const message = error instanceof Error ? error.message : String(error);
    if (trouble === undefined)
      onProblem("usage_not_written", `Usage cannot be written to ${stateDir}: ${message}. It is kept in memory.`);
    trouble = message;
    const surplus = pending.length - maxPending;
    if (surplus <= 0) return;
    forget(surplus);
    onResult("lost", surplus);
  }

  /** A connection of its own: the other one may be closed while a long report is made. */
  async function report(query: UsageQuery): Promise<UsageReport> {
    await flush();
    const reader = readUsageDatabase(file);
    try {
      return await reportOf(reader, query, pause);
    } finally {
      reader?.close();
    }
  }

  const flush = async (): Promise<void> => {
    // The one under way may have begun before the last record came.
    await working;
    await work();
  };

  return {
    record(record) {
      pending.push(record);
      if (role !== "waiting" || pending.length > maxPending / 10) arm();
      // A whole slice does not wait: what is written soon is cleared away cheaply.
      if (pending.length === sliceSize && role === "owner" && !working) setImmediate(() => void work());
    },
    own() {
      role = "owner";
      mergedAt = 0;
      tender ??= setInterval(() => void work(), mergeMs).unref();
      void work();
    },
    async disown() {
      if (role === "owner") await flush();
      role = "other";
      clearInterval(tender);
      tender = undefined;
      await working;
      const closing = database;
      database = undefined;
      closing?.close();
      if (pending.length > 0) arm();
    },
    flush,
    rescue() {
      if (pending.length === 0) return;
      try {
        spool.append(pending.map(named));
        onResult("spooled", pending.length);
        forget(pending.length);
      } catch (error) {
        failed(error);
      }
    },
    async close() {
      clearTimeout(timer);
      clearInterval(tender);
      if (role === "waiting") role = "other";
      await flush();
      clearTimeout(timer);
      database?.close();
      database = undefined;
      role = "other";
    },
    problem: () => trouble,
    report,
    spent(token, sinceMs, currency) {
      const reader = database ?? readUsageDatabase(file);
      let kept: number;
      try {
        kept = spentOf(reader, token, sinceMs, currency);
      } finally {
        if (reader !== database) reader?.close();
      }
      let waiting = 0;
      for (const record of pending)
        if (record.token === token && record.currency === currency && record.time >= sinceMs) waiting += record.cost ?? 0;
      return kept + waiting;
    },
  };
}
