// A real Docker daemon for a test: its own folders, socket and network, apart from any daemon of the machine.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectDaemon, type Daemon } from "../../engine/providers/docker/api.ts";
import { tarArchive } from "../../engine/providers/docker/tar.ts";
import { installPrograms, pathOf } from "./debian-packages.ts";
import { removeFolder } from "./remove-folder.ts";

export interface TestDocker {
  /** unix:///… */
  readonly host: string;
  readonly daemon: Daemon;
  /** The name of its network device. */
  readonly bridge: string;
  /** Its own, removed with it. */
  readonly folder: string;
  readonly log: () => string;
  /** An image with busybox and its usual names alone. */
  importBase(name: string): Promise<string>;
  /**
   * The daemon ends in order and starts again. Containers go on where it was started with "--live-restore"; what the daemon's
   * own proxy carries (published ports over this machine's loopback and over IPv6) is cut all the same.
   */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const programs: { readonly [program: string]: string } = {
  dockerd: "docker.io",
  iptables: "iptables",
  ip: "iproute2",
  busybox: "busybox-static",
};

/** Why there is no Docker here; undefined where there is one. Installs the Debian packages where that is possible. */
export function whyNoDocker(more: { readonly [program: string]: string } = {}): string | undefined {
  if (process.getuid?.() !== 0) return "a Docker daemon of its own needs root";
  return installPrograms({ ...programs, ...more });
}

const noSignal = new AbortController().signal;

/** Networks as large as those of the daemon that was recorded. */
export const recordedNetworks = ["--default-address-pool", "base=10.192.0.0/10,size=16"];

let started = 0;
/** Of two that make the first rules of a fresh machine at the same moment, one ends with "Chain already exists". */
const maxStarts = 3;

/**
 * Daemons beside each other do not meet: each has a bridge and a range of its own; of the pool they take what is free.
 * `programs` are folders whose programs come before this machine's. `networkName`: of a network namespace, which is the host then.
 */
export async function startDocker(
  more: readonly string[] = [],
  programs: readonly string[] = [],
  networkName?: string,
): Promise<TestDocker> {
  // In no mount namespace of its own, as `ip netns exec` would give it.
  const prefix = networkName === undefined ? [] : ["nsenter", `--net=/run/netns/${networkName}`];
  const folder = mkdtempSync(join(tmpdir(), "docker-"));
  const bridge = `od${process.pid}-${++started}`;
  const { address, pool } = rangesOf(started);
  const [ip = "ip", ...inside] = [...prefix, "ip"];
  execFileSync(ip, [...inside, "link", "add", bridge, "type", "bridge"]);
  execFileSync(ip, [...inside, "address", "add", address, "dev", bridge]);
  execFileSync(ip, [...inside, "link", "set", bridge, "up"]);
  const socket = join(folder, "docker.sock");
  const logFile = join(folder, "log");
  const args = [
    ...[...prefix, "dockerd"],
    ...["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid")],
    ...["-H", `unix://${socket}`, "--bridge", bridge],
    ...(more.includes("--default-address-pool") ? [] : pool),
    ...more,
  ];
  const first = networkName === undefined ? [sharedRules(folder), ...programs] : programs;
  let running = launch(args, logFile, first);
  const host = `unix://${socket}`;
  const daemon = connectDaemon({ host, sshOptions: [] });

  async function close(): Promise<void> {
    daemon.close();
    await removeAll(host).catch(() => {});
    await end();
    // Where the daemon had to be killed, its containers are there still.
    await removeFolder(folder);
    spawnSync(ip, [...inside, "link", "delete", bridge]);
  }

  async function end(): Promise<void> {
    const { child, ended } = running;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const group = -child.pid;
    child.kill("SIGTERM");
    const late = setTimeout(() => process.kill(group, "SIGKILL"), 30_000);
    await ended;
    clearTimeout(late);
  }

  async function ready(): Promise<void> {
    let starts = 1;
    for (const until = Date.now() + 60_000; ; ) {
      try {
        // What an earlier daemon said of itself is remembered: it is asked for something else.
        if (existsSync(socket)) await daemon.bytes({ method: "GET", path: "/info" }, noSignal);
        else throw new Error("no socket yet");
        return;
      } catch (error) {
        if (running.child.exitCode !== null && starts < maxStarts) {
          starts += 1;
          running = launch(args, logFile, first);
        } else if (running.child.exitCode !== null || Date.now() > until) {
          const said = readFileSync(logFile, "utf8").slice(-3000);
          await close();
          throw new Error(`dockerd did not start:\n${said}`, { cause: error });
        }
        await pause(50);
      }
    }
  }

  await ready();
  return {
    host,
    daemon,
    bridge,
    folder,
    log: () => readFileSync(logFile, "utf8"),
    importBase: (name) => importBase(daemon, name),
    async restart() {
      await end();
      running = launch(args, logFile, first);
      await ready();
    },
    close,
  };
}

/**
 * A daemon that starts takes the chains of all daemons away and makes them anew: others that write a rule just then fail, and their
 * published ports are closed from then on. This folder's iptables leaves the chains where they are.
 */
function sharedRules(folder: string): string {
  const place = join(folder, "programs");
  mkdirSync(place);
  for (const name of ["iptables", "ip6tables"]) {
    const script = `#!/bin/sh
case " $* " in
*" -F DOCKER"* | *" -X DOCKER"* | *" -D PREROUTING "*" -j DOCKER "* | *" -D OUTPUT "*" -j DOCKER "*) exit 0 ;;
esac
exec ${pathOf(name)} "$@"
`;
    writeFileSync(join(place, name), script, { mode: 0o755 });
  }
  return place;
}

/** Two daemons that look for free addresses at the same moment take the same ones: each process has its own. */
function rangesOf(daemon: number): { address: string; pool: string[] } {
  const bridge = process.pid % 16_384;
  const pool = (process.pid * 4 + daemon) % 4096;
  return {
    address: `10.${64 + (bridge >> 8)}.${bridge & 255}.${16 * daemon + 1}/28`,
    pool: ["--default-address-pool", `base=10.${128 + (pool >> 6)}.${(pool & 63) * 4}.0/22,size=26`],
  };
}

function launch(
  [program = "", ...args]: readonly string[],
  logFile: string,
  programs: readonly string[],
): { child: ChildProcess; ended: Promise<void> } {
  const log = openSync(logFile, "a");
  const env = { ...process.env, PATH: [...programs, process.env.PATH].join(delimiter) };
  const child = spawn(program, args, { stdio: ["ignore", log, log], detached: true, env });
  closeSync(log);
  return { child, ended: new Promise<void>((resolve) => child.once("close", () => resolve())) };
}

/** Networks too: their devices would outlive the daemon. */
async function removeAll(host: string): Promise<void> {
  const daemon = connectDaemon({ host, sshOptions: [] });
  const signal = AbortSignal.timeout(20_000);
  for (const { Id } of await daemon.list({ method: "GET", path: "/containers/json", query: { all: true } }, signal)) {
    await daemon.bytes({ method: "DELETE", path: `/containers/${String(Id)}`, query: { force: true, v: true } }, signal);
  }
  for (const { Id, Name } of await daemon.list({ method: "GET", path: "/networks" }, signal)) {
    if (["bridge", "host", "none"].includes(String(Name))) continue;
    await daemon.bytes({ method: "DELETE", path: `/networks/${String(Id)}` }, signal);
  }
  daemon.close();
}

async function importBase(daemon: Daemon, name: string): Promise<string> {
  const busybox = readFileSync(pathOf("busybox"));
  const modified = new Date(0);
  const folder = (path: string) => ({ name: path, mode: 0o755, modified, folder: true });
  const commands = ["sh", "wget", "sleep", "cat", "echo", "httpd", "ls", "true", "stat", "id"];
  const files = [
    ...["bin", "etc", "tmp", "www"].map(folder),
    { name: "bin/busybox", mode: 0o755, modified, content: busybox },
    ...commands.map((command) => ({ name: `bin/${command}`, mode: 0o777, modified, link: "/bin/busybox" })),
    { name: "etc/passwd", mode: 0o644, modified, content: Buffer.from("root:x:0:0:root:/:/bin/sh\n") },
  ];
  const [repo, tag] = name.split(":");
  const query = { fromSrc: "-", repo, tag };
  let id = "";
  for await (const message of daemon.messages(
    { method: "POST", path: "/images/create", query, body: tarArchive(files) },
    noSignal,
  )) {
    if (typeof message.status === "string") id = message.status;
  }
  return id;
}

/** Where containers reach this machine's own processes. */
export function bridgeAddress(bridge: string): string {
  const address = networkInterfaces()[bridge]?.find(({ family }) => family === "IPv4")?.address;
  if (address === undefined) throw new Error(`${bridge} has no address`);
  return address;
}
