/** A machine of its own for a test: a copy of a small Debian that boots its own systemd in a container, without a network. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { installPrograms } from "./debian-packages.ts";
import { debianRoot } from "./debian-root.ts";
import { linkIfThere, type Outcome, readIfThere, runCommand } from "./outcome.ts";

/** What is needed, with the packages that bring it. Other distributions do not know Debian's keys by themselves. */
const tools = {
  "systemd-nspawn": "systemd-container",
  debootstrap: "debootstrap debian-archive-keyring",
  nsenter: "util-linux",
  setpriv: "util-linux",
};
const bootTimeoutMs = 60_000;
const shutDownTimeoutMs = 20_000;

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
export function whyNoVm(): string | undefined {
  if (process.platform !== "linux") return `systemd-nspawn needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "systemd-nspawn and debootstrap need root";
  const missing = installPrograms(tools);
  if (missing !== undefined) return missing;
  try {
    execFileSync("unshare", ["--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "true"], { stdio: "pipe" });
  } catch (error) {
    return `the kernel gives no namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
  return undefined;
}

export async function makeVm(name: string, options: VmOptions = {}): Promise<Vm> {
  const pristine = await debianRoot();
  const base = mkdtempSync(join(tmpdir(), `vm-${name}-`));
  const root = join(base, "root");
  const console_ = join(base, "console.log");
  try {
    execFileSync("cp", ["-a", "--reflink=auto", pristine, root]);
  } catch (error) {
    rmSync(base, { recursive: true, force: true });
    throw error;
  }
  let machine: { container: number; leader: number; ended: Promise<void> } | undefined;

  async function boot(): Promise<void> {
    const binds = Object.entries(options.binds ?? {}).map(([inside, here]) => `--bind-ro=${here}:${inside}`);
    const args = ["-D", root, "--boot", "--quiet", `--machine=${name}-${process.pid}`, "--register=no", "--keep-unit"];
    const log = openSync(console_, "a");
    // SIGTERM asks for an orderly end in there; it comes as well when this process is killed.
    const child = spawn("setpriv", ["--pdeathsig", "TERM", "systemd-nspawn", ...args, "--private-network", ...binds], {
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    const ended = new Promise<void>((resolve) => {
      child.on("error", () => resolve());
      child.on("exit", () => resolve());
    });
    const container = child.pid;
    if (container === undefined) throw new Error("systemd-nspawn could not be started");
    let isOff = false;
    ended.then(() => {
      isOff = true;
      machine = undefined;
    });
    const until = Date.now() + bootTimeoutMs;
    for (;;) {
      if (isOff || Date.now() > until) throw new Error(`${name} did not boot:\n${readFileSync(console_, "utf8").slice(-3000)}`);
      const leader = machine?.leader ?? firstProcess(container);
      if (leader !== undefined) {
        machine = { container, leader, ended };
        const state = await runCommand(enter(leader, ["systemctl", "is-system-running"]));
        if (/^(running|degraded)$/m.test(state.stdout)) return;
      } else machine = undefined;
      await pause(100);
    }
  }

  async function stop(how: "orderly" | "at once"): Promise<void> {
    if (!machine) return;
    const { container, leader, ended } = machine;
    process.kill(how === "orderly" ? container : leader, how === "orderly" ? "SIGTERM" : "SIGKILL");
    const tooLate = setTimeout(() => process.kill(leader, "SIGKILL"), shutDownTimeoutMs);
    await ended;
    clearTimeout(tooLate);
    machine = undefined;
  }

  function inside(): number {
    if (!machine) throw new Error(`${name} is off`);
    return machine.leader;
  }

  return {
    root,
    boot,
    shutDown: () => stop("orderly"),
    run: (command) => runCommand(enter(inside(), command)),
    login(user, command, { directory = `/home/${user}`, environment = {} } = {}) {
      const variables = Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`);
      const service = ["--quiet", "--pipe", "--wait", "--collect", `--working-directory=${directory}`, ...variables];
      // As machinectl's shell does it: PAM makes the session, and the process moves into the session's scope.
      const properties = [`--uid=${user}`, "--property=PAMName=login"];
      return runCommand(enter(inside(), ["systemd-run", ...service, ...properties, "--", ...command]));
    },
    async remove() {
      await stop("at once");
      rmSync(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** The child of systemd-nspawn that is process 1 in there. */
function firstProcess(container: number): number | undefined {
  const children = readIfThere(`/proc/${container}/task/${container}/children`).trim().split(/\s+/).map(Number);
  const mine = readlinkSync("/proc/self/ns/pid");
  return children.find((pid) => {
    const inner = /^NSpid:\s+\d+\s+1$/m.test(readIfThere(`/proc/${pid}/status`));
    // Until its first program runs it is still nspawn itself, at work on the mounts.
    return inner && linkIfThere(`/proc/${pid}/ns/pid`) !== mine && /systemd$|init$/.test(linkIfThere(`/proc/${pid}/exe`));
  });
}

function enter(leader: number, command: string[]): string[] {
  // With no environment from here: nothing of this machine's user is known in there.
  const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  return [
    "nsenter",
    `--target=${leader}`,
    ..."mount uts ipc net pid".split(" ").map((space) => `--${space}`),
    "--root",
    "--wd",
    "env",
    "-i",
    path,
    "LANG=C.UTF-8",
    ...command,
  ];
}
