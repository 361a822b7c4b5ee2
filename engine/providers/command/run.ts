/**
 * Runs one command as the official command provider does: output kept whole and handed out line by line, its own process
 * group, which is killed with the engine, on abort and after the timeout.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, resolve } from "node:path";
import type { Guardian } from "../../guardian.ts";
import { lineReader } from "./lines.ts";

export interface CommandLine {
  command: string;
  interpreter: string[];
  /** Absolute. */
  directory: string;
  /** As the user gave it, for messages. */
  givenDirectory?: string;
  environment: { [name: string]: string };
  stdin: string;
  timeoutMs?: number;
  onLine(stream: "stdout" | "stderr", line: string): void;
}

export interface CommandOutput {
  stdout: string;
  stderr: string;
  /** Both streams in the order in which they came. */
  combined: string;
  /** Go's wording: undefined after exit 0, else `exit status 3`, `signal: killed`, or why it could not start. */
  failure?: string;
  timedOut?: boolean;
}

/**
 * The command waits at a gate (one line on descriptor 3) until the guardian knows its group: nothing can be left behind by
 * an engine that dies in between. The shell that waits becomes the command.
 */
const gate = 'read -r go <&3 || exit 125; exec "$@" 3<&-';

export async function runCommand(line: CommandLine, guardian: Guardian, signal: AbortSignal): Promise<CommandOutput> {
  const output = { stdout: "", stderr: "", combined: "" };
  if (signal.aborted) return { ...output, failure: "context canceled" };
  const [program = "", ...rest] = line.interpreter;
  const env = { ...process.env, ...line.environment };
  const found = findProgram(program, line);
  if ("failure" in found) return { ...output, failure: found.failure };
  const args = [...rest, line.command];
  // dash would drop variables whose names are no shell names.
  const gated = process.platform !== "win32" && Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name));
  const child = gated
    ? spawn("/bin/sh", ["-c", gate, "sh", found.path, ...args], {
        ...options(line, env),
        stdio: [stdinOf(line), "pipe", "pipe", "pipe"],
      })
    : spawn(found.path, args, { ...options(line, env), stdio: [stdinOf(line), "pipe", "pipe"] });
  return await finished(child, line, guardian, signal);
}

function options(line: CommandLine, env: NodeJS.ProcessEnv) {
  return { cwd: line.directory, env, detached: process.platform !== "win32", windowsHide: true };
}

function stdinOf(line: CommandLine): "pipe" | "ignore" {
  return line.stdin === "" ? "ignore" : "pipe";
}

function finished(child: ChildProcess, line: CommandLine, guardian: Guardian, signal: AbortSignal): Promise<CommandOutput> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const combined: Buffer[] = [];
  collect(child, "stdout", [stdout, combined], line.onLine);
  collect(child, "stderr", [stderr, combined], line.onLine);
  const { pid } = child;
  if (pid !== undefined) guardian.begin(pid);
  const gateEnd = child.stdio[3];
  if (gateEnd && "end" in gateEnd) {
    gateEnd.on("error", () => {});
    gateEnd.end("\n");
  }
  // A command that does not read its input is no failure.
  child.stdin?.on("error", () => {});
  child.stdin?.end(line.stdin);

  return new Promise((settle) => {
    let timedOut = false;
    let ended = false;
    const kill = () => {
      killGroup(pid);
      // Something that left the group may hold the pipes open for ever.
      const release = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, 1000);
      release.unref();
    };
    const timer = line.timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          kill();
        }, line.timeoutMs)
      : undefined;
    signal.addEventListener("abort", kill, { once: true });
    const end = (failure: string | undefined) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", kill);
      if (pid !== undefined) guardian.end(pid);
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString("utf8");
      settle({
        stdout: text(stdout),
        stderr: text(stderr),
        combined: text(combined),
        failure,
        ...(timedOut ? { timedOut } : {}),
      });
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, killedBy) => {
      end(killedBy ? `signal: ${signalText(killedBy)}` : code === 0 ? undefined : `exit status ${code}`);
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Keeps the bytes, and gives out each line once it is whole. */
function collect(child: ChildProcess, name: "stdout" | "stderr", keep: Buffer[][], onLine: CommandLine["onLine"]): void {
  const lines = lineReader((line) => onLine(name, line));
  child[name]?.on("data", (chunk: Buffer) => {
    for (const list of keep) list.push(chunk);
    lines.add(chunk);
  });
  child[name]?.on("end", lines.end);
}

/** Where the interpreter is, or Go's words for why it cannot be run. */
function findProgram(program: string, line: CommandLine): { path: string } | { failure: string } {
  const directory = line.givenDirectory ?? line.directory;
  const folder = statSync(line.directory, { throwIfNoEntry: false });
  if (!folder) return { failure: `chdir ${directory}: no such file or directory` };
  if (!folder.isDirectory()) return { failure: `chdir ${directory}: not a directory` };
  if (program.includes("/") || process.platform === "win32") {
    const path = isAbsolute(program) || process.platform === "win32" ? program : resolve(line.directory, program);
    if (process.platform === "win32" || executable(path)) return { path };
    const reason = statSync(path, { throwIfNoEntry: false }) ? "permission denied" : "no such file or directory";
    return { failure: `fork/exec ${program}: ${reason}` };
  }
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    if (folder && executable(`${folder}/${program}`)) return { path: `${folder}/${program}` };
  }
  return { failure: `exec: ${JSON.stringify(program)}: executable file not found in $PATH` };
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** syscall.Signal's texts in Go. */
function signalText(name: string): string {
  const texts: { [signal: string]: string } = {
    SIGHUP: "hangup",
    SIGINT: "interrupt",
    SIGQUIT: "quit",
    SIGILL: "illegal instruction",
    SIGTRAP: "trace/breakpoint trap",
    SIGABRT: "aborted",
    SIGBUS: "bus error",
    SIGFPE: "floating point exception",
    SIGKILL: "killed",
    SIGUSR1: "user defined signal 1",
    SIGSEGV: "segmentation fault",
    SIGUSR2: "user defined signal 2",
    SIGPIPE: "broken pipe",
    SIGALRM: "alarm clock",
    SIGTERM: "terminated",
  };
  return texts[name] ?? name;
}
