// A model server in its own process for tests and benchmarks: OpenAI's wire format, controllable pacing and faults, and a ledger of what reached it.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** How one request is answered. Without anything set: five words at once, and usage. */
export interface Behaviour {
  words?: string[];
  /** What the model thinks before it speaks, and the tools that it calls after. */
  thoughts?: string[];
  calls?: { id: string; name: string; arguments: object }[];
  finish?: "stop" | "length" | "tools";
  /** A stream is written in chunks of so many bytes, without regard to lines and letters. */
  splitBytes?: number;
  /** Line ends of a stream are CR LF. */
  crlf?: boolean;
  /** This stream or JSON instead of an answer, also cut by `splitBytes` and with `crlf`. */
  recorded?: { type: string; text: string };
  /** This JSON instead of an answer. */
  answer?: object;
  /** Between two chunks of a stream. */
  paceMs?: number;
  /** Before anything is sent. */
  delayMs?: number;
  /** Nothing is sent until `open(name)`. */
  gate?: string;
  /** A stream stops before this chunk until `open(gateName)` (default "stream"). */
  gateAt?: number;
  gateName?: string;
  /** Makes each chunk this much larger. */
  chunkBytes?: number;
  status?: number;
  headers?: Record<string, string>;
  errorBody?: unknown;
  /** /models answers with this status. */
  modelsStatus?: number;
  /** /health does; 404 without it. */
  healthStatus?: number;
  hang?: "before-headers" | "after-headers" | "mid-stream";
  reset?: "before-headers" | "after-headers";
  /** A stream comes one byte at a time. */
  drip?: boolean;
  /** A stream breaks off after this many chunks. */
  cutAfterChunks?: number;
  /** A JSON answer breaks off after this many bytes. */
  cutAfterBytes?: number;
  /** The end of the connection is the end of the stream (HTTP/1.0 style). */
  closeDelimited?: boolean;
  /** Answers JSON although a stream was asked for. */
  ignoreStream?: boolean;
  /** These bytes instead of an answer, then the end of the connection. */
  raw?: string;
}

export interface LedgerEntry {
  path: string;
  headers: Record<string, string>;
  body: string;
  model: string;
  sentChunks: number;
  /** aborted: the caller left before the end; reset: this server broke it off itself. */
  state: "open" | "finished" | "aborted" | "reset";
}

export interface FakeUpstream {
  readonly port: number;
  /** With /v1. */
  readonly baseUrl: string;
  readonly pid: number;
  /** One behaviour a request, the last one for all that follow; empties the ledger. */
  script(behaviours: Behaviour[], models?: string[]): Promise<void>;
  /** Lets a gated answer go on; waits until a request stands at the gate. */
  open(gate: string): Promise<void>;
  ledger(): Promise<LedgerEntry[]>;
  /** Resolves with the ledger once so many requests are in that state. */
  waitFor(state: LedgerEntry["state"] | "any", count?: number): Promise<LedgerEntry[]>;
  close(): Promise<void>;
}

/** `at`: the port of one that was closed before. */
export async function startFakeUpstream(at = 0): Promise<FakeUpstream> {
  const child: ChildProcess = fork(join(import.meta.dirname, "fake-upstream-server.ts"), [String(at)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const [message]: unknown[] = await Promise.race([once(child, "message"), once(child, "exit")]);
  if (typeof message !== "object" || message === null || !("port" in message) || typeof message.port !== "number")
    throw new Error("the fake upstream did not start");
  const { port } = message;
  const control = async (command: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/control/${command}`, { method: "POST", body: JSON.stringify(body) });
    return response.json();
  };
  return {
    port,
    baseUrl: `http://127.0.0.1:${port}/v1`,
    pid: child.pid ?? 0,
    async script(behaviours, models) {
      await control("script", { behaviours, ...(models ? { models } : {}) });
    },
    async open(gate) {
      await control("open", { gate });
    },
    ledger: async () => entries(await control("ledger", {})),
    waitFor: async (state, count = 1) => entries(await control("wait", { state, count })),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

function entries(value: unknown): LedgerEntry[] {
  return Array.isArray(value) ? value : [];
}
