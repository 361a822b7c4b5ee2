/**
 * The listening socket, held by the supervisor and inherited by each gateway: connections that arrive while one gateway
 * replaces another wait in the kernel's queue instead of being refused.
 */
import { closeSync } from "node:fs";
import net from "node:net";

export interface Listener {
  descriptor: number;
  host: string;
  port: number;
  close(): void;
}

interface ServerHandle {
  fd: number;
  close(): void;
  getsockname(out: { port?: number }): void;
}

/**
 * Binds an address without accepting on it: a `net.Server` would take connections away from the gateway. Node's cluster module
 * does the same with this function; it is not in the documentation, hence the checks.
 * @throws an Error with `code` (EADDRINUSE …) where the address cannot be had
 */
export async function openListener(host: string, port: number): Promise<Listener> {
  const create: unknown = Reflect.get(net, "_createServerHandle");
  if (typeof create !== "function")
    throw new Error(`This Node (${process.version}) cannot hold a socket without accepting on it`);
  // bind(2) alone does not notice a listener with SO_REUSEADDR on the same address; listening does.
  await probe(host, port);
  const handle: unknown = create(host, port, host.includes(":") ? 6 : 4);
  if (!isServerHandle(handle))
    throw Object.assign(new Error(`${host}:${port} is in use or cannot be bound`), { code: "EADDRINUSE" });
  const address: { port?: number } = {};
  handle.getsockname(address);
  return { descriptor: handle.fd, host, port: address.port ?? port, close: () => handle.close() };
}

/** A socket that the process that started this one handed over. */
export function adoptListener(descriptor: number, host: string, port: number): Listener {
  return { descriptor, host, port, close: () => closeSync(descriptor) };
}

function probe(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function isServerHandle(value: unknown): value is ServerHandle {
  return typeof value === "object" && value !== null && "fd" in value && typeof value.fd === "number" && value.fd >= 0;
}
