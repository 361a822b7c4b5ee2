// Connections to upstreams: one undici agent for each connect timeout, loaded when the first provider needs the network.
import type { Dispatcher } from "undici";

/** Far above what one process streams at once; an upstream that needs fewer says so with 429. */
const maxConnectionsPerOrigin = 1024;

export async function openConnections(connectTimeoutMs: number): Promise<Dispatcher> {
  const { Agent } = await import("undici");
  return new Agent({
    connections: maxConnectionsPerOrigin,
    connect: { timeout: connectTimeoutMs },
    pipelining: 1,
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 300_000,
  });
}
