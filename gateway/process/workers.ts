// Keeps so many worker processes running: one that ends unasked is replaced at once, one that keeps ending after a pause.
import { type ChildProcess, fork } from "node:child_process";
import { exitCodes } from "../errors.ts";
import type { Log } from "../observability/log.ts";
import { workerVariable } from "./gateway.ts";
import { linkToWorker } from "./worker-carriers.ts";
import type { Hub } from "./worker-link.ts";
import { readyNote, type WorkersState } from "./worker-messages.ts";

/** The first replacement is immediate. */
const backoffMs = [0, 250, 500, 1000, 2000, 5000, 10_000];
/** A worker that ran this long starts the backoff anew. */
const steadyAfterMs = 30_000;
/** Before any of them was ready this many ends of one worker mean that none will be. */
const maxFirstEnds = 3;
/** A worker that is not ready by then has hung. */
const readyTimeoutMs = 30_000;

export interface Workers {
  /** Resolves once all are ready: with undefined; or with the exit code that the first start ended in. */
  readonly started: Promise<number | undefined>;
  state(): WorkersState;
  /** No replacements from now on; those that are not ready end. */
  stopping(): void;
  /** Resolves when all are gone; those that are left after `withinMs` are killed. */
  gone(withinMs: number): Promise<void>;
  killAll(): void;
}

interface Slot {
  readonly index: number;
  child: ChildProcess | undefined;
  state: "starting" | "ready" | "waiting";
  startedAt: number;
  crashes: number;
  /** Ends in a row. */
  attempt: number;
}

interface Options {
  readonly count: number;
  /** The listening socket; it becomes descriptor 3 of each worker. */
  readonly descriptor: number;
  readonly log: Log;
  readonly hub: Hub;
  onChange(state: WorkersState): void;
  onReady(worker: number): void;
  onCrash(worker: number): void;
}

export function runWorkers({ count, descriptor, log, hub, onChange, onReady, onCrash }: Options): Workers {
  const slots: Slot[] = Array.from({ length: count }, (_, index) => ({
    index,
    child: undefined,
    state: "starting",
    startedAt: 0,
    crashes: 0,
    attempt: 0,
  }));
  const started = Promise.withResolvers<number | undefined>();
  let allWereReady = false;
  let stopping = false;
  const whenGone: (() => void)[] = [];

  const state = (): WorkersState => ({
    workers: slots.map((slot) => ({
      index: slot.index,
      pid: slot.child?.pid ?? 0,
      state: slot.state,
      crashes: slot.crashes,
    })),
  });

  function start(slot: Slot): void {
    if (stopping) return;
    const child = fork(process.argv[1] ?? "", process.argv.slice(2), {
      stdio: ["ignore", "inherit", "inherit", descriptor, "ipc"],
      env: { ...process.env, [workerVariable]: String(slot.index) },
    });
    slot.child = child;
    slot.state = "starting";
    slot.startedAt = performance.now();
    const hung = setTimeout(() => child.kill("SIGKILL"), readyTimeoutMs);
    const link = linkToWorker(child);
    link.on(readyNote, () => {
      clearTimeout(hung);
      slot.state = "ready";
      onChange(state());
      onReady(slot.index);
      if (slots.every((other) => other.state === "ready")) {
        allWereReady = true;
        started.resolve(undefined);
      }
    });
    hub.add(slot.index, link);
    child.once("error", (error) => log.error("worker_failed", `worker ${slot.index} cannot be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      clearTimeout(hung);
      if (slot.child === child) ended(slot, code, signal);
    });
    onChange(state());
  }

  function ended(slot: Slot, code: number | null, signal: string | null): void {
    const pid = slot.child?.pid ?? 0;
    slot.child = undefined;
    if (stopping) {
      if (slots.every((other) => other.child === undefined)) for (const done of whenGone.splice(0)) done();
      return;
    }
    slot.crashes += 1;
    onCrash(slot.index);
    slot.state = "waiting";
    const how = signal ?? `code ${code}`;
    // What a first start says of itself (a wrong config, a port that is taken) another try would say again.
    const saidWhy = code !== null && code !== 0 && code !== exitCodes.internal;
    if (!allWereReady && (saidWhy || slot.crashes >= maxFirstEnds)) {
      started.resolve(code ?? exitCodes.internal);
      return;
    }
    if (performance.now() - slot.startedAt > steadyAfterMs) slot.attempt = 0;
    const delayMs = backoffMs[Math.min(slot.attempt, backoffMs.length - 1)] ?? 0;
    slot.attempt += 1;
    log.error("worker_ended", `worker ${slot.index} ended by ${how}; it is replaced${delayMs > 0 ? ` in ${delayMs} ms` : ""}`, {
      pid,
    });
    if (delayMs === 0) start(slot);
    else setTimeout(() => start(slot), delayMs);
    onChange(state());
  }

  for (const slot of slots) start(slot);
  const living = (): ChildProcess[] => slots.flatMap((slot) => slot.child ?? []);

  return {
    started: started.promise,
    state,
    stopping() {
      stopping = true;
      for (const slot of slots) if (slot.state === "starting") slot.child?.kill("SIGTERM");
    },
    gone(withinMs) {
      if (living().length === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          for (const child of living()) child.kill("SIGKILL");
        }, withinMs);
        whenGone.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
    killAll() {
      for (const child of living()) child.kill("SIGKILL");
    },
  };
}
