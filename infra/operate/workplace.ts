/** What a command works with: this clone's folder, the stack that is meant, and the environment of the engine. */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cloneDirectory, root, type StackPlaces, stackPlaces } from "../places.ts";
import { OperatorError } from "./operator-error.ts";

export const projectName = "openclaw-stack";
export const defaultStack = "local";

export interface Workplace {
  /** The clone's own folder, outside the repository. */
  clone: string;
  stack: string;
  places: StackPlaces;
  stackFile: string;
  /** For the engine: backend and passphrase, unless the user has set their own. */
  environment: NodeJS.ProcessEnv;
  /** Where our own backend keeps the stack's checkpoint; undefined when the user chose a backend. */
  checkpoint: string | undefined;
}

/** Looks only; `prepareWorkplace` makes what is missing. */
export function findWorkplace(args: string[]): Workplace {
  let clone: string;
  try {
    clone = cloneDirectory();
  } catch (error) {
    throw new OperatorError(error instanceof Error ? error.message : String(error));
  }
  const stack = stackOf(args);
  const state = join(clone, "state");
  const { PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE, PULUMI_CONFIG_PASSPHRASE_FILE } = process.env;
  const environment: NodeJS.ProcessEnv = { ...process.env, PULUMI_STACK: stack };
  if (!PULUMI_BACKEND_URL) environment.PULUMI_BACKEND_URL = `file://${state}`;
  if (PULUMI_CONFIG_PASSPHRASE === undefined && !PULUMI_CONFIG_PASSPHRASE_FILE) {
    environment.PULUMI_CONFIG_PASSPHRASE_FILE = passphraseFile(clone);
  }
  return {
    clone,
    stack,
    places: stackPlaces(clone, stack),
    stackFile: join(root, "stacks", `Pulumi.${stack}.yaml`),
    environment,
    checkpoint: PULUMI_BACKEND_URL ? undefined : join(state, ".pulumi", "stacks", projectName, `${stack}.json`),
  };
}

/** Folder, passphrase and state folder; safe to run any number of times. */
export function prepareWorkplace(workplace: Workplace): void {
  const { clone, environment } = workplace;
  try {
    mkdirSync(clone, { recursive: true, mode: 0o700 });
    if (environment.PULUMI_BACKEND_URL === `file://${join(clone, "state")}`) {
      mkdirSync(join(clone, "state"), { recursive: true, mode: 0o700 });
    }
    if (environment.PULUMI_CONFIG_PASSPHRASE_FILE === passphraseFile(clone)) makePassphrase(passphraseFile(clone));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new OperatorError(
      `${clone} cannot be written (${why}). Make it writable for you, or set OPENCLAW_STACK_HOME to another folder.`,
    );
  }
}

/** `-s x`, `-sx`, `--stack x`, `--stack=x`, PULUMI_STACK, or local. */
function stackOf(args: string[]): string {
  for (const [index, argument] of args.entries()) {
    if (argument === "-s" || argument === "--stack") return args[index + 1] ?? defaultStack;
    const joined = /^(?:--stack=|-s=?)(.+)$/.exec(argument)?.[1];
    if (joined && !argument.startsWith("--stack-")) return joined;
  }
  return process.env.PULUMI_STACK || defaultStack;
}

/** Where the stack's gateway runs: what its file says, before the program has read it. Undefined where there is no file. */
export function targetOf(workplace: Workplace): string | undefined {
  try {
    const text = readFileSync(workplace.stackFile, "utf8");
    return /^\s*["']?openclaw-stack:target["']?:\s*["']?([\w-]+)/m.exec(text)?.[1] ?? "local";
  } catch {
    // Not made yet: that happens for the default stack only.
    return workplace.stack === defaultStack ? "local" : undefined;
  }
}

export const isDeployedHere = (workplace: Workplace): boolean => targetOf(workplace) === "local";

function passphraseFile(clone: string): string {
  return join(clone, "passphrase");
}

/** Made once: what it encrypted cannot be read with another one. Commands that begin together get the same one, whole. */
function makePassphrase(file: string): void {
  if (existsSync(file)) {
    // Somebody's copy may have lost the mode.
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
    return;
  }
  const own = `${file}.${process.pid}`;
  writeFileSync(own, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600 });
  try {
    linkSync(own, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(own, { force: true });
  }
}
