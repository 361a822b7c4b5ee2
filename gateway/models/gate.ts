// What a call passes before its upstream is asked: admission by the upstream's own state, and what was bought of its provider.
import type { GatewayError } from "../errors.ts";
import type { CallRecord } from "./call.ts";
import type { ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import type { ModelWork } from "./work.ts";

/** A place at an upstream for one call. */
export interface Place {
  /** Once: the call is over, with what is known of it; undefined when it was never sent. */
  leave(record: CallRecord | undefined): void;
  /** What the call is sent with: the key that has quota left. */
  adapt?(call: ModelCall): ModelCall;
  /** True: the failure is not the upstream's but that of what this place stood for, such as one of several keys. */
  takesBlame?(error: GatewayError): boolean;
}

export interface Waiter {
  /** A place at one of the upstreams that were waited for. */
  taken(route: Route, place: Place): void;
  /** Waited for too long, or for nothing: other upstreams may be asked where the error's code allows it. */
  refused(error: GatewayError): void;
  /** Others had to be asked about one of them, and it is full indeed: all upstreams may be looked at again. */
  again(): void;
}

export interface Gate {
  /** A place at once; undefined: the upstream is full, or its provider's quota is used up. */
  enter(route: Route, work: ModelWork): Place | undefined;
  /** After `enter` found no place: other processes are being asked for one, and it is not known to be full. */
  isAsking(route: Route): boolean;
  /**
   * Waits for a place at any of these, which were all full just now. Throws a GatewayError when nobody may wait.
   * Later exactly one of the waiter's functions is called, never before this returns; what it returns leaves the queue,
   * and then none is called.
   */
  wait(routes: readonly Route[], work: ModelWork, waiter: Waiter): () => void;
}

/** Nothing is held. */
export const openPlace: Place = { leave: () => {} };
