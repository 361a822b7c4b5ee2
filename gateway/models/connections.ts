// Connections to upstreams: undici's agent, loaded when the first provider needs the network. A connection that nobody waits for any more is dropped.
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import type * as undici from "undici";

/** Far above what one process streams at once; an upstream that needs fewer says so with 429. */
const maxConnectionsPerOrigin = 1024;

/** undici can only abort what was sent: a handler that is told of its connection can drop it while it is being made. */
export interface ConnectingHandler extends undici.Dispatcher.DispatchHandler {
  onConnecting?(drop: () => void): void;
}

type Connector = (options: undici.buildConnector.Options, callback: undici.buildConnector.Callback) => Socket;

export async function openConnections(connectTimeoutMs: number): Promise<undici.Dispatcher> {
  const { Agent, buildConnector } = loadUndici();
  // HTTP/1.1 only: one call has one connection, so that dropping it ends exactly that call.
  const connect = buildConnector({ timeout: connectTimeoutMs, allowH2: false });
  /** The call that is being placed: undici opens a connection for it before dispatch returns. */
  let placing: ConnectingHandler | undefined;
  const agent = new Agent({
    connections: maxConnectionsPerOrigin,
    allowH2: false,
    connect(options, callback) {
      let made = false;
      const socket = connect(options, (...result) => {
        made = true;
        callback(...result);
      });
      placing?.onConnecting?.(() => {
        if (!made) socket.destroy(new Error("nobody waits for this connection any more"));
      });
    },
    pipelining: 1,
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 300_000,
  });
  const dispatch = agent.dispatch.bind(agent);
  agent.dispatch = (options, handler) => {
    placing = handler;
    try {
      return dispatch(options, handler);
    } finally {
      placing = undefined;
    }
  };
  return agent;
}

/** The agent alone: the whole of undici (fetch, WebSocket, caches, mocks) takes 6 MB and 40 ms more. */
function loadUndici(): {
  Agent: typeof undici.Agent;
  buildConnector: (options: undici.buildConnector.BuildOptions) => Connector;
} {
  const require = createRequire(import.meta.url);
  return { Agent: require("undici/lib/dispatcher/agent.js"), buildConnector: require("undici/lib/core/connect.js") };
}
