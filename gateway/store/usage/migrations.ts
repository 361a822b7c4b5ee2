// The tables of usage, step by step. Steps only add, so that the release before still runs on what a later one left.
import { existsSync, rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

const steps: readonly string[] = [
  `CREATE TABLE usage (
     id TEXT PRIMARY KEY, time INTEGER NOT NULL, token TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
     api TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL, stored INTEGER NOT NULL,
     cost REAL, currency TEXT NOT NULL, duration_ms REAL NOT NULL, outcome TEXT NOT NULL, estimated INTEGER NOT NULL,
     request_id TEXT NOT NULL
   );
   CREATE TABLE usage_hours (
     hour INTEGER NOT NULL, token TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, api TEXT NOT NULL,
     outcome TEXT NOT NULL, currency TEXT NOT NULL, estimated INTEGER NOT NULL,
     requests INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL,
     stored INTEGER NOT NULL, cost REAL NOT NULL, duration_ms REAL NOT NULL,
     PRIMARY KEY (hour, token, provider, model, api, outcome, currency, estimated)
   ) WITHOUT ROWID;
   CREATE INDEX usage_hours_token ON usage_hours (token, hour);`,
];

/** The file is copied before an existing one is changed. One of a later release is used as it is. */
export function migrate(database: DatabaseSync, file: string, all: readonly string[] = steps): void {
  const row: unknown = database.prepare("PRAGMA user_version").get();
  const version = Number(Reflect.get(Object(row), "user_version"));
  if (version >= all.length) return;
  if (version > 0) {
    const backup = `${file}.v${version}.bak`;
    if (existsSync(backup)) rmSync(backup);
    database.prepare("VACUUM INTO ?").run(backup);
  }
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const step of all.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${all.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}
