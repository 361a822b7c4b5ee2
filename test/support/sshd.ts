/** A real sshd for a test: on a free port of loopback, with keys and configuration of its own, in the foreground. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { installPrograms } from "./debian-packages.ts";
import { freePort } from "./free-port.ts";

const program = "/usr/sbin/sshd";
const startTimeoutMs = 30_000;

export interface SshdOptions {
  /** Lines of sshd_config, which come first and so win. */
  config?: string[];
  /** Public keys that may log in. */
  authorizedKeys: string[];
  /** Where it listens; otherwise the system chooses. */
  port?: number;
}

export interface Sshd {
  port: number;
  user: string;
  /** The line of its public key. */
  hostKey: string;
  /** Connections that logged in so far. */
  logins(): number;
  /** Connections that are open now. */
  connections(): number;
  log(): string;
  /** Kills the processes of all connections, as a host that fails. */
  cutConnections(): void;
  stop(): Promise<void>;
}

/** Why none can run here, in words; undefined where one can. Installs OpenSSH's server without starting a service. */
export function whyNoSshd(): string | undefined {
  if (process.platform !== "linux") return `the tests of SSH need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "sshd lets only root log in as another user, and the recordings log in as root";
  return installPrograms({ sshd: "openssh-server", "ssh-keygen": "openssh-client" });
}

export interface KeyPair {
  privateKey: string;
  publicKey: string;
  /** The private key's file. */
  file: string;
}

export function makeKey(folder: string, name: string, passphrase = "", type = "ed25519"): KeyPair {
  const file = join(folder, name);
  execFileSync("ssh-keygen", [
    "-q",
    "-t",
    type,
    ...(type === "rsa" ? ["-b", "2048"] : []),
    "-N",
    passphrase,
    "-C",
    name,
    "-f",
    file,
  ]);
  return { file, privateKey: readFileSync(file, "utf8"), publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
}

export function publicKeyOf(folder: string, privateKey: string): string {
  const file = join(folder, "key-to-read");
  // The tool wants the line end that a setting loses.
  writeFileSync(file, `${privateKey.trim()}\n`, { mode: 0o600 });
  return execFileSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" }).trim();
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "sshd-"));
  // Where it locks its unprivileged half up; packages make it when the service starts.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const key = makeKey(folder, "host");
  writeFileSync(join(folder, "authorized_keys"), `${options.authorizedKeys.join("\n")}\n`, { mode: 0o600 });
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const started = await start(folder, port, options.config ?? []);
    if (typeof started === "string") {
      if (attempt < 5) continue;
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`sshd did not start:\n${started}`);
    }
    const { child, log } = started;
    return {
      port,
      user: userInfo().username,
      hostKey: key.publicKey,
      log,
      logins: () => log().match(/^Accepted /gm)?.length ?? 0,
      connections: () => directChildren(child.pid).length,
      cutConnections() {
        for (const pid of childrenOf(child.pid)) kill(pid);
      },
      async stop() {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        const running = child.exitCode === null && child.signalCode === null;
        for (const pid of childrenOf(child.pid)) kill(pid);
        child.kill("SIGKILL");
        if (running) await ended;
        rmSync(folder, { recursive: true, force: true });
      },
    };
  }
}

async function start(
  folder: string,
  port: number,
  config: string[],
): Promise<{ child: ChildProcess; log: () => string } | string> {
  const file = join(folder, "sshd_config");
  const lines = [
    ...config,
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${join(folder, "host")}`,
    `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UsePAM no",
    "StrictModes no",
    "PidFile none",
    "PrintMotd no",
    "MaxStartups 200",
    // Debian's bash reads ~/.bashrc for a command by SSH unless it runs within another shell; what that does and prints is this machine's.
    "SetEnv SHLVL=1",
    "Subsystem sftp internal-sftp",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const child = spawn(program, ["-D", "-e", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  return await new Promise((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk.replaceAll("\r", "");
      if (!text.includes("Server listening")) return;
      clearTimeout(timer);
      resolve({ child, log: () => text });
    });
    child.on("error", (error) => resolve(error.message));
    child.on("exit", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** With all below them. */
function childrenOf(pid: number | undefined): number[] {
  return directChildren(pid).flatMap((child) => [child, ...childrenOf(child)]);
}

function directChildren(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  let children = "";
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  } catch {
    // It has ended.
  }
  return children.trim().split(/\s+/).filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
