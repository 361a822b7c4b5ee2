// One run of the load generator against a contender: rates, latencies, and the processor time that the contender took for it.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { Contender } from "./contenders.ts";
import { loadCpu, startOn } from "./programs.ts";
import { stolenSeconds } from "./stolen.ts";

export interface Load {
  readonly mode: "closed" | "open" | "streams";
  readonly connections: number;
  /** Of an open loop: on average. */
  readonly perSecond?: number;
}

export interface Work {
  readonly path: string;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Run {
  readonly perSecond: number;
  /** Pieces of streams that reached the clients. */
  readonly eventsPerSecond: number;
  readonly p50us: number;
  readonly p99us: number;
  /** Of the contender, for each answer, or for each piece of a stream. */
  readonly cpuUs: number;
  /** The share of its processor that the contender used. */
  readonly busy: number;
  /** The share of the time that the host of a virtual machine gave to others. */
  readonly stolen: number;
}

const resultSchema = z.object({
  seconds: z.number(),
  answers: z.number(),
  failures: z.number(),
  events: z.number(),
  p50us: z.number(),
  p99us: z.number(),
});

export function createLoad(program: string, folder: string, seconds: number) {
  let files = 0;
  return async (to: Contender, load: Load, work: Work): Promise<Run> => {
    files += 1;
    const file = join(folder, `request-${files}`);
    writeFileSync(file, requestBytes(to.port, work));
    const numbers = [to.port, load.connections, seconds].map(String);
    const child = startOn(loadCpu, [program, load.mode, ...numbers, file, String(load.perSecond ?? 0)]);
    if (!child.stdout) throw new Error("the load generator cannot be read");
    let before = 0;
    let cpu = 0;
    let last = "";
    let stolenBefore = 0;
    let stolen = 0;
    createInterface({ input: child.stdout }).on("line", (line) => {
      last = line;
      if (line === "begin") {
        before = to.cpuSeconds();
        stolenBefore = stolenSeconds();
      } else {
        cpu = to.cpuSeconds() - before;
        stolen = stolenSeconds() - stolenBefore;
      }
    });
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`the load generator ended with ${code}`);
    const result = resultSchema.parse(JSON.parse(last));
    if (result.failures > 0) throw new Error(`${result.failures} of ${result.answers} answers were no success`);
    return {
      perSecond: result.answers / result.seconds,
      eventsPerSecond: result.events / result.seconds,
      p50us: result.p50us,
      p99us: result.p99us,
      cpuUs: (cpu * 1e6) / Math.max(1, result.answers + result.events),
      busy: cpu / result.seconds,
      stolen: stolen / (result.seconds * availableParallelism()),
    };
  };
}

export type RunLoad = ReturnType<typeof createLoad>;

function requestBytes(port: number, { path, body, headers = {} }: Work): string {
  const text = JSON.stringify(body);
  const lines = Object.entries({
    host: `127.0.0.1:${port}`,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(text)),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${text}`;
}
