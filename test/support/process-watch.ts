/** Looks at the arguments and the environment of every process that starts on this machine, containers and machines included. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { type Exceptions, isExcepted } from "./path-exceptions.ts";
import type { Finding, SecretSearch } from "./planted-secrets.ts";

export interface ProcessWatch {
  /** What was found, and how many starts were seen; of those that ended at once nothing could be read any more. */
  stop(): Promise<{ found: Finding[]; starts: number; unread: number }>;
}

const lineSchema = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ pid: z.number(), name: z.string(), cmdline: z.string(), environ: z.string() }),
]);

/** The kernel tells of each start; reading follows within a fraction of a millisecond. Needs root and python3. */
export async function watchProcesses(text: SecretSearch["text"], except: Exceptions): Promise<ProcessWatch> {
  const child = spawn("python3", ["-I", join(import.meta.dirname, "process-watch.py")], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (words: string) => {
    said = (said + words).slice(-2000);
  });
  const found: Finding[] = [];
  let [starts, unread] = [0, 0];
  const ready = Promise.withResolvers<void>();
  const closed = once(child, "close").then(() => ready.reject(new Error(`the watch of processes ended: ${said}`)));
  ready.promise.catch(() => {});
  createInterface({ input: child.stdout }).on("line", (line) => {
    const told = lineSchema.parse(JSON.parse(line));
    if ("ready" in told) return ready.resolve();
    starts++;
    if (told.cmdline === "") unread++;
    for (const what of ["cmdline", "environ"] as const) {
      const place = `process ${told.pid} (${told.name}) ${what}`;
      if (!isExcepted(`${place} ${told[what]}`, except)) found.push(...text(place, told[what]));
    }
  });
  await ready.promise;
  return {
    async stop() {
      child.kill("SIGKILL");
      await closed;
      return { found, starts, unread };
    },
  };
}
