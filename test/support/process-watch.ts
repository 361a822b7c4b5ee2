/** Looks at the arguments and the environment of every process that starts on this machine, containers and machines included. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";

/** A program that was started. */
export interface Program {
  readonly pid: number;
  readonly name: string;
  readonly cmdline: string;
  /** Empty where an earlier one had the same. */
  readonly environ: string;
}

export interface ProcessWatch {
  /** Once more gives the same. */
  stop(): Promise<readonly Program[]>;
}

const lineSchema = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ pid: z.number(), name: z.string(), cmdline: z.string(), environ: z.string() }),
]);

/** The kernel tells of each start; reading follows within a fraction of a millisecond: of what ended sooner nothing is there to be read. Needs root and python3. */
export async function watchProcesses(): Promise<ProcessWatch> {
  const child = spawn("python3", ["-I", join(import.meta.dirname, "process-watch.py")], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (words: string) => {
    said = (said + words).slice(-2000);
  });
  const programs: Program[] = [];
  const ready = Promise.withResolvers<void>();
  const closed = once(child, "close").then(() => ready.reject(new Error(`the watch of processes ended: ${said}`)));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const told = lineSchema.parse(JSON.parse(line));
    if ("ready" in told) ready.resolve();
    else programs.push(told);
  });
  await ready.promise;
  return {
    async stop() {
      child.kill("SIGTERM");
      await closed;
      return programs;
    },
  };
}
