/** Running a command to its end, and what came of it. */
import { type SpawnOptions, spawn } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** Both, in the order in which they came. */
  text: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** Is told the pid at once, and all output as it comes. */
  onStart?(pid: number): void;
  onText?(text: string): void;
}

export function runCommand([program = "", ...args]: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const where: SpawnOptions = { cwd: options.cwd, env: options.env };
  const child = spawn(program, args, { ...where, stdio: "pipe" });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const outcome: Outcome = { code: 0, stdout: "", stderr: "", text: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      outcome[name] += text;
      outcome.text += text;
      options.onText?.(text);
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...outcome, code: code ?? 137 }));
  });
}

/** A file's bytes as text, or nothing where it is gone: files under /proc go at any moment. */
export function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

export function linkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
