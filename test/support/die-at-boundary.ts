/**
 * Preloaded into the engine (`--import`): the process kills itself at each boundary of an operation that is not in the ledger
 * yet, a file named by BOUNDARY_LEDGER. So runs after one another are killed at every boundary once, and the last goes through.
 * Boundaries are: the state says that an operation begins, and it has not begun; it is done, and the state does not say so.
 * Of those that are done all at the same time several are taken at once: what the engine writes of them never arrives.
 */
import { appendFileSync, readFileSync } from "node:fs";
import fsPromises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { z } from "zod";

const resource = z.object({ urn: z.string(), type: z.string(), id: z.string().optional(), custom: z.boolean().optional() });
const stateSchema = z.object({
  checkpoint: z.object({
    latest: z.object({
      resources: z.array(resource.extend({ delete: z.boolean().optional() })).default([]),
      pending_operations: z.array(z.object({ resource, type: z.string() })).default([]),
    }),
  }),
});

/** What the state says: operations under way, and resources that are made. */
export function boundariesOf(content: string): { begun: string[]; done: string[] } {
  const { resources, pending_operations: pending } = stateSchema.parse(JSON.parse(content)).checkpoint.latest;
  const made = resources.filter(({ custom, type, id }) => custom && id && !type.startsWith("pulumi:"));
  return {
    begun: pending.map(({ resource: { urn }, type }) => `${type} ${nameOf(urn)}`),
    done: made.map(({ urn, delete: old }) => `made ${nameOf(urn)}${old ? " (old)" : ""}`),
  };
}

const nameOf = (urn: string): string => urn.slice(urn.lastIndexOf("$") + 1).replace(/^urn:.*::(.*::)/, "$1");

const file = process.env.BOUNDARY_LEDGER;
if (file && /\/engine\/main\.ts$/.test(process.argv[1] ?? "")) dieAtNew(file);

function dieAtNew(ledger: string): void {
  const freshOf = (boundaries: string[]): string[] => {
    const known = new Set(readFileSync(ledger, "utf8").split("\n"));
    return boundaries.filter((boundary) => !known.has(boundary));
  };
  const die = (boundaries: string[]): void => {
    appendFileSync(ledger, boundaries.map((boundary) => `${boundary}\n`).join(""));
    process.kill(process.pid, "SIGKILL");
  };
  const { open, rename, rm } = fsPromises;
  const isState = (path: string): boolean => /\/stacks\/[^/]+\/[^/]+\.json\.[0-9a-f]{8}\.tmp$/.test(path);
  /** What is on disk. */
  let begunThere: string[] = [];
  let content = "";
  let keptBack = false;
  let last: string[] = [];
  // Nothing more is written, though operations of earlier runs are still on record.
  process.on("exit", () => {
    if (keptBack) die(last);
  });
  fsPromises.open = async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const handle = await open(...args);
    const path = String(args[0]);
    if (!isState(path)) return handle;
    const sync = handle.sync.bind(handle);
    handle.sync = async () => {
      content = readFileSync(path, "utf8");
      const { begun, done } = boundariesOf(content);
      const fresh = freshOf(done);
      // Nothing begins that is not on disk; and what would be waited for, once nothing runs?
      if (fresh.length > 0 && (begun.length === 0 || begun.some((operation) => !begunThere.includes(operation)))) die(fresh);
      keptBack = fresh.length > 0;
      last = fresh;
      await sync();
    };
    return handle;
  };
  fsPromises.rename = async (from, to) => {
    if (!isState(String(from))) return rename(from, to);
    if (keptBack) return rm(from);
    await rename(from, to);
    begunThere = boundariesOf(content).begun;
    const fresh = freshOf(begunThere);
    if (fresh.length > 0) die(fresh);
  };
  syncBuiltinESMExports();
}
