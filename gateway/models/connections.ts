// Connections to upstreams: undici's agent, loaded when the first provider needs the network. A connection that nobody waits for any more is dropped.
import { createRequire } from "node:module";
import type * as undici from "undici";
import type { Dial } from "./dial.ts";

/** Far above what one process streams at once; an upstream that needs fewer says so with 429. */
const maxConnectionsPerOrigin = 1024;

/** undici can only abort what was sent: a handler that is told of its connection can drop it while it is being made. */
export interface ConnectingHandler extends undici.Dispatcher.DispatchHandler {
  onConnecting?(drop: () => void): void;
}

export interface Connections {
  /** `reset: true` asks for a connection of its own, which serves this call only. */
  dispatch(options: undici.Dispatcher.DispatchOptions, handler: ConnectingHandler): boolean;
  /** No new calls; resolves when those under way have ended. */
  close(): Promise<void>;
}

export async function openConnections(dial: Dial): Promise<Connections> {
  const { Agent } = loadUndici();
  /** The call that is being placed: undici opens a connection for it before dispatch returns. */
  let placing: ConnectingHandler | undefined;
  const settings: undici.Agent.Options = {
    connections: maxConnectionsPerOrigin,
    // One call has one connection, so that dropping it ends exactly that call.
    allowH2: false,
    connect({ hostname, port, protocol }, callback) {
      const secure = protocol === "https:";
      let over = false;
      const giveUp = dial({ hostname, port: Number(port || (secure ? 443 : 80)), secure }, (error, socket) => {
        over = true;
        if (socket) callback(null, socket);
        else callback(error ?? new Error("no connection"), null);
      });
      placing?.onConnecting?.(() => {
        if (over) return;
        over = true;
        giveUp();
        callback(new Error("nobody waits for this connection any more"), null);
      });
    },
    pipelining: 1,
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 300_000,
  };
  const agent = new Agent(settings);
  /** For calls that must not meet a connection which was kept: each of its connections serves one call. */
  let fresh: undici.Agent | undefined;
  return {
    dispatch(options, handler) {
      placing = handler;
      try {
        if (options.reset !== true) return agent.dispatch(options, handler);
        fresh ??= new Agent({ ...settings, pipelining: 0 });
        return fresh.dispatch(options, handler);
      } finally {
        placing = undefined;
      }
    },
    async close() {
      await Promise.all([agent.close(), fresh?.close()]);
    },
  };
}

/** The agent alone: the whole of undici (fetch, WebSocket, caches, mocks) takes 6 MB and 40 ms more. */
function loadUndici(): { Agent: typeof undici.Agent } {
  const require = createRequire(import.meta.url);
  return { Agent: require("undici/lib/dispatcher/agent.js") };
}
