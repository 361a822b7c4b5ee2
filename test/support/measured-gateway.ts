// A gateway in its own process whose open files and memory can be asked for.
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Stack } from "./two-upstreams.ts";

export interface Holding {
  readonly files: number;
  /** Of JavaScript and its buffers, after a collection. */
  readonly heapBytes: number;
  readonly rssBytes: number;
}

export interface MeasuredGateway {
  readonly url: string;
  measure(): Promise<Holding>;
  close(): Promise<void>;
}

export async function startMeasuredGateway(aUrl: string, bUrl: string, stack: Stack): Promise<MeasuredGateway> {
  const child = fork(join(import.meta.dirname, "measured-gateway-server.ts"), [JSON.stringify({ aUrl, bUrl, stack })], {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const next = async (): Promise<object> => {
    const [message]: unknown[] = await Promise.race([once(child, "message"), once(child, "exit")]);
    if (typeof message !== "object" || message === null) throw new Error("the gateway's process ended");
    return message;
  };
  const url: unknown = Reflect.get(await next(), "url");
  return {
    url: String(url),
    async measure() {
      const answer = next();
      child.send("measure");
      const figure = (name: string, from: object): number => Number(Reflect.get(from, name));
      const from = await answer;
      return { files: figure("files", from), heapBytes: figure("heapBytes", from), rssBytes: figure("rssBytes", from) };
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
