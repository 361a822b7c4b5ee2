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

interface UnderWay {
  readonly response: ServerResponse;
  work: Cuttable | undefined;
}

/** Where an answer has its place; a property of its own, since looking it up in a table has the same cost as keeping it there. */
const placeKey = Symbol("place");

export function createLifecycle(): Lifecycle {
  let phase: Lifecycle["phase"] = "starting";
  let refusing = false;
  /**
   * Places that are used again. Not a Map: the tables that it leaves behind as entries come and go still hold those that it had
   * then, which V8 takes for alive until it next looks through all of its old memory; so most requests would live that long.
   */
  const places: (UnderWay | undefined)[] = [];
  const free: number[] = [];
  const whenDraining: (() => void)[] = [];

  /** Undefined: it has left, or never entered. */
  function placeOf(response: ServerResponse): number | undefined {
    const at: unknown = Reflect.get(response, placeKey);
    return typeof at === "number" && places[at]?.response === response ? at : undefined;
  }

  return {
    get phase() {
      return phase;
    },
    get refusing() {
      return refusing;
    },
    get active() {
      return places.length - free.length;
    },
    started() {
      if (phase === "starting") phase = "ready";
    },
    enter(response) {
      const at = free.pop() ?? places.length;
      places[at] = { response, work: undefined };
      Reflect.set(response, placeKey, at);
    },
    leave(response) {
      const at = placeOf(response);
      if (at === undefined) return;
      places[at] = undefined;
      free.push(at);
    },
    attach(response, work) {
      const one = places[placeOf(response) ?? -1];
      if (one) one.work = work;
    },
    underWay: () => new Map(places.flatMap((one) => (one ? [[one.response, one.work]] : []))),
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
