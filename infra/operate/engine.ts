/** Runs the engine as a process of its own: between it and the program is Pulumi's protocol only. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "../places.ts";
import type { Workplace } from "./workplace.ts";

/** Resolves with the exit code; the terminal is the engine's while it runs. */
export function runEngine(workplace: Workplace, args: string[]): Promise<number> {
  const child = spawn(process.execPath, engineArguments(args), { cwd: root, env: workplace.environment, stdio: "inherit" });
  // Ctrl-C reaches the engine too, and it decides when to end. Other signals come here alone.
  const wait = (): void => {};
  const pass = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  process.on("SIGINT", wait);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      process.removeListener("SIGINT", wait);
      for (const name of ["SIGTERM", "SIGHUP"] as const) process.removeListener(name, pass);
      resolve(code ?? (signal ? 128 + 15 : 255));
    });
  });
}

/** Runs it without showing anything. */
export function askEngine(
  workplace: Workplace,
  args: string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, engineArguments(args), {
    cwd: root,
    env: workplace.environment,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 255, stdout, stderr }));
  });
}

function engineArguments(args: string[]): string[] {
  // Left to itself V8 keeps 100 MB and more of short-lived garbage around in a stack of 1000 resources.
  return ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=4", join(root, "engine/main.ts"), ...args];
}
