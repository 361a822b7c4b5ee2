// Looks at each provider's /models from time to time: for /readyz/models, and so that served ids can be asked for.
import { messageOf } from "../errors.ts";
import type { Provider } from "./provider.ts";

export interface ProviderHealth {
  readonly provider: string;
  readonly state: "unknown" | "up" | "down";
  readonly reason?: string;
  readonly checkedAt?: string;
}

export interface Health {
  of(providerId: string): ProviderHealth;
  list(): readonly ProviderHealth[];
  /** Looks at once; callers that come meanwhile share the look. */
  check(): Promise<void>;
  close(): void;
}

interface Options {
  readonly providers: readonly Provider[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Those that are down are looked at more often, so that they are used again soon. */
  readonly downIntervalMs: number;
  readonly onServed: (providerId: string, served: readonly string[]) => void;
  readonly onChange: (health: ProviderHealth) => void;
  readonly now?: () => Date;
}

export function createHealth(options: Options): Health {
  const now = options.now ?? (() => new Date());
  const states = new Map<string, ProviderHealth>(options.providers.map(({ id }) => [id, { provider: id, state: "unknown" }]));
  let running: Promise<void> | undefined;
  let looking = false;
  let closed = false;

  async function look(provider: Provider): Promise<void> {
    let next: ProviderHealth;
    try {
      const served = await provider.listServed(options.timeoutMs);
      if (closed) return;
      options.onServed(provider.id, served);
      next = { provider: provider.id, state: "up", checkedAt: now().toISOString() };
    } catch (error) {
      next = { provider: provider.id, state: "down", reason: messageOf(error), checkedAt: now().toISOString() };
    }
    const before = states.get(provider.id)?.state;
    states.set(provider.id, next);
    if (!closed && before !== next.state) options.onChange(next);
  }

  function check(): Promise<void> {
    running ??= Promise.all(options.providers.map(look)).then(() => {
      running = undefined;
    });
    return running;
  }

  /** Those that are down, while no look at all of them is under way. */
  async function checkDown(): Promise<void> {
    if (running || looking) return;
    looking = true;
    await Promise.all(options.providers.filter(({ id }) => states.get(id)?.state === "down").map(look));
    looking = false;
  }

  const timer = setInterval(() => void check(), options.intervalMs);
  const downTimer = setInterval(() => void checkDown(), options.downIntervalMs);
  timer.unref();
  downTimer.unref();
  return {
    of: (id) => states.get(id) ?? { provider: id, state: "unknown" },
    list: () => [...states.values()],
    check,
    close() {
      closed = true;
      clearInterval(timer);
      clearInterval(downTimer);
    },
  };
}
