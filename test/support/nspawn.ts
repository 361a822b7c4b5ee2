/** A container of systemd-nspawn that boots a system of its own: started, entered, ended; by pid, and with this process at the latest. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { makeControlGroups } from "./control-groups.ts";
import { installPrograms } from "./debian-packages.ts";
import { linkIfThere, type Outcome, type RunOptions, readIfThere, runCommand } from "./outcome.ts";

/** What is needed, with the packages that bring it. Other distributions do not know Debian's keys by themselves. */
const tools = {
  "systemd-nspawn": "systemd-container",
  debootstrap: "debootstrap debian-archive-keyring",
  nsenter: "util-linux",
  setpriv: "util-linux",
  ip: "iproute2",
};
const usualBootTimeoutMs = 120_000;
const shutDownTimeoutMs = 20_000;

/** Why none can run here, in words; undefined where one can. Installs the Debian packages that it needs. */
export function whyNoContainer(more: { readonly [program: string]: string } = {}): string | undefined {
  if (process.platform !== "linux") return `systemd-nspawn needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "systemd-nspawn and debootstrap need root";
  const missing = installPrograms({ ...tools, ...more });
  if (missing !== undefined) return missing;
  try {
    execFileSync("unshare", ["--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "true"], { stdio: "pipe" });
  } catch (error) {
    return `the kernel gives no namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
  return undefined;
}

export interface ContainerOptions {
  name: string;
  root: string;
  /** Of systemd-nspawn. */
  args: readonly string[];
  /** What it says while it boots. */
  consoleFile: string;
  /** A file system that is mounted at its root for it alone, and is gone with it: type and options. */
  mount?: { type: string; options: string };
  /** It sees one hierarchy of control groups, as newer systemd demands, also where this machine still has several. */
  unified?: boolean;
  bootTimeoutMs?: number;
}

export interface Container {
  /** Its process 1, as seen from here; another one after each restart. */
  leader(): number;
  run(command: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Resolves when its units are started; `other`: with another process 1 than this one. */
  booted(other?: number): Promise<void>;
  /** Resolves when another process 1 is there, or none any more, after it was told to restart. */
  restarted(before: number): Promise<"ended" | "restarted">;
  /** In order, as with a power switch that asks the system first, or as by a power cut. */
  end(how: "orderly" | "at once"): Promise<void>;
}

export async function bootContainer(options: ContainerOptions): Promise<Container> {
  const { name, root, args, consoleFile, mount, unified = false, bootTimeoutMs = usualBootTimeoutMs } = options;
  const log = openSync(consoleFile, "a");
  const nspawn = ["systemd-nspawn", "-D", root, "--boot", "--quiet", `--machine=${name}`, "--register=no", "--keep-unit"];
  const mounting = mount
    ? [
        ...["unshare", "--mount", "--propagation", "slave", "sh", "-ec"],
        'mount -t "$1" -o "$2" "$1" "$3"; shift 3; exec "$@"',
        ...["sh", mount.type, mount.options, root],
      ]
    : [];
  // SIGTERM asks for an orderly end in there; it comes as well when this process is killed.
  const groups = makeControlGroups(`test-${name}`);
  const child = spawn("setpriv", ["--pdeathsig", "TERM", ...groups.prefix, ...mounting, ...nspawn, ...args], {
    stdio: ["ignore", log, log],
    detached: true,
    env: { ...process.env, ...(unified ? { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" } : {}) },
  });
  closeSync(log);
  let isOff = false;
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      isOff = true;
      groups.remove();
      resolve();
    };
    child.on("error", end);
    child.on("exit", end);
  });
  const outer = child.pid;
  if (outer === undefined) throw new Error("systemd-nspawn could not be started");

  function leader(): number {
    const pid = isOff || outer === undefined ? undefined : firstProcess(outer);
    if (pid === undefined) throw new Error(`${name} is off`);
    return pid;
  }

  async function booted(other?: number): Promise<void> {
    for (const until = Date.now() + bootTimeoutMs; ; ) {
      const pid = isOff || outer === undefined ? undefined : firstProcess(outer);
      if (pid !== undefined && pid !== other) {
        const state = await runCommand(enter(pid, ["systemctl", "is-system-running"]));
        if (/^(running|degraded)$/m.test(state.stdout)) return;
      }
      if (isOff || Date.now() > until)
        throw new Error(`${name} did not boot:\n${readFileSync(consoleFile, "utf8").slice(-3000)}`);
      await pause(100);
    }
  }

  async function restarted(before: number): Promise<"ended" | "restarted"> {
    const tooLate = setTimeout(() => end("at once"), shutDownTimeoutMs);
    for (;;) {
      if (isOff || outer === undefined) break;
      const pid = firstProcess(outer);
      if (pid !== undefined && pid !== before) break;
      await pause(50);
    }
    clearTimeout(tooLate);
    return isOff ? "ended" : "restarted";
  }

  async function end(how: "orderly" | "at once"): Promise<void> {
    if (isOff || outer === undefined) return;
    const inner = firstProcess(outer);
    if (how === "orderly" || inner === undefined) process.kill(outer, "SIGTERM");
    else process.kill(inner, "SIGKILL");
    const tooLate = setTimeout(() => {
      const pid = firstProcess(outer);
      process.kill(pid ?? outer, "SIGKILL");
    }, shutDownTimeoutMs);
    await ended;
    clearTimeout(tooLate);
  }

  try {
    await booted();
  } catch (error) {
    await end("at once");
    throw error;
  }
  return { leader, run: (command, options) => runCommand(enter(leader(), command), options), booted, restarted, end };
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

function enter(leader: number, command: readonly string[]): string[] {
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
