// Connections to upstreams: undici's agent, loaded when the first provider needs the network.
import { createRequire } from "node:module";
import type * as undici from "undici";

/** Far above what one process streams at once; an upstream that needs fewer says so with 429. */
const maxConnectionsPerOrigin = 1024;

export async function openConnections(connectTimeoutMs: number): Promise<undici.Dispatcher> {
  const Agent = loadAgent();
  return new Agent({
    connections: maxConnectionsPerOrigin,
    connect: { timeout: connectTimeoutMs },
    pipelining: 1,
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 300_000,
  });
}

/** The agent alone: the whole of undici (fetch, WebSocket, caches, mocks) takes 6 MB and 40 ms more. */
function loadAgent(): typeof undici.Agent {
  return createRequire(import.meta.url)("undici/lib/dispatcher/agent.js");
}
