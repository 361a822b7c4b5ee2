// The end of a process that serves: what is under way is finished, within a deadline, and no client sees a reset that could be spared.
import type { Server as HttpServer } from "node:http";
import { Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { Server as TlsServer } from "node:tls";
import { GatewayError } from "../errors.ts";
import type { Lifecycle } from "./lifecycle.ts";

export interface DrainOptions {
  /** New requests are still served this long; not used in a hand-over. */
  readonly delayMs: number;
  /** What is under way may take this long, then it is cut. */
  readonly timeoutMs: number;
  /** Another process accepts on the same socket: this one accepts no more, but answers on the connections that it has. */
  readonly handOver: boolean;
}

/** A connection that is silent for this long in a hand-over is closed; its client opens the next one at the successor. */
const silentMs = 5000;
/** How long a cut may take to be written to a client that reads slowly. */
const cutMs = 250;
const lookMs = 25;

export type Connections = ReadonlySet<Socket>;

/** To be called before the server listens. */
export function trackConnections(server: HttpServer): Connections {
  const open = new Set<Socket>();
  // Requests name the socket inside the TLS, where there is one.
  server.on(server instanceof TlsServer ? "secureConnection" : "connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return open;
}

/** Resolves with the number of requests that had to be cut. */
export async function drainServer(
  server: HttpServer,
  connections: Connections,
  lifecycle: Lifecycle,
  { delayMs, timeoutMs, handOver }: DrainOptions,
): Promise<number> {
  lifecycle.draining();
  for (const request of lifecycle.underWay()) request.closeAfter();
  if (!handOver) {
    await pause(delayMs);
    lifecycle.refuse();
  }
  // http's own close() would cut idle connections while their next request may be on its way.
  Server.prototype.close.call(server);
  const deadline = performance.now() + timeoutMs;
  const isSilent = watchSilence(connections);
  for (;;) {
    if (handOver) {
      const busy = new Set(lifecycle.underWay().map(({ socket }) => socket));
      for (const socket of connections) if (isSilent(socket, busy.has(socket))) socket.destroy();
    } else server.closeIdleConnections();
    if (lifecycle.active === 0 && (!handOver || connections.size === 0)) break;
    if (performance.now() >= deadline) break;
    await pause(lookMs);
  }
  const left = lifecycle.active;
  if (left > 0) await cutAll(lifecycle);
  server.closeAllConnections();
  return left;
}

/** A stream ends in an error event and a broken connection, never as if it were complete. */
async function cutAll(lifecycle: Lifecycle): Promise<void> {
  for (const request of lifecycle.underWay())
    request.cut(new GatewayError("draining", "The gateway stopped before the answer was complete.", { retryAfter: "1" }));
  const until = performance.now() + cutMs;
  while (lifecycle.active > 0 && performance.now() < until) await pause(lookMs);
}

/** Whether nothing came from a connection for a while, counted from the end of its last answer. */
function watchSilence(connections: Connections): (socket: Socket, busy: boolean) => boolean {
  const begun = performance.now();
  const seen = new Map([...connections].map((socket) => [socket, { bytes: socket.bytesRead, at: begun }]));
  return (socket, busy) => {
    const now = performance.now();
    const last = seen.get(socket);
    if (!busy && last?.bytes === socket.bytesRead) return now - last.at >= silentMs;
    seen.set(socket, { bytes: socket.bytesRead, at: now });
    return false;
  };
}
