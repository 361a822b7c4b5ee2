/** Where everything of one clone lies on this machine: state, passphrase, and each stack's files, outside the repository. */
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { basename, isAbsolute, join } from "node:path";

/** The repository's folder. */
export const root = join(import.meta.dirname, "..");

/**
 * The clone's own folder: named by the clone's, with a hash of its real path, so that two clones do not share it.
 * @throws where no home can be found
 */
export function cloneDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const path = realpathSync(root);
  const hash = createHash("sha256").update(path).digest("hex").slice(0, 8);
  return join(dataHome(environment), "openclaw-stack", `${basename(path)}-${hash}`);
}

export interface StackPlaces {
  directory: string;
  config: string;
  secrets: string;
  logs: string;
  run: string;
  data: string;
}

export function stackPlaces(clone: string, stack: string): StackPlaces {
  const directory = join(clone, stack);
  const within = (name: string): string => join(directory, name);
  return {
    directory,
    config: within("config"),
    secrets: within("secrets"),
    logs: within("logs"),
    run: within("run"),
    data: within("data"),
  };
}

function dataHome(environment: NodeJS.ProcessEnv): string {
  for (const name of ["OPENCLAW_STACK_HOME", "XDG_DATA_HOME"]) {
    const value = environment[name];
    if (!value) continue;
    if (!isAbsolute(value)) throw new Error(`${name} is "${value}": give an absolute path`);
    return value;
  }
  const home = environment.HOME || homedir();
  if (!home || !isAbsolute(home))
    throw new Error("this user has no home directory: set OPENCLAW_STACK_HOME to a folder where state and secrets may lie");
  return join(home, ".local", "share");
}
