// A real Redis for a test: on a free port of the loopback, with its files in a temporary folder.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "./gateway.ts";

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
export function whyNoRedis(): string | undefined {
  if (isThere()) return undefined;
  if (process.getuid?.() !== 0) return "redis-server is missing, and installing it needs root";
  console.error("installing redis-server with apt-get, once: some seconds");
  const options = {
    stdio: "pipe",
    // Runlevel 1: Debian starts no service for it.
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
  } as const;
  const wait = ["-o", "DPkg::Lock::Timeout=300", "-o", "APT::Get::Lock::Timeout=300"];
  try {
    execFileSync("apt-get", [...wait, "update", "-q"], options);
    execFileSync("apt-get", [...wait, "install", "-y", "-q", "--no-install-recommends", "redis-server"], options);
  } catch (error) {
    return `redis-server is missing, and apt-get could not install it: ${error instanceof Error ? error.message : String(error)}`;
  }
  return isThere() ? undefined : "redis-server is missing";
}

function isThere(): boolean {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

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
