// The record of usage on disk: written once whatever happens, readable after a crash, kept as long as asked for.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createStateOwner } from "../../../gateway/store/state-lock.ts";
import type { UsageRecord } from "../../../gateway/store/store.ts";
import { createUsageBooks } from "../../../gateway/store/usage/books.ts";
import { openUsageDatabase } from "../../../gateway/store/usage/database.ts";
import { migrate } from "../../../gateway/store/usage/migrations.ts";
import { createSpool } from "../../../gateway/store/usage/spool.ts";
import { randomFrom } from "../../support/random.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openclaw-usage-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hour = Date.UTC(2026, 5, 1, 12);
const limits = { detailDays: 7, maxDetails: 1_000_000, retentionDays: 400 };

const record = (changes: Partial<UsageRecord> = {}): UsageRecord => ({
  id: "a-1",
  time: hour,
  token: "team",
  provider: "p",
  model: "m",
  api: "chat-completions",
  input: 10,
  output: 5,
  cached: 0,
  stored: 0,
  cost: 0.5,
  currency: "USD",
  durationMs: 100,
  outcome: "ok",
  estimated: false,
  requestId: "r",
  ...changes,
});

function openBooks(more: Partial<Parameters<typeof createUsageBooks>[0]> = {}) {
  const results: Record<string, number> = {};
  const problems: string[] = [];
  const books = createUsageBooks({
    stateDir: folder,
    limits: () => limits,
    onResult: (result, count) => {
      results[result] = (results[result] ?? 0) + count;
    },
    onProblem: (event) => problems.push(event),
    flushMs: 5,
    ...more,
  });
  return { books, results, problems };
}

const all = { from: 0, to: Date.UTC(2100, 0, 1), groupBy: [] };

test("a file that is broken is put aside, said, and a new one begun", async () => {
  writeFileSync(join(folder, "usage.sqlite"), "this is not a database, and long enough to be looked at".repeat(100));
  const { books, problems } = openBooks();
  books.own();
  books.record(record());
  assert.equal((await books.report(all)).totals.requests, 1);
  assert.deepEqual(problems, ["usage_broken"]);
  assert.equal(readdirSync(folder).filter((name) => name.startsWith("usage.sqlite.broken-")).length, 1);
  await books.close();
});

test("a folder that cannot be written is said, and nothing is lost when it can be again", async () => {
  const { books, problems, results } = openBooks();
  // A folder where the file should be: nobody, not even root, can write that.
  mkdirSync(join(folder, "usage.sqlite"));
  books.own();
  books.record(record());
  await books.flush();
  assert.deepEqual(problems, ["usage_not_written"]);
  assert.notEqual(books.problem(), undefined);
  rmSync(join(folder, "usage.sqlite"), { recursive: true });
  await books.flush();
  assert.equal(books.problem(), undefined);
  assert.equal(results.written, 1);
  await books.close();
});

test("a step of the tables copies the file first, only adds, and leaves a later release's file alone", () => {
  const file = join(folder, "usage.sqlite");
  openUsageDatabase(file, () => undefined).close();
  const database = new DatabaseSync(file);
  const later = ["CREATE TABLE unused (x)", "ALTER TABLE usage ADD COLUMN region TEXT"];
  migrate(database, file, later);
  assert.ok(existsSync(`${file}.v1.bak`));
  const backup = new DatabaseSync(`${file}.v1.bak`, { readOnly: true });
  assert.equal(backup.prepare("PRAGMA user_version").get()?.user_version, 1);
  backup.close();
  assert.equal(database.prepare("PRAGMA user_version").get()?.user_version, 2);
  database.close();
});

test("a file of a later release is read and written as it is", () => {
  const file = join(folder, "usage.sqlite");
  openUsageDatabase(file, () => undefined).close();
  const database = new DatabaseSync(file);
  database.exec("PRAGMA user_version = 7");
  database.close();
  const again = openUsageDatabase(file, () => assert.fail("it is not broken"));
  assert.equal(again.insert([record()]), 1);
  again.close();
});

test("a record that comes twice counts once, by whatever way", async () => {
  const spool = createSpool(join(folder, "usage-spool"), "other");
  spool.append([record(), record({ id: "a-2" })]);
  spool.append([record({ id: "a-2" }), record({ id: "a-3" })]);
  const { books, results } = openBooks();
  books.own();
  await books.flush();
  assert.equal((await books.report(all)).totals.requests, 3);
  assert.equal(results.merged, 3);
  assert.deepEqual(readdirSync(join(folder, "usage-spool")), []);
  await books.close();
});

test("a crash in the middle of taking over: what was claimed comes again, and counts once", () => {
  const spool = createSpool(join(folder, "usage-spool"), "other");
  spool.append([record(), record({ id: "a-2" })]);
  const database = openUsageDatabase(join(folder, "usage.sqlite"), () => undefined);
  const [claimed] = spool.claim();
  assert.equal(database.insert(claimed?.records.slice(0, 1) ?? []), 1);
  // Here the process dies; the next one claims again.
  const [again] = createSpool(join(folder, "usage-spool"), "next").claim();
  assert.equal(database.insert(again?.records ?? []), 1);
  again?.done();
  assert.deepEqual(spool.claim(), []);
  database.close();
});

test("a line that a killed process left half written is counted as lost, the others are kept", async () => {
  const spool = createSpool(join(folder, "usage-spool"), "other");
  spool.append([record()]);
  const [name] = readdirSync(join(folder, "usage-spool"));
  appendFileSync(join(folder, "usage-spool", name ?? ""), '["a-9",17');
  spool.append([record({ id: "a-2" })]);
  const { books, results } = openBooks();
  books.own();
  await books.flush();
  assert.deepEqual(results, { merged: 2, lost: 1 });
  await books.close();
});

test("who is not the writer spools, and what is in memory at the end of the process is saved", async () => {
  const other = openBooks();
  await other.books.disown();
  other.books.record(record({ time: hour }));
  await other.books.flush();
  other.books.record(record({ time: hour + 3_600_000 }));
  other.books.rescue();
  assert.deepEqual(other.results, { spooled: 2 });
  const writer = openBooks();
  writer.books.own();
  await writer.books.flush();
  const { rows } = await writer.books.report({ ...all, groupBy: ["hour"] });
  assert.deepEqual(
    rows.map(({ of, requests }) => [of.hour, requests]),
    [
      ["2026-06-01T12:00Z", 1],
      ["2026-06-01T13:00Z", 1],
    ],
  );
  await writer.books.close();
});

test("single calls and sums are kept as long as they should", () => {
  const database = openUsageDatabase(join(folder, "usage.sqlite"), () => undefined);
  const day = 86_400_000;
  for (let index = 0; index < 30; index += 1) database.insert([record({ id: `a-${100 + index}`, time: hour + index * day })]);
  const rows = (table: string): number => Number(database.all(`SELECT count(*) AS n FROM ${table}`)[0]?.n);
  while (database.expire({ detailsBefore: hour + 10 * day, maxDetails: 1000, hoursBefore: hour + 5 * day }));
  assert.deepEqual([rows("usage"), rows("usage_hours")], [20, 25]);
  while (database.expire({ detailsBefore: 0, maxDetails: 4, hoursBefore: 0 }));
  assert.deepEqual([rows("usage"), rows("usage_hours")], [4, 25]);
  database.close();
});

test("what a token has spent counts what is not on disk yet", async () => {
  const { books } = openBooks({ flushMs: 60_000 });
  books.own();
  books.record(record());
  await books.flush();
  books.record(record({ cost: 0.25 }));
  books.record(record({ cost: 7, token: "other" }));
  assert.equal(books.spent("team", hour, "USD"), 0.75);
  assert.equal(books.spent("team", hour + 3_600_000, "USD"), 0);
  await books.close();
});

test("one writer: the second waits, knows the first by name, and follows when it lets go", async () => {
  const told: string[] = [];
  const open = (name: string) =>
    createStateOwner({
      stateDir: folder,
      version: name,
      pollMs: 5,
      onChange: (owns) => told.push(`${name} ${owns}`),
      onWaiting: (holder) => told.push(`${name} waits for ${holder.replace(/ on .*/, "")}`),
    });
  // Locks are between processes: another one holds it.
  const script = join(folder, "hold.ts");
  const lockFile = new URL("../../../gateway/store/state-lock.ts", import.meta.url).href;
  writeFileSync(
    script,
    `import { createStateOwner } from ${JSON.stringify(lockFile)};
     const owner = createStateOwner({ stateDir: ${JSON.stringify(folder)}, version: "first", onChange: (owns) => process.send?.(String(owns)), onWaiting: () => {} });
     owner.acquire();
     setInterval(() => {}, 1000);`,
  );
  const first = fork(script);
  const [held] = await once(first, "message");
  assert.equal(held, "true");
  const second = open("second");
  const begun: string[] = [];
  second.use({
    begin: () => begun.push("begun"),
    end: async () => {
      begun.push("ended");
    },
  });
  second.acquire();
  assert.equal(second.owns, false);
  assert.equal(second.holder()?.pid, first.pid);
  assert.deepEqual(told, [`second waits for process ${first.pid}`]);
  // However it ends: the kernel lets the lock go.
  first.kill("SIGKILL");
  for (const until = Date.now() + 20_000; !second.owns; await pause(5)) assert.ok(Date.now() < until, "the lock is free");
  assert.equal(JSON.parse(readFileSync(join(folder, "state.owner.json"), "utf8")).pid, process.pid);
  await second.release();
  assert.deepEqual(begun, ["begun", "ended"]);
  assert.equal(existsSync(join(folder, "state.owner.json")), false);
});

test("batches of all sizes and mixtures are kept row by row and summed by the hour, repeated ones once", () => {
  const random = randomFrom(7);
  const database = openUsageDatabase(join(folder, "usage.sqlite"), () => undefined);
  const kept = new Map<string, UsageRecord>();
  for (const size of [1, 3, 4, 17, 64, 85, 128, 300, 128]) {
    const batch = Array.from({ length: size }, () =>
      record({
        id: `a-${random(5000)}`,
        time: hour + random(3) * 1_800_000,
        token: `it's-${random(5)}`,
        model: `m-${random(4)}`,
        input: random(1000),
        cost: random(3) === 0 ? undefined : random(8) / 4,
        estimated: random(2) === 0,
        outcome: random(4) === 0 ? "failed" : "ok",
      }),
    );
    const fresh = batch.filter(({ id }, index) => !kept.has(id) && batch.findIndex((other) => other.id === id) === index);
    assert.equal(database.insert(batch), fresh.length);
    for (const one of fresh) kept.set(one.id, one);
  }
  const rows = database.all("SELECT * FROM usage");
  assert.equal(rows.length, kept.size);
  for (const row of rows) {
    const of = kept.get(String(row.id));
    assert.deepEqual(
      { ...row },
      {
        id: of?.id,
        time: of?.time,
        token: of?.token,
        provider: of?.provider,
        model: of?.model,
        api: of?.api,
        input: of?.input,
        output: of?.output,
        cached: of?.cached,
        stored: of?.stored,
        cost: of?.cost ?? null,
        currency: of?.currency,
        duration_ms: of?.durationMs,
        outcome: of?.outcome,
        estimated: of?.estimated ? 1 : 0,
        request_id: of?.requestId,
      },
    );
  }
  const keys = "time / 3600000 AS hour, token, provider, model, api, outcome, currency, estimated";
  const sums = "count(*) AS requests, sum(input) AS input, sum(output) AS output, total(cost) AS cost";
  const order = "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8";
  assert.deepEqual(
    database.all(
      "SELECT hour, token, provider, model, api, outcome, currency, estimated, requests, input, output, cost FROM usage_hours ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
    ),
    database.all(`SELECT ${keys}, ${sums} FROM usage ${order}`),
  );
  database.close();
});

test("records that come faster than they are written get an id each, also over the spool", async () => {
  const { books, results } = openBooks();
  for (let index = 0; index < 300; index += 1) books.record(record({ requestId: `r-${index}` }));
  books.own();
  for (let index = 300; index < 1000; index += 1) books.record(record({ requestId: `r-${index}` }));
  await books.flush();
  await books.disown();
  for (let index = 1000; index < 1700; index += 1) books.record(record({ requestId: `r-${index}` }));
  books.rescue();
  books.own();
  await books.flush();
  assert.equal((await books.report(all)).totals.requests, 1700);
  assert.equal((results.written ?? 0) + (results.merged ?? 0), 1700);
  await books.close();
});
