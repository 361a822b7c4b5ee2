/**
 * Starts commands. To fork a process costs time for each megabyte that it has, and the engine has many: after the first few
 * commands a small process of our own starts the rest (runner-process.ts).
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Guardian } from "../../guardian.ts";
import { type CommandLine, type CommandOutput, runCommand } from "./run.ts";

/** A command as it is sent: everything but what to do with its lines. */
export type SentCommand = Omit<CommandLine, "onLine">;
export type RunnerRequest = { id: number; command: SentCommand } | { id: number; abort: true };
export type RunnerAnswer = { id: number; stream: "stdout" | "stderr"; lines: string[] } | { id: number; output: CommandOutput };

export interface CommandRunner {
  run(line: CommandLine, signal: AbortSignal): Promise<CommandOutput>;
  close(): void;
}

/** So many are started directly: the small process takes about 50 ms until it can start one. */
const directCommands = 8;

export function createCommandRunner(guardian: Guardian): CommandRunner {
  let started = 0;
  let launcher: Launcher | undefined;
  return {
    run(line, signal) {
      started++;
      if (started <= directCommands || process.platform === "win32") return runCommand(line, guardian, signal);
      if (!launcher?.isAlive()) launcher = startLauncher(guardian);
      return launcher.run(line, signal);
    },
    close() {
      launcher?.close();
    },
  };
}

interface Launcher extends CommandRunner {
  isAlive(): boolean;
}

function startLauncher(guardian: Guardian): Launcher {
  const pending = new Map<number, { line: CommandLine; settle(output: CommandOutput): void }>();
  let last = 0;
  const child = fork(join(import.meta.dirname, "runner-process.ts"), [], {
    // Ctrl-C in a terminal is for the engine.
    detached: true,
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const { pid } = child;
  if (pid !== undefined) guardian.begin(pid);
  child.unref();
  child.channel?.unref();
  const done = (id: number, output: CommandOutput) => {
    pending.get(id)?.settle(output);
    pending.delete(id);
    if (pending.size === 0) child.channel?.unref();
  };
  child.on("message", (answer: RunnerAnswer) => {
    if ("output" in answer) done(answer.id, answer.output);
    else for (const line of answer.lines) pending.get(answer.id)?.line.onLine(answer.stream, line);
  });
  const lost = () => {
    if (pid !== undefined) guardian.end(pid);
    const failure = "the process that runs the commands has ended";
    for (const id of pending.keys()) done(id, { stdout: "", stderr: "", combined: "", failure });
  };
  child.on("error", lost);
  child.on("exit", lost);
  return {
    isAlive: () => child.connected && child.exitCode === null,
    run(line, signal) {
      const id = ++last;
      const { onLine: _, ...command } = line;
      child.channel?.ref();
      const abort = () => send(child, { id, abort: true });
      signal.addEventListener("abort", abort, { once: true });
      return new Promise((settle) => {
        pending.set(id, {
          line,
          settle(output) {
            signal.removeEventListener("abort", abort);
            settle(output);
          },
        });
        send(child, { id, command });
        if (signal.aborted) abort();
      });
    },
    close() {
      if (child.connected) child.disconnect();
    },
  };
}

function send(child: ChildProcess, request: RunnerRequest): void {
  // A channel that is closed is told of by the exit.
  if (child.connected) child.send(request, () => {});
}
