// Where the process is in its life, and which requests are under way: for readiness and for the drain.

export interface Lifecycle {
  readonly phase: "starting" | "ready" | "draining";
  /** True once the drain's delay is over: new requests are refused. */
  readonly refusing: boolean;
  readonly active: number;
  started(): void;
  enter(): void;
  leave(): void;
  /** Resolves true when the last request has left, false when the deadline came first. */
  drain(options: { delayMs: number; timeoutMs: number; onRefusing: () => void }): Promise<boolean>;
}

export function createLifecycle(): Lifecycle {
  let phase: Lifecycle["phase"] = "starting";
  let refusing = false;
  let active = 0;
  let whenIdle: (() => void) | undefined;

  return {
    get phase() {
      return phase;
    },
    get refusing() {
      return refusing;
    },
    get active() {
      return active;
    },
    started() {
      if (phase === "starting") phase = "ready";
    },
    enter() {
      active += 1;
    },
    leave() {
      active -= 1;
      if (active === 0) whenIdle?.();
    },
    async drain({ delayMs, timeoutMs, onRefusing }) {
      phase = "draining";
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      refusing = true;
      onRefusing();
      if (active === 0) return true;
      return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(false), timeoutMs);
        whenIdle = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
    },
  };
}
