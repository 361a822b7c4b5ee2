/** A stack's history: what each update did, with a copy of the state after it; and the backup made at its end. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync, gzip } from "node:zlib";
import { type Backend, type StackReference, writeBlob } from "./backend.ts";
import { isTruthy } from "./backend-location.ts";
import { type ConfigMap, type ConfigValue, isComposite, valueText } from "./config-values.ts";
import { EngineError } from "./errors.ts";
import { errnoOf, explainErrno } from "./files.ts";

export interface HistoryEntry {
  kind: "update" | "preview" | "refresh" | "destroy" | "import" | "rename" | "resource-import";
  /** Seconds since the epoch. */
  startTime: number;
  message: string;
  environment: { [name: string]: string };
  /** Secrets encrypted. */
  config: { [key: string]: ConfigValue };
  version: number;
  result: "succeeded" | "failed" | "in-progress" | "not-started";
  endTime: number;
  resourceChanges?: { [op: string]: number };
}

/** Values as the history holds them: single ones as text. */
export function historyConfig(config: ConfigMap): { [key: string]: ConfigValue } {
  const entries = [...config].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.map(([key, value]) => [key, isComposite(value) || typeof value === "object" ? sortKeys(value) : valueText(value)]),
  );
}

/** Writes the entry and a copy of the state, then the backup. */
export async function recordUpdate(
  backend: Backend,
  ref: StackReference,
  entry: HistoryEntry,
  env: { [name: string]: string | undefined },
  now: Date,
): Promise<void> {
  const current = await backend.currentFile(ref);
  if (!current) throw new EngineError(`the state file of '${backend.display(ref)}' is gone; the update is not in its history`);
  const state = await readFile(current);
  const compressed = current.endsWith(".gz");
  const extension = compressed ? "json.gz" : "json";
  const stamp = nanoseconds(now);
  const prefix = join(backend.folderOf("history", ref), `${ref.name}-${stamp}`);
  const changes = Object.entries(entry.resourceChanges ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const { resourceChanges: _, environment, ...rest } = entry;
  const { version, result, endTime, config, ...head } = rest;
  const text = JSON.stringify({
    ...head,
    environment: sortKeys(environment),
    config,
    version,
    result,
    endTime,
    ...(changes.length > 0 ? { resourceChanges: Object.fromEntries(changes) } : {}),
  });
  const writes = [
    writeBlob(`${prefix}.history.${extension}`, compressed ? await promisify(gzip)(text) : text),
    writeBlob(`${prefix}.checkpoint.${extension}`, state),
  ];
  if (!isTruthy(env.PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS) && !isTruthy(env.PULUMI_DISABLE_CHECKPOINT_BACKUPS)) {
    writes.push(writeBlob(join(backend.folderOf("backups", ref), `${ref.name}.${nanoseconds(now)}.${extension}`), state));
  }
  await Promise.all(writes);
}

/** Newest first. */
export async function readHistory(
  backend: Backend,
  ref: StackReference,
  page: { size: number; number: number },
): Promise<HistoryEntry[]> {
  const folder = backend.folderOf("history", ref);
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw new EngineError(`could not read the history in '${folder}': ${explainErrno(error)}`, { cause: error });
  }
  const entries = names.filter((name) => /\.history\.json(\.gz)?$/.test(name)).sort((a, b) => (a < b ? 1 : -1));
  const start = page.size > 0 ? (Math.max(1, page.number) - 1) * page.size : 0;
  const chosen = page.size > 0 ? entries.slice(start, start + page.size) : entries;
  return Promise.all(chosen.map((name) => readEntry(join(folder, name))));
}

async function readEntry(path: string): Promise<HistoryEntry> {
  try {
    const bytes = await readFile(path);
    const text = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
    const parsed: unknown = JSON.parse(text.toString("utf8"));
    if (isEntry(parsed)) return parsed;
  } catch (error) {
    if (errnoOf(error)?.startsWith("E"))
      throw new EngineError(`could not read '${path}': ${explainErrno(error)}`, { cause: error });
  }
  throw new EngineError(`${path}: the history file is damaged; move it away to see the others`);
}

function isEntry(value: unknown): value is HistoryEntry {
  if (typeof value !== "object" || value === null) return false;
  return (
    "kind" in value &&
    "startTime" in value &&
    typeof value.startTime === "number" &&
    "config" in value &&
    typeof value.config === "object"
  );
}

function sortKeys<T extends ConfigValue>(value: T): T;
function sortKeys(value: ConfigValue): ConfigValue {
  if (Array.isArray(value)) return value.map((item) => sortKeys(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sortKeys(item)]),
  );
}

/** Nanoseconds since the epoch: the names sort by time, and no two are the same. */
let lastStamp = 0n;
function nanoseconds(now: Date): string {
  const stamp = BigInt(now.getTime()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
  lastStamp = stamp > lastStamp ? stamp : lastStamp + 1n;
  return String(lastStamp);
}
