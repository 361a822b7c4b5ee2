// Reads plain HTTP/1.1 POSTs to a few paths itself, at a fraction of node:http's cost; all else is node:http's, from its first byte.
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { Server as TlsServer } from "node:tls";
import { headEnds } from "./answer-head.ts";
import { Connection, type Front, sweepMs } from "./connection.ts";
import type { WireOptions } from "./options.ts";

export type { PlainRequest } from "./answer.ts";
export type { WireOptions } from "./options.ts";

/** A large request and its head at once. */
const receivedBytes = 128 * 1024;

export interface WireFront {
  /** Connections that node:http knows nothing of. */
  readonly open: number;
  /** Ends those that wait for their next request. */
  closeIdle(): void;
  /** Breaks all of them. */
  closeAll(): void;
}

/**
 * Puts itself before node:http's own handling of this server's connections; other listeners of them are left alone. The server's
 * closeIdleConnections, closeAllConnections, and so close, know of its connections too.
 */
export function readPlainRequests(server: Server, options: WireOptions): WireFront {
  const event = server instanceof TlsServer ? "secureConnection" : "connection";
  // Node adds its own in the constructor.
  const [own] = server.listeners(event);
  if (!isListener(own)) throw new Error("the server does not listen to its connections");
  const isPlain = !(server instanceof TlsServer);
  const open = new Set<Connection>();
  let sweep: NodeJS.Timeout | undefined;

  const front: Front & { now: number; headEnds: Front["headEnds"] } = {
    server,
    options,
    now: 0,
    headEnds: headEnds(options.keepAliveTimeoutMs),
    // Of TLS the bytes are known to be handed over only when it says so.
    writesAtOnce: isPlain,
    received: isPlain ? Buffer.allocUnsafeSlow(receivedBytes) : undefined,
    handOver: (socket) => void own.call(server, socket),
    onGone(connection) {
      open.delete(connection);
      if (open.size > 0) return;
      clearInterval(sweep);
      sweep = undefined;
    },
  };

  function tick(): void {
    front.now = performance.now();
    front.headEnds = headEnds(options.keepAliveTimeoutMs);
  }

  function begin(): void {
    tick();
    sweep = setInterval(() => {
      tick();
      for (const connection of open) connection.look(front.now);
    }, sweepMs).unref();
  }

  server.removeListener(event, own);
  server.prependListener(event, (socket: Socket) => {
    if (sweep === undefined) begin();
    open.add(new Connection(front, socket));
  });

  const closeIdle = (): void => {
    for (const connection of open) if (connection.isIdle) connection.socket.destroy();
  };
  const closeAll = (): void => {
    for (const { socket } of open) socket.destroy();
  };
  const { closeIdleConnections, closeAllConnections } = server;
  server.closeIdleConnections = () => {
    closeIdleConnections.call(server);
    closeIdle();
  };
  server.closeAllConnections = () => {
    closeAllConnections.call(server);
    closeAll();
  };
  return {
    get open() {
      return open.size;
    },
    closeIdle,
    closeAll,
  };
}

const isListener = (value: unknown): value is (...args: unknown[]) => void => typeof value === "function";
