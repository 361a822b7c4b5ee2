/** A machine of its own for a test: a copy of a small Debian that boots its own systemd in a container, without a network. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianRoot } from "./debian-root.ts";
import { bootContainer, type Container, whyNoContainer } from "./nspawn.ts";
import type { Outcome } from "./outcome.ts";

export interface VmOptions {
  /** Folders of this machine that are seen in there, read-only: path in there to path here. */
  binds?: { [inside: string]: string };
}

export interface Vm {
  /** Its files, as seen from here; to be changed while it is off. */
  root: string;
  boot(): Promise<void>;
  /** Off, as with a power switch that asks the system to end first. */
  shutDown(): Promise<void>;
  /** A command by root, in no login session. */
  run(command: string[]): Promise<Outcome>;
  /** A command in a login session of its own, which ends with it; `user` is a name in there. */
  login(user: string, command: string[], options?: LoginOptions): Promise<Outcome>;
  /** Stops it and removes its files; also good for one that never booted. */
  remove(): Promise<void>;
}

export interface LoginOptions {
  directory?: string;
  environment?: { [name: string]: string };
}

/** Why no such machine can run here, in words; undefined where one can. Installs the Debian packages that it needs. */
export const whyNoVm = (): string | undefined => whyNoContainer();

export async function makeVm(name: string, options: VmOptions = {}): Promise<Vm> {
  const pristine = await debianRoot();
  const base = mkdtempSync(join(tmpdir(), `vm-${name}-`));
  const root = join(base, "root");
  try {
    execFileSync("cp", ["-a", "--reflink=auto", pristine, root]);
  } catch (error) {
    rmSync(base, { recursive: true, force: true });
    throw error;
  }
  let machine: Container | undefined;

  function run(command: string[]): Promise<Outcome> {
    if (!machine) throw new Error(`${name} is off`);
    return machine.run(command);
  }

  async function stop(how: "orderly" | "at once"): Promise<void> {
    await machine?.end(how);
    machine = undefined;
  }

  return {
    root,
    async boot() {
      const binds = Object.entries(options.binds ?? {}).map(([inside, here]) => `--bind-ro=${here}:${inside}`);
      machine = await bootContainer({
        name: `${name}-${process.pid}`,
        root,
        args: ["--private-network", ...binds],
        consoleFile: join(base, "console.log"),
      });
    },
    shutDown: () => stop("orderly"),
    run,
    login(user, command, { directory = `/home/${user}`, environment = {} } = {}) {
      const variables = Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`);
      const service = ["--quiet", "--pipe", "--wait", "--collect", `--working-directory=${directory}`, ...variables];
      // As machinectl's shell does it: PAM makes the session, and the process moves into the session's scope.
      const properties = [`--uid=${user}`, "--property=PAMName=login"];
      return run(["systemd-run", ...service, ...properties, "--", ...command]);
    },
    async remove() {
      await stop("at once");
      rmSync(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
