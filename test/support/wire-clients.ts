/** Clients of a server that reads plain requests itself, and what its handlers keep. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { PlainRequest } from "../../gateway/http/wire/front.ts";
import { open, startWireServer, until, type WireServer, type WireServerOptions } from "./wire-servers.ts";

export const head = (length: number): string =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
export const json = { "content-type": "application/json" };

/** With a front; every connection and listener is gone at its end. */
export async function withServer(
  options: Omit<WireServerOptions, "front">,
  work: (server: WireServer) => Promise<void>,
): Promise<void> {
  const server = await startWireServer({ front: true, ...options });
  try {
    await work(server);
  } finally {
    await server.close();
  }
  await until(() => server.sockets.size === 0 && server.front?.open === 0, "all are closed");
}

export interface Client {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  closed: boolean;
}

export async function client(server: WireServer): Promise<Client> {
  const socket = await open(server.port);
  const made: Client = { socket, text: "", ended: false, closed: false };
  socket.setEncoding("latin1");
  socket.on("data", (piece) => {
    made.text += piece;
  });
  socket.on("end", () => {
    made.ended = true;
    socket.end();
  });
  socket.on("close", () => {
    made.closed = true;
  });
  return made;
}

/** Keeps what it is given, and how often each was told its end. */
export function keeper(): { requests: PlainRequest[]; closes: number[]; take: (request: PlainRequest) => void } {
  const requests: PlainRequest[] = [];
  const closes: number[] = [];
  return {
    requests,
    closes,
    take(request) {
      const at = requests.push(request) - 1;
      closes[at] = 0;
      request.answer.onClose = () => {
        closes[at] = (closes[at] ?? 0) + 1;
      };
    },
  };
}

export const first = (requests: readonly PlainRequest[]): PlainRequest => {
  const [request] = requests;
  assert.ok(request);
  return request;
};
