// Who does what must be done once, where several processes may be given the same request: one calls, the others wait for its answer.
import { setTimeout as pause } from "node:timers/promises";
import { GatewayError } from "../../errors.ts";
import type { Answer, AnswerStore, Bounds } from "./answers.ts";

/** What a store that several processes share can do beside keeping. Promises never reject: who cannot ask does it himself. */
export interface Claims {
  /** True: nobody else does it for `ttlMs` from now; one's own claim is made longer. */
  claim(key: string, holder: string, ttlMs: number): Promise<boolean>;
  /** After what was kept under the key: the others find it, or do it themselves. */
  release(key: string, holder: string): void;
}

/** A claim of a process that died ends with this. */
const claimMs = 15_000;
const renewMs = 5000;
const firstLookMs = 10;
const maxLookMs = 200;

interface Asking {
  readonly store: AnswerStore;
  readonly claims: Claims;
  readonly key: string;
  readonly holder: string;
  readonly bounds: Bounds;
  /** Nobody waits longer for another one's answer. */
  readonly maxWaitMs: number;
  /** Whoever asks is gone. */
  readonly isOver: () => boolean;
}

export interface Claimed {
  /** What was answered before; undefined: the claim is this process's, and the call too. */
  readonly answer: Answer | undefined;
  readonly release: () => void;
}

/** Rejects with a GatewayError `idempotency_in_progress` where another process takes too long. */
export async function claimOrAnswer(asking: Asking): Promise<Claimed> {
  const { store, claims, key, holder, bounds, maxWaitMs, isOver } = asking;
  const nothing = (): void => {};
  const known = await store.get(key, bounds);
  if (known) return { answer: known, release: nothing };
  const until = performance.now() + maxWaitMs;
  for (let lookMs = firstLookMs; ; lookMs = Math.min(maxLookMs, lookMs * 2)) {
    if (await claims.claim(key, holder, claimMs)) break;
    if (isOver()) return { answer: undefined, release: nothing };
    if (performance.now() >= until) {
      const text = "The first request with this Idempotency-Key is still being answered: ask again later.";
      throw new GatewayError("idempotency_in_progress", text, { param: "Idempotency-Key", retryAfter: "5" });
    }
    await pause(lookMs);
  }
  // Kept before the claim became free.
  const answer = await store.get(key, bounds);
  if (answer || isOver()) {
    claims.release(key, holder);
    return { answer, release: nothing };
  }
  const renewal = setInterval(() => void claims.claim(key, holder, claimMs), renewMs);
  renewal.unref();
  return {
    answer: undefined,
    release() {
      clearInterval(renewal);
      claims.release(key, holder);
    },
  };
}
