/**
 * Preloaded into the engine (`--import`): the process kills itself at each boundary of an operation that is not in the ledger
 * yet, a file named by BOUNDARY_LEDGER: once the state says that an operation begins, before it does; and once it is done,
 * before the state says so. So runs after one another are killed at every boundary once, and the last one goes through.
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
  const dieWhereNew = (boundaries: string[]): void => {
    const known = new Set(readFileSync(ledger, "utf8").split("\n"));
    const fresh = boundaries.filter((boundary) => !known.has(boundary));
    if (fresh.length === 0) return;
    appendFileSync(ledger, fresh.map((boundary) => `${boundary}\n`).join(""));
    process.kill(process.pid, "SIGKILL");
  };
  const { open, rename } = fsPromises;
  const isState = (path: string): boolean => /\/stacks\/[^/]+\/[^/]+\.json\.[0-9a-f]{8}\.tmp$/.test(path);
  let content = "";
  fsPromises.open = async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const handle = await open(...args);
    const path = String(args[0]);
    if (!isState(path)) return handle;
    const sync = handle.sync.bind(handle);
    handle.sync = async () => {
      content = readFileSync(path, "utf8");
      dieWhereNew(boundariesOf(content).done);
      await sync();
    };
    return handle;
  };
  fsPromises.rename = async (from, to) => {
    await rename(from, to);
    if (isState(String(from))) dieWhereNew(boundariesOf(content).begun);
  };
  syncBuiltinESMExports();
}
