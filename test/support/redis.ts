// A real Redis for a test: on a free port of the loopback, with its files in a temporary folder.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { installPrograms } from "./debian-packages.ts";
import { freePort } from "./free-port.ts";

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** The process is gone, and its memory with it: as with a machine that broke. */
  kill(): Promise<void>;
  /** On the same port again; empty. */
  start(): Promise<void>;
  /** It keeps its connections and says nothing. */
  freeze(): void;
  thaw(): void;
  close(): Promise<void>;
}

/** Why there is no Redis here; undefined where there is one. Installs the Debian package where that is possible. */
export const whyNoRedis = (): string | undefined => installPrograms({ "redis-server": "redis-server" });

interface Tls {
  readonly certPath: string;
  readonly keyPath: string;
  readonly caPath: string;
}

export async function startRedis(more: readonly string[] = [], tls?: Tls): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-redis-"));
  const port = await freePort();
  let child = launch();

  function launch() {
    const secure = tls && ["--tls-port", String(port), "--port", "0", "--tls-auth-clients", "no"];
    const files = tls && ["--tls-cert-file", tls.certPath, "--tls-key-file", tls.keyPath, "--tls-ca-cert-file", tls.caPath];
    const at = secure && files ? [...secure, ...files] : ["--port", String(port)];
    const args = [...at, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no", ...more];
    return spawn("redis-server", args, { stdio: "ignore" });
  }

  async function ready(): Promise<void> {
    for (const until = Date.now() + 20_000; ; ) {
      const socket = connect(port, "127.0.0.1");
      try {
        await once(socket, "connect");
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
        await pause(20);
      } finally {
        socket.destroy();
      }
    }
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  await ready();
  return {
    url: `${tls ? "rediss" : "redis"}://127.0.0.1:${port}`,
    port,
    kill,
    async start() {
      child = launch();
      await ready();
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async close() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
