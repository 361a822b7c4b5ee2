// Programs of the bench, each bound to one processor: built, started, watched through /proc, ended.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Everything under test has this processor for itself; load generator and fake upstream share the other. */
export const testedCpu = 0;
export const loadCpu = 1;

export interface Program {
  readonly pid: number;
  /** Of the process and, for nginx, of its worker. */
  cpuSeconds(): number;
  residentMb(): number;
  stop(): Promise<void>;
}

/** What is missing on this machine, with the fix; empty where the bench can run. */
export function missingTools(): string[] {
  const tools = { gcc: "the load generator is a small C program", nginx: "it is the yardstick", taskset: "of util-linux" };
  const missing = Object.entries(tools)
    .filter(([name]) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0)
    .map(([name, why]) => `${name} is missing (${why}): install it, on Debian with apt-get install gcc libc6-dev nginx-light`);
  return process.platform === "linux" ? missing : [...missing, "the bench reads /proc: it runs on Linux only"];
}

export function build(name: "load" | "upstream", folder: string): string {
  const program = join(folder, name);
  const args = ["-O2", "-Wall", "-o", program, join(import.meta.dirname, `${name}.c`), "-lm"];
  const result = spawnSync("gcc", args, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`gcc could not build ${name}.c: ${result.error?.message ?? result.stderr}`);
  return program;
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** A file that gets its standard output. */
  readonly output?: string;
}

export function startOn(cpu: number, command: readonly string[], { env, output }: StartOptions = {}): ChildProcess {
  return spawn("taskset", ["-c", String(cpu), ...command], {
    stdio: ["ignore", output === undefined ? "pipe" : openSync(output, "a"), "inherit"],
    ...(env ? { env } : {}),
  });
}

export function watched(child: ChildProcess): Program {
  const pid = child.pid ?? 0;
  return {
    pid,
    cpuSeconds: () => [pid, ...childrenOf(pid)].reduce((sum, one) => sum + cpuSecondsOf(one), 0),
    residentMb: () => residentMb(pid),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    },
  };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

/** utime + stime, man 5 proc; the name before them may hold spaces. */
function cpuSecondsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMb(pid: number): number {
  return (Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096) / 1e6;
}

export async function untilOpen(port: number, child: ChildProcess, what: string): Promise<void> {
  for (let tries = 0; tries < 1500; tries += 1) {
    if (child.exitCode !== null) break;
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await sleep(20);
  }
  throw new Error(`${what} did not open its port`);
}
