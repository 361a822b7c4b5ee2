/**
 * Preloaded into the engine (`--import`): the process kills itself at a chosen point, given as JSON in DIE_AT. Points:
 * around the fsync and rename of a state file whose content matches, or around a command whose line matches.
 */
import childProcess, { type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import fsPromises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

export interface DeathPoint {
  at:
    | "before-sync"
    | "after-sync"
    | "before-rename"
    | "after-rename"
    | "before-folder-sync"
    | "before-command"
    | "after-command";
  /** In the state file's content, or in the command line. */
  match: string;
}

function readPoint(): DeathPoint | undefined {
  const parsed: unknown = JSON.parse(process.env.DIE_AT ?? "null");
  if (typeof parsed !== "object" || parsed === null || !("at" in parsed) || !("match" in parsed)) return undefined;
  const at = points.find((candidate) => candidate === parsed.at);
  return at && typeof parsed.match === "string" ? { at, match: parsed.match } : undefined;
}

const points: DeathPoint["at"][] = [
  ...(["before-sync", "after-sync", "before-rename", "after-rename"] as const),
  ...(["before-folder-sync", "before-command", "after-command"] as const),
];

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

const point = readPoint();
if (point) {
  patchFiles(point);
  patchCommands(point);
  syncBuiltinESMExports();
}

function patchFiles({ at, match }: DeathPoint): void {
  const { open, rename } = fsPromises;
  const isState = (path: string): boolean => /\/stacks\/[^/]+\/[^/]+\.json\.\w+\.tmp$/.test(path);
  /** The write whose content matched is on its way. */
  let armed = false;
  fsPromises.open = async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const handle = await open(...args);
    const path = String(args[0]);
    const sync = handle.sync.bind(handle);
    if (isState(path)) {
      handle.sync = async () => {
        armed = readFileSync(path, "utf8").includes(match);
        if (armed && at === "before-sync") die();
        await sync();
        if (armed && at === "after-sync") die();
      };
    } else if (/\/stacks\/[^/]+$/.test(path)) {
      handle.sync = async () => {
        if (armed && at === "before-folder-sync") die();
        await sync();
      };
    }
    return handle;
  };
  fsPromises.rename = async (from, to) => {
    const chosen = armed && isState(String(from));
    if (chosen && at === "before-rename") die();
    await rename(from, to);
    if (chosen && at === "after-rename") die();
  };
}

function patchCommands({ at, match }: DeathPoint): void {
  const { spawn } = childProcess;
  const patched = (...args: unknown[]): ChildProcess => {
    const chosen = Array.isArray(args[1]) && args[1].join(" ").includes(match);
    if (chosen && at === "before-command") die();
    const child: ChildProcess = Reflect.apply(spawn, childProcess, args);
    if (chosen && at === "after-command") child.prependListener("close", die);
    return child;
  };
  Object.assign(childProcess, { spawn: patched });
}
