/**
 * One connection for all resources with the same settings, kept until the deployment ends. Each command and copy is a session
 * on it, of which there are only so many at once: OpenSSH's MaxSessions is 10, and lower where an administrator says so.
 */
import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "ssh2";
import { ProviderError } from "../../provider.ts";
import { cancelled, type Dialled, dial } from "./dial.ts";
import { messageOf, NotConnected, SessionRefused } from "./errors.ts";
import type { ConnectionSettings } from "./settings.ts";

const maxSessions = 8;
/** A server that refuses the only session may still be ending the one before. */
const lonelyTries = 10;
const lonelyPauseMs = 200;

export interface SessionOptions {
  signal: AbortSignal;
  onRetry(text: string): void;
}

export interface ConnectionPool {
  /** Runs the work when there is room for a session. Work that throws SessionRefused or NotConnected is tried again. */
  withSession<T>(settings: ConnectionSettings, options: SessionOptions, work: (client: Client) => Promise<T>): Promise<T>;
  close(): void;
}

interface Host {
  running: number;
  limit: number;
  /** Those who wait for room, first come first served. */
  waiting: (() => void)[];
  connection?: Dialled;
  dialling?: Dialling;
}

/** An attempt to connect that several may wait for; it ends when nobody does. */
interface Dialling {
  result: Promise<Dialled>;
  waiters: Set<SessionOptions>;
  stop: AbortController;
}

export function createConnectionPool(): ConnectionPool {
  const hosts = new Map<string, Host>();
  let closed = false;

  return {
    async withSession(settings, options, work) {
      const key = keyOf(settings);
      const host = hosts.get(key) ?? { running: 0, limit: maxSessions, waiting: [] };
      hosts.set(key, host);
      let reconnected = false;
      for (let refused = 0; ; ) {
        await enter(host, options.signal);
        let failure: unknown;
        try {
          if (closed) throw cancelled();
          const { client } = await connected(host, settings, options);
          return await work(client);
        } catch (error) {
          failure = error;
        } finally {
          leave(host);
        }
        if (failure instanceof NotConnected && !reconnected) {
          reconnected = true;
          host.connection = undefined;
        } else if (failure instanceof SessionRefused && refused < lonelyTries) {
          // Room for as many as there are now; the next one comes in when one of them ends.
          if (host.running > 0) host.limit = Math.max(1, Math.min(host.limit, host.running));
          else {
            refused++;
            await pause(lonelyPauseMs, undefined, { signal: options.signal }).catch(() => {
              throw cancelled();
            });
          }
        } else if (failure instanceof ProviderError) throw failure;
        else throw new ProviderError("failed", messageOf(failure), { cause: failure });
      }
    },
    close() {
      closed = true;
      for (const { connection, dialling } of hosts.values()) {
        dialling?.stop.abort();
        connection?.close();
      }
      hosts.clear();
    },
  };
}

/** The secrets in it do not stay in memory longer than the resource that brought them. */
function keyOf(settings: ConnectionSettings): string {
  return createHash("sha256").update(JSON.stringify(settings)).digest("hex");
}

async function enter(host: Host, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw cancelled();
  while (host.running >= host.limit) {
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const stop = () => {
        host.waiting = host.waiting.filter((other) => other !== go);
        reject(cancelled());
      };
      host.waiting.push(go);
      signal.addEventListener("abort", stop, { once: true });
    });
  }
  host.running++;
}

function leave(host: Host): void {
  host.running--;
  host.waiting.shift()?.();
}

async function connected(host: Host, settings: ConnectionSettings, options: SessionOptions): Promise<Dialled> {
  if (host.connection) return host.connection;
  const dialling = host.dialling ?? startDialling(host, settings);
  host.dialling = dialling;
  dialling.waiters.add(options);
  const { signal } = options;
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(cancelled());
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([dialling.result, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    dialling.waiters.delete(options);
    if (dialling.waiters.size === 0 && !host.connection) dialling.stop.abort();
  }
}

function startDialling(host: Host, settings: ConnectionSettings): Dialling {
  const waiters = new Set<SessionOptions>();
  const stop = new AbortController();
  const onRetry = (text: string) => {
    for (const waiter of waiters) waiter.onRetry(text);
  };
  const result = dial(settings, { signal: stop.signal, onRetry });
  const dialling: Dialling = { waiters, stop, result };
  result.then(
    (connection) => {
      if (host.dialling === dialling) host.dialling = undefined;
      if (stop.signal.aborted) return connection.close();
      host.connection = connection;
      connection.client.once("close", () => {
        if (host.connection === connection) host.connection = undefined;
      });
    },
    () => {
      if (host.dialling === dialling) host.dialling = undefined;
    },
  );
  // Those who come now begin anew.
  stop.signal.addEventListener("abort", () => {
    if (host.dialling === dialling) host.dialling = undefined;
  });
  return dialling;
}
