// A vLLM in its own process: its places are bounded, its /metrics tell the truth about them, and its ledger says when each request reached it.
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export interface VllmOptions {
  /** Requests that run at the same time; the others wait. */
  readonly maxSeqs: number;
  /** How long each one runs. */
  readonly serviceMs: number;
  /** None ends before `release`. */
  readonly held?: boolean;
  /** Requests of somebody else: they show in the figures only. */
  readonly others?: number;
  /** A key that sends more gets 429. */
  readonly bought?: { readonly requests: number; readonly windowMs: number };
  /** Of each answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface VllmRequest {
  /** When it was here, in milliseconds of the machine's clock. */
  readonly atMs: number;
  readonly key: string;
  /** `user` of the request. */
  readonly tag: string;
  /** Requests that ran when it began, itself included. */
  ranWith: number;
  state: "waiting" | "running" | "finished" | "aborted" | "refused";
}

export interface FakeVllm {
  readonly baseUrl: string;
  /** Empties the ledger. */
  set(options: VllmOptions): Promise<void>;
  release(): Promise<void>;
  ledger(): Promise<VllmRequest[]>;
  close(): Promise<void>;
}

export async function startFakeVllm(): Promise<FakeVllm> {
  const child = fork(join(import.meta.dirname, "fake-vllm-server.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [message]: unknown[] = await Promise.race([once(child, "message"), once(child, "exit")]);
  const port = Reflect.get(Object(message), "port");
  if (typeof port !== "number") throw new Error("the fake engine did not start");
  const control = async (command: string, body: unknown): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${port}/control/${command}`, { method: "POST", body: JSON.stringify(body) });
    return answer.json();
  };
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    async set(options) {
      await control("set", options);
    },
    async release() {
      await control("release", {});
    },
    async ledger() {
      const list = await control("ledger", {});
      return Array.isArray(list) ? list : [];
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** The most requests in any span of this length, as whoever sold them would count. */
export function mostWithin(requests: readonly VllmRequest[], windowMs: number): number {
  const times = requests.map(({ atMs }) => atMs).sort((a, b) => a - b);
  let from = 0;
  let most = 0;
  for (const [to, time] of times.entries()) {
    while (time - (times[from] ?? 0) >= windowMs) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
