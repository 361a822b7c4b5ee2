/** The way to a server's SSH port through this process, so that it can be cut: at any moment, in the middle of a copy, and at its end. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface CuttableWay {
  port: number;
  /** Calls back once, when so many bytes went to the server over one connection. */
  onceSent(bytes: number, call: () => void): void;
  /** From now on answers wait until the connection is cut; what is on its way to the server arrives. */
  holdAnswers(): void;
  /** Those who come next get through. */
  cut(): void;
  close(): Promise<void>;
}

export async function startCuttableWay(host: string, port: number): Promise<CuttableWay> {
  const ways = new Set<{ near: Socket; far: Socket }>();
  let watch: { bytes: number; call(): void } | undefined;
  const server = createServer((near) => {
    const far = connect({ host, port });
    const way = { near, far };
    ways.add(way);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        ways.delete(way);
        near.destroy();
        far.destroy();
      });
    }
    let sent = 0;
    near.on("data", (chunk: Buffer) => {
      sent += chunk.length;
      if (!watch || sent < watch.bytes) return;
      const { call } = watch;
      watch = undefined;
      call();
    });
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const cut = (): void => {
    for (const { near } of ways) near.destroy();
  };
  return {
    port: typeof address === "object" && address ? address.port : 0,
    onceSent(bytes, call) {
      watch = { bytes, call };
    },
    holdAnswers() {
      for (const { near, far } of ways) far.unpipe(near).pause();
    },
    cut,
    async close() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}
