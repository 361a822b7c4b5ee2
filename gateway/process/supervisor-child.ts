/** One gateway process, started here or adopted from a supervisor that was killed. */
import { spawn } from "node:child_process";
import { GatewayMessage, type ProcessSpec } from "./supervisor-files.ts";
import { isAlive, processStartTime } from "./supervisor-lock.ts";

export interface GatewayChild {
  pid: number;
  startedAt: Date;
  /** Resolves with a description when the process is gone. */
  exited: Promise<GatewayExit>;
  /** Resolves when the gateway said that it accepts requests. */
  ready: Promise<void>;
  /** Asks it to read its files again; resolves with its answer. */
  reload(): Promise<Extract<GatewayMessage, { type: "reloaded" }>>;
  /** Tells it that another gateway has taken over; SIGTERM is to follow. */
  replaced(): void;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

export interface GatewayExit {
  code: number | null;
  text: string;
}

/**
 * Objects are never made in the old space from the start, as V8 does where many of a kind lived long while the program started: each
 * one that is dead there keeps all of its call alive until the next full collection, which took a third of the processor's time.
 * Then young spaces of 8 MB are as fast as larger ones. The old space grows by two fifths between two collections, not threefold;
 * one thread beside the main one is enough for collecting and compiling, and each has memory of its own. Buffers count as a part of
 * that growth: by themselves they would have all of the heap marked after each 64 MB. Without the middle one of V8's compilers, whose
 * work keeps some 20 MB of the C library's heap, a gateway is as fast from its second or third second on.
 */
export const nodeFlags: readonly string[] = [
  "--disable-warning=ExperimentalWarning",
  "--no-allocation-site-pretenuring",
  "--max-semi-space-size=8",
  "--heap-growing-percent=40",
  "--no-maglev",
  "--v8-pool-size=1",
  "--external-memory-accounted-in-global-limit",
];

/** The threads share one heap of the C library (mallopt(3)): what the compiler's thread once needed is used again by all. */
export const nodeEnvironment = { MALLOC_ARENA_MAX: "1" } as const;

/** @param descriptor the listening socket; it becomes descriptor 3 of the gateway */
export function startGateway(spec: ProcessSpec, directory: string, descriptor: number, logDescriptor: number): GatewayChild {
  const child = spawn(spec.node, [...nodeFlags, spec.entry], {
    stdio: ["ignore", logDescriptor, logDescriptor, descriptor, "ipc"],
    cwd: directory,
    env: { ...nodeEnvironment, ...process.env, ...spec.environment, LISTEN_FDS: "1", OPENCLAW_SUPERVISOR_DIRECTORY: directory },
  });
  const messages = createInbox();
  child.on("message", messages.receive);
  const exited = new Promise<GatewayExit>((resolve) => {
    child.on("error", (error) => resolve({ code: null, text: `could not be started: ${error.message}` }));
    child.on("exit", (code, signal) => resolve({ code, text: signal ? `was ended by ${signal}` : `ended with code ${code}` }));
  });
  return {
    pid: child.pid ?? 0,
    startedAt: new Date(),
    exited,
    ready: messages.ready,
    reload: () =>
      messages.reloaded((failed) => {
        if (!child.connected) failed("the gateway does not answer");
        else child.send({ type: "reload" }, () => {});
      }),
    replaced: () => {
      if (child.connected) child.send({ type: "replaced" }, () => {});
    },
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

/** The gateway that started this supervisor because its own was gone; they talk over the channel between them. */
export function adoptGateway(pid: number): GatewayChild {
  const messages = createInbox();
  const holder = { pid, startTime: processStartTime(pid) ?? "" };
  process.on("message", messages.receive);
  const exited = new Promise<GatewayExit>((resolve) => {
    const gone = () => {
      if (isAlive(holder)) return;
      clearInterval(watch);
      resolve({ code: null, text: "ended (it was adopted: its exit code is not known)" });
    };
    const watch = setInterval(gone, 100);
  });
  return {
    pid,
    startedAt: new Date(),
    exited,
    ready: Promise.resolve(),
    reload: () =>
      messages.reloaded((failed) => {
        if (process.connected && process.send) process.send({ type: "reload" }, undefined, {}, () => {});
        else failed("the gateway does not answer");
      }),
    replaced: () => {
      if (process.connected && process.send) process.send({ type: "replaced" }, undefined, {}, () => {});
    },
    kill: (signal) => {
      if (isAlive(holder)) process.kill(pid, signal);
    },
  };
}

function createInbox() {
  let nowReady = (): void => {};
  const ready = new Promise<void>((resolve) => {
    nowReady = resolve;
  });
  type Report = Extract<GatewayMessage, { type: "reloaded" }>;
  const waiting: ((report: Report) => void)[] = [];
  return {
    ready,
    receive: (raw: unknown): void => {
      const message = GatewayMessage.safeParse(raw);
      if (!message.success) return;
      if (message.data.type === "ready") nowReady();
      else for (const resolve of waiting.splice(0)) resolve(message.data);
    },
    reloaded: (ask: (failed: (message: string) => void) => void): Promise<Report> =>
      new Promise((resolve) => {
        const answer = (report: Report): void => {
          clearTimeout(timer);
          resolve(report);
        };
        const failed = (message: string): void => answer({ type: "reloaded", ok: false, message });
        const timer = setTimeout(() => failed("the gateway did not answer within 10 s"), 10_000);
        waiting.push(answer);
        ask(failed);
      }),
  };
}
