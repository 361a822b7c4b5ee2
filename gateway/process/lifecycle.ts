// Where the process is in its life, and which requests are under way: for readiness and for the drain.
import type { ServerResponse } from "node:http";
import type { GatewayError } from "../errors.ts";

/** Something under way that can be ended with an error that its client sees. */
export interface Cuttable {
  cut(error: GatewayError): void;
}

export interface Lifecycle {
  readonly phase: "starting" | "ready" | "draining";
  /** True once the drain's delay is over: new requests are refused. */
  readonly refusing: boolean;
  readonly active: number;
  started(): void;
  enter(response: ServerResponse): void;
  leave(response: ServerResponse): void;
  /** What ends the answer of a request that entered. */
  attach(response: ServerResponse, work: Cuttable): void;
  /** The requests under way. */
  underWay(): ReadonlyMap<ServerResponse, Cuttable | undefined>;
  /** Called once, at the drain's beginning: what belongs to this process alone is given up here. */
  onDrain(handler: () => void): void;
  draining(): void;
  refuse(): void;
}

export function createLifecycle(): Lifecycle {
  let phase: Lifecycle["phase"] = "starting";
  let refusing = false;
  const active = new Map<ServerResponse, Cuttable | undefined>();
  const whenDraining: (() => void)[] = [];

  return {
    get phase() {
      return phase;
    },
    get refusing() {
      return refusing;
    },
    get active() {
      return active.size;
    },
    started() {
      if (phase === "starting") phase = "ready";
    },
    enter(response) {
      active.set(response, undefined);
    },
    leave(response) {
      active.delete(response);
    },
    attach(response, work) {
      if (active.has(response)) active.set(response, work);
    },
    underWay: () => active,
    onDrain(handler) {
      if (phase === "draining") handler();
      else whenDraining.push(handler);
    },
    draining() {
      phase = "draining";
      for (const handler of whenDraining.splice(0)) handler();
    },
    refuse() {
      refusing = true;
    },
  };
}
