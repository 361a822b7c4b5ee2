// Connections to upstreams: kept for the next call, a bounded number to each. One that nobody waits for any more is dropped.
import type { Dial } from "./dial.ts";
import { type AnswerHandler, type Connection, createConnection } from "./http1/connection.ts";
import type { UpstreamRequest } from "./http1/request-head.ts";

export interface Connections {
  /** One call has one connection, so that dropping it ends exactly that call. */
  dispatch(request: UpstreamRequest, handler: AnswerHandler): void;
  /**
   * Connections end as they become free; resolves when those under way have ended. A call that comes later still goes, over a
   * connection of its own: it began with the config before, and waited for its turn meanwhile.
   */
  close(): Promise<void>;
}

/** Far above what one process streams at once; an upstream that needs fewer says so with 429. */
const maxConnectionsPerOrigin = 1024;
const sweepMs = 5000;

interface Waiting {
  readonly request: UpstreamRequest;
  readonly handler: AnswerHandler;
}

export async function openConnections(dial: Dial): Promise<Connections> {
  const pools = new Map<string, ReturnType<typeof createPool>>();
  let closing: Promise<void> | undefined;
  const sweeper = setInterval(() => {
    for (const pool of pools.values()) pool.sweep();
  }, sweepMs).unref();

  return {
    dispatch(request, handler) {
      const found = pools.get(request.origin);
      const pool = found ?? createPool(request.origin, dial);
      if (!found) {
        pools.set(request.origin, pool);
        if (closing) void pool.close();
      }
      pool.dispatch(request, handler);
    },
    close() {
      clearInterval(sweeper);
      closing ??= Promise.all([...pools.values()].map((pool) => pool.close())).then(() => undefined);
      return closing;
    },
  };
}

function createPool(origin: string, dial: Dial) {
  const { hostname, port, protocol } = new URL(origin);
  const secure = protocol === "https:";
  const target = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (secure ? 443 : 80)), secure };
  /** The one that was used last is used next: the others may end. */
  const free: Connection[] = [];
  const waiting: Waiting[] = [];
  /** With those that are being opened. */
  let open = 0;
  let whenEmpty: (() => void) | undefined;

  const owner = {
    onFree(connection: Connection): void {
      const next = waiting.shift();
      if (next) place(connection, next);
      else if (whenEmpty) connection.destroy();
      else free.push(connection);
    },
    onGone(connection: Connection): void {
      const at = free.indexOf(connection);
      if (at !== -1) free.splice(at, 1);
      left();
    },
  };

  function left(): void {
    open -= 1;
    const next = waiting.shift();
    if (next) connect(next);
    else if (open === 0) whenEmpty?.();
  }

  function place(connection: Connection, { request, handler }: Waiting): void {
    try {
      connection.send(request, handler);
    } catch (error) {
      // Nothing of it was sent, but who can tell after an error.
      connection.destroy();
      handler.onResponseError(undefined, error instanceof Error ? error : new Error(String(error)));
    }
  }

  function connect(call: Waiting): void {
    open += 1;
    let over = false;
    let receive = (_: Buffer): void => {
      early = true;
    };
    let early = false;
    const giveUp = dial({ ...target, read: (bytes) => receive(bytes) }, (error, socket) => {
      if (over) {
        socket?.destroy();
        return;
      }
      over = true;
      if (socket) {
        const connection = createConnection(socket, owner);
        receive = connection.receive;
        // Nobody asked for anything yet.
        if (early) connection.destroy();
        place(connection, call);
        return;
      }
      left();
      call.handler.onResponseError(undefined, error ?? new Error("no connection"));
    });
    call.handler.onConnecting?.(() => {
      if (over) return;
      over = true;
      giveUp();
      left();
    });
  }

  return {
    dispatch(request: UpstreamRequest, handler: AnswerHandler): void {
      const now = performance.now();
      while (request.reset !== true) {
        const connection = free.pop();
        if (!connection) break;
        if (connection.usableUntil > now) {
          place(connection, { request, handler });
          return;
        }
        connection.destroy();
      }
      if (open < maxConnectionsPerOrigin) connect({ request, handler });
      else waiting.push({ request, handler });
    },
    sweep(): void {
      const now = performance.now();
      for (const connection of free.filter(({ usableUntil }) => usableUntil <= now)) connection.destroy();
    },
    close(): Promise<void> {
      return new Promise((resolve) => {
        whenEmpty = resolve;
        for (const connection of [...free]) connection.destroy();
        if (open === 0) resolve();
      });
    },
  };
}
