/** A model server whose streams are numbered, and an echo of WebSockets, in a process of its own, at any address of this machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { z } from "zod";

export interface NumberUpstream {
  /** http://ADDRESS:PORT/v1 for model "numbers": a call is answered at once; a stream says " 0", " 1", … slowly. */
  readonly baseUrl: string;
  readonly port: number;
  readonly pid: number;
  /** What it answered so far. */
  served(): Promise<Served>;
  close(): Promise<void>;
}

const servedSchema = z.object({ calls: z.number(), streams: z.number(), streamsCut: z.number(), sockets: z.number() });
/** `streams` ended as they should, `streamsCut` were left by the caller before. */
export type Served = z.infer<typeof servedSchema>;

const startedSchema = z.object({ port: z.number() });

/**
 * The prompt says what a stream is: "pieces=300 paceMs=100"; without it 10 pieces at once. An upgrade on any path is an echo.
 * @param options `address`: of a bridge, so that containers and machines reach it; "::" for all. `prefix`: a network host's.
 */
export async function startNumberUpstream(
  options: { address?: string; port?: number; prefix?: readonly string[] } = {},
): Promise<NumberUpstream> {
  const { address = "127.0.0.1", port = 0, prefix = [] } = options;
  const server = join(import.meta.dirname, "number-upstream-server.ts");
  const [program = process.execPath, ...args] = [...prefix, process.execPath, server, address, String(port)];
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [message] = await Promise.race([once(child, "message"), once(child, "exit")]);
  const started = startedSchema.parse(message);
  return {
    baseUrl: `http://${address.includes(":") ? `[${address}]` : address}:${started.port}/v1`,
    port: started.port,
    pid: child.pid ?? 0,
    async served() {
      const answer = once(child, "message");
      child.send("served");
      return servedSchema.parse((await answer)[0]);
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
