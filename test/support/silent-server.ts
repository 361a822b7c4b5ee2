// A server that takes connections and says nothing: a TLS client of it never gets past connecting.
import { createServer, type Socket } from "node:net";

export interface SilentServer {
  readonly port: number;
  /** Connections open now. */
  open(): number;
  /** Resolves when so many are open. */
  until(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function startSilentServer(): Promise<SilentServer> {
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  const changed = (): void => {
    for (const look of [...waiting]) look();
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    changed();
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      changed();
    });
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || !address) throw new Error("the silent server does not listen");
  return {
    port: address.port,
    open: () => sockets.size,
    until: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (sockets.size !== count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
