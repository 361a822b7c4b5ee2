/** Constant load from a process of its own, by a raw client that never tries anything twice; a ledger of all that was not as it must be. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { z } from "zod";

export interface LoadOptions {
  /** http:// or https://, without a path. */
  url: string;
  /** Trusted instead of the system's authorities. */
  caFile?: string;
  /** Asked for and checked in the certificate, and the Host of each request, where the URL holds an address. */
  serverName?: string;
  token: string;
  model: string;
  /** Chat calls that begin in each second, whatever became of the ones before; 0 for none. */
  callsPerSecond: number;
  /** Every n-th call opens a connection of its own; the others keep theirs. 0: none does. */
  newConnectionEvery?: number;
  /** Streams that run at any moment; each one that ended is followed by the next. Needs the streams of number-upstream.ts. */
  streams?: number;
  /** They begin together instead: with the load, and whenever `beginStreams` says so. None is followed by the next by itself. */
  streamsTogether?: boolean;
  /** What the model server is asked for, and what each stream is checked against: 300 pieces every 100 ms are 30 s. */
  streamPieces?: number;
  streamPaceMs?: number;
  /** WebSockets to an echo server that are open all the time; each sends a numbered message every `everyMs`. One that broke is opened anew. */
  webSockets?: { path: string; count: number; everyMs?: number };
  /** What takes longer is a failure: a call, the gap between two pieces above their pace, an echo. */
  slowMs?: number;
  /** What takes longer than this is given up: a failure as well. */
  timeoutMs?: number;
  /** How long the first right answer of each kind may take. */
  startTimeoutMs?: number;
  /** To run it elsewhere: a network host's prefix. */
  prefix?: readonly string[];
}

const kindSchema = z.enum(["call", "stream", "websocket"]);
export type LoadKind = z.infer<typeof kindSchema>;
export const loadKinds: readonly LoadKind[] = kindSchema.options;

const failureSchema = z.object({
  kind: kindSchema,
  /** When it was noticed. */
  at: z.string(),
  /** The phase in which it was noticed. */
  phase: z.string(),
  /** Milliseconds since it began; a call begins when it is due. */
  afterMs: z.number(),
  expected: z.string(),
  got: z.string(),
  /** It was sent on a connection that had served before. */
  reused: z.boolean(),
});
export type LoadFailure = z.infer<typeof failureSchema>;

const slowestSchema = z.object({
  kind: kindSchema,
  ms: z.number(),
  /** When it ended. */
  at: z.string(),
  /** The phase in which it began. */
  phase: z.string(),
});
export type Slowest = z.infer<typeof slowestSchema>;
const reportSchema = z.object({
  /** Right answers. */
  calls: z.number(),
  streams: z.number(),
  echoes: z.number(),
  /** Connections that were opened, and those that the other side closed in order between two calls: no failures. */
  connections: z.number(),
  closedBetween: z.number(),
  failures: z.array(failureSchema),
  /** The longest call, gap and echo of each phase, the longest first. */
  slowest: z.array(slowestSchema),
});
export type LoadReport = z.infer<typeof reportSchema>;

export interface Load {
  /** From now on failures carry this name. */
  phase(name: string): void;
  /** As many streams as there are to be, beside those that run. */
  beginStreams(): void;
  /** So far. */
  report(): Promise<LoadReport>;
  /** No new calls; what runs is waited for to its end, streams included. */
  finish(): Promise<LoadReport>;
  /** At once, without a report; good after `finish` too. */
  stop(): Promise<void>;
}

const answerSchema = z.object({ id: z.number(), report: reportSchema });

/** Resolves when each kind was good once, a stream with its first piece; throws with the ledger where one was not within a minute. */
export async function startLoad({ prefix = [], startTimeoutMs = 60_000, ...options }: LoadOptions): Promise<Load> {
  const server = join(import.meta.dirname, "constant-load-client.ts");
  const [program = process.execPath, ...args] = [
    ...prefix,
    process.execPath,
    server,
    JSON.stringify({ ...options, token: "" }),
  ];
  // The token is not to be seen among the processes.
  const child = spawn(program, args, { stdio: ["pipe", "inherit", "inherit", "ipc"] });
  child.stdin?.end(options.token);
  const ended = once(child, "exit");
  const waiting = new Map<number, (report: LoadReport) => void>();
  let asked = 0;
  child.on("message", (message) => {
    const answer = answerSchema.safeParse(message);
    if (answer.success) waiting.get(answer.data.id)?.(answer.data.report);
  });
  async function ask(what: "started" | "report" | "finish"): Promise<LoadReport> {
    const id = asked++;
    const answer = new Promise<LoadReport>((resolve) => waiting.set(id, resolve));
    child.send({ id, what });
    const report = await Promise.race([answer, ended]);
    waiting.delete(id);
    if (!("failures" in report)) throw new Error("the process of the load has ended");
    return report;
  }
  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await ended;
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), startTimeoutMs);
  });
  const first = await Promise.race([ask("started"), late]);
  clearTimeout(timer);
  if (first === "late") {
    const { failures } = await ask("report");
    await stop();
    throw new Error(`the load is not answered as it must be: ${JSON.stringify(failures.slice(0, 5), null, 2)}`);
  }
  return {
    phase: (name) => void child.send({ phase: name }),
    beginStreams: () => void child.send({ beginStreams: true }),
    report: () => ask("report"),
    finish: () => ask("finish"),
    stop,
  };
}

/** The longest of a kind in some phases; all of them where none are said. */
export function slowestOf({ slowest }: LoadReport, kind: LoadKind, isMeant?: (phase: string) => boolean): Slowest {
  const found = slowest.find((one) => one.kind === kind && (isMeant?.(one.phase) ?? true));
  return found ?? { kind, ms: 0, at: "", phase: "" };
}

/** In one line. */
export const describeSlowest = (slowest: readonly Slowest[]): string =>
  slowest.map(({ kind, ms, phase }) => `${kind} ${ms} ms (${phase})`).join(", ");

/** Failures in a few lines, for the message of an assertion. */
export function describeFailures({ failures }: LoadReport): string {
  const lines = failures.slice(0, 20).map(({ at, phase, kind, afterMs, expected, got, reused }) => {
    const where = reused ? "a kept connection" : "a new connection";
    return `${at} [${phase}] ${kind} on ${where} after ${afterMs} ms: expected ${expected}, got ${got}`;
  });
  return [`${failures.length} failures`, ...lines].join("\n");
}

/**
 * nginx before 1.27.4 closes a kept connection when a stream on it ends after a reload; who sends the next request in that very
 * moment finds it closed before anything of an answer came.
 */
export function closedAtReload({ reused, got, afterMs }: LoadFailure): boolean {
  return reused && afterMs < 100 && /^(socket hang up|read ECONNRESET) before any answer/.test(got);
}
