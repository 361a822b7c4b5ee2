// The connection to Redis: made in the background, made again when lost, and never waited for longer than a request can spare.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RedisLink } from "../store.ts";

interface Options {
  readonly url: string;
  readonly password?: string | undefined;
  /** PEM file of the authorities that sign a rediss:// server's certificate. */
  readonly caFile?: string | undefined;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  readonly onLost: (reason: string) => void;
}

const minBackoffMs = 100;
const maxBackoffMs = 5000;
const probeMs = 500;
const connectMs = 5000;

/** Returns at once; the client library is loaded here and nowhere else. Errors never hold the address: it may contain a password. */
export function openRedis(options: Options): RedisLink {
  const { keyPrefix, deadlineMs } = options;
  const listeners: ((available: boolean) => void)[] = [];
  const subscriptions = new Map<string, (message: string) => void>();
  const digests = new Map<string, string>();
  let available = false;
  let closed = false;
  let told = false;
  let probe: NodeJS.Timeout | undefined;
  let clients: Awaited<ReturnType<typeof connect>> | undefined;
  const opening = connect().then(
    (made) => {
      clients = made;
      if (closed) made.destroy();
    },
    (error: unknown) => options.onLost(reasonOf(error)),
  );

  async function connect() {
    const { createClient } = await import("./client.ts");
    const secure = options.url.startsWith("rediss:");
    const socket = {
      connectTimeout: connectMs,
      reconnectStrategy: (retries: number) =>
        Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(retries, 10)) * (0.5 + Math.random() / 2),
    };
    const ca = options.caFile === undefined ? {} : { ca: readFileSync(options.caFile) };
    const client = createClient({
      url: options.url,
      ...(options.password === undefined ? {} : { password: options.password }),
      socket: secure ? { ...socket, tls: true, ...ca } : socket,
      // Without a connection a command fails at once: nothing is done later that nobody waits for any more.
      disableOfflineQueue: true,
      commandsQueueMaxLength: 10_000,
    });
    const listener = client.duplicate();
    client.on("error", (error: unknown) => lose(reasonOf(error)));
    client.on("end", () => lose("the connection was closed"));
    // What another server may have forgotten is sent again.
    client.on("ready", () => {
      digests.clear();
      found();
    });
    listener.on("error", () => {});
    listener.on("ready", () => {
      for (const [channel, onMessage] of subscriptions) listener.subscribe(channel, onMessage).catch(() => {});
    });
    client.connect().catch((error: unknown) => lose(reasonOf(error)));
    listener.connect().catch(() => {});
    return {
      client,
      listener,
      destroy() {
        client.destroy();
        listener.destroy();
      },
    };
  }

  function found(): void {
    clearTimeout(probe);
    probe = undefined;
    if (available || closed) return;
    available = true;
    for (const listener of listeners) listener(true);
  }

  function lose(reason: string): void {
    // One that was never there is told once, too.
    if (!available && told) return;
    told = true;
    const had = available;
    available = false;
    options.onLost(reason);
    if (!had) return;
    for (const listener of listeners) listener(false);
  }

  /** A server that is connected and silent: asked until it answers. */
  function watch(): void {
    if (probe || closed) return;
    probe = setTimeout(() => {
      probe = undefined;
      if (!clients?.client.isReady) return;
      within(clients.client.ping(), deadlineMs).then(found, watch);
    }, probeMs).unref();
  }

  function command(
    words: readonly (string | Buffer)[],
    limitMs = deadlineMs,
    onLate?: (answer: unknown) => void,
  ): Promise<unknown> {
    if (!available || !clients) return Promise.reject(new Error("Redis is not there"));
    const asked = clients.client.sendCommand([...words]);
    return within(asked, limitMs).catch((error: unknown) => {
      if (error instanceof TooLate) {
        lose(error.message);
        watch();
        asked.then(onLate).catch(() => {});
      }
      throw error;
    });
  }

  return {
    get available() {
      return available;
    },
    command: (words, limitMs) => command(words, limitMs),
    script(source, keys, words, onLate) {
      let digest = digests.get(source);
      if (digest === undefined) {
        digest = createHash("sha1").update(source).digest("hex");
        digests.set(source, digest);
        // Not waited for: commands are done in the order in which they were sent.
        command(["SCRIPT", "LOAD", source]).catch(() => digests.delete(source));
      }
      return command(["EVALSHA", digest, String(keys.length), ...keys, ...words], deadlineMs, onLate).catch(
        (error: unknown) => {
          // Forgotten there, by SCRIPT FLUSH or by another server behind the same address: sent again with the next one.
          if (error instanceof Error && error.message.startsWith("NOSCRIPT")) digests.delete(source);
          throw error;
        },
      );
    },
    key: (...parts) => keyPrefix + parts.join(":"),
    publish(channel, message) {
      if (available) command(["PUBLISH", keyPrefix + channel, message]).catch(() => {});
    },
    subscribe(channel, onMessage) {
      subscriptions.set(keyPrefix + channel, onMessage);
      if (clients?.listener.isReady) clients.listener.subscribe(keyPrefix + channel, onMessage).catch(() => {});
    },
    onChange(handler) {
      listeners.push(handler);
      if (available) handler(true);
    },
    async close() {
      closed = true;
      available = false;
      clearTimeout(probe);
      await opening;
      clients?.destroy();
    },
  };
}

class TooLate extends Error {}

function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TooLate(`no answer within ${limitMs} ms`)), limitMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The code of the failure: messages of the network name the address. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if ("code" in error && typeof error.code === "string") return error.code;
  return /^(NOAUTH|WRONGPASS|NOPERM|LOADING|READONLY|MASTERDOWN)/.exec(error.message)?.[1] ?? error.name;
}
