// Requests that one connection has under way: a client may send the next one early, but not so many that it holds the gateway for others.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Far above what any client keeps open on one connection; beyond it somebody tries what the gateway bears. */
const maxUnderWay = 64;

export interface Pipelines {
  /** False: that is one too many, and the connection is gone. The answer's `close` comes in any case. */
  enter(socket: Socket, response: ServerResponse): boolean;
  leave(socket: Socket, response: ServerResponse): void;
}

export function createPipelines(limit: number = maxUnderWay): Pipelines {
  const underWay = new WeakMap<Socket, Set<ServerResponse>>();

  function follow(socket: Socket): Set<ServerResponse> {
    const responses = new Set<ServerResponse>();
    underWay.set(socket, responses);
    socket.once("close", () => {
      // Node tells only the answer whose turn it is; those behind it would wait for ever, and their upstreams with them.
      for (const response of [...responses]) if (response.socket === null) response.emit("close");
    });
    return responses;
  }

  return {
    enter(socket, response) {
      const responses = underWay.get(socket) ?? follow(socket);
      responses.add(response);
      if (responses.size <= limit) return true;
      socket.destroy();
      return false;
    },
    leave(socket, response) {
      underWay.get(socket)?.delete(response);
    },
  };
}
