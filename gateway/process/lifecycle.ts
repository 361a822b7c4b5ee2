// Where the process is in its life, and which requests are under way: for readiness and for the drain.
import type { Socket } from "node:net";
import type { GatewayError } from "../errors.ts";

/** A request under way. */
export interface UnderWay {
  /** The number of its place, kept by the lifecycle; -1 where it has none. */
  place: number;
  /** Of its connection, as long as it is the answer's. */
  readonly socket: Socket | undefined;
  /** An answer whose head is not on its way yet is the connection's last one, and says so. */
  closeAfter(): void;
  /** Ends the work for it with an error that the client sees; nothing where there is no work that could be cut. */
  cut(error: GatewayError): void;
}

export interface Lifecycle {
  readonly phase: "starting" | "ready" | "draining";
  /** True once the drain's delay is over: new requests are refused. */
  readonly refusing: boolean;
  readonly active: number;
  started(): void;
  enter(request: UnderWay): void;
  leave(request: UnderWay): void;
  /** The requests under way. */
  underWay(): readonly UnderWay[];
  /** Called once, at the drain's beginning: what belongs to this process alone is given up here. */
  onDrain(handler: () => void): void;
  draining(): void;
  refuse(): void;
}

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
    enter(request) {
      const at = free.pop() ?? places.length;
      places[at] = request;
      request.place = at;
    },
    leave(request) {
      const { place } = request;
      if (places[place] !== request) return;
      places[place] = undefined;
      request.place = -1;
      free.push(place);
    },
    underWay: () => places.filter((one) => one !== undefined),
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
