/** Waiting until a server greets on a port. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** Resolves when the other side has said something by itself, as SSH does. */
export async function waitForBanner(host: string, port: number, timeoutMs = 60_000): Promise<void> {
  for (const until = Date.now() + timeoutMs; ; ) {
    const socket = connect({ host, port, signal: AbortSignal.timeout(5000) });
    try {
      await once(socket, "data", { signal: AbortSignal.timeout(5000) });
      return;
    } catch (error) {
      if (Date.now() > until) throw new Error(`nobody greets on ${host}:${port}`, { cause: error });
      await pause(50);
    } finally {
      socket.destroy();
    }
  }
}
