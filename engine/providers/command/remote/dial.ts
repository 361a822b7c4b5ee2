/** Makes an SSH connection, through a bastion where there is one, trying again as the settings say. */
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import type { AnyAuthMethod, Client, ServerHostKeyAlgorithm } from "ssh2";
import { ProviderError } from "../../provider.ts";
import { address, agentError, authError, dialError, handshakeError, messageOf } from "./errors.ts";
import type { ConnectionSettings, HostKey, HostSettings } from "./settings.ts";

export interface Dialled {
  client: Client;
  close(): void;
}

export interface DialOptions {
  signal: AbortSignal;
  /** Told of each failed attempt that is followed by another one. */
  onRetry(text: string): void;
}

type Ssh2 = typeof import("ssh2");

/** How often a silent server is asked whether it is there, and how often in vain before the connection counts as lost. */
const keepalive = { keepaliveInterval: 15_000, keepaliveCountMax: 3 };
/** Keys and authentication may take longer than the connection itself; a server that says nothing must not hold all up. */
const minHandshakeMs = 30_000;

/** Throws ProviderError with the official provider's text. */
export async function dial(settings: ConnectionSettings, options: DialOptions): Promise<Dialled> {
  const { default: ssh2 } = await import("ssh2");
  const login = await prepareLogin(ssh2, settings, "connection");
  const { proxy } = settings;
  if (!proxy) {
    const client = await withRetry("Dial", settings.dialErrorLimit, options, async () => {
      return await handshake(ssh2, settings, login, await openSocket(settings, options.signal), options.signal);
    });
    return { client, close: () => client.end() };
  }
  try {
    const proxyLogin = await prepareLogin(ssh2, proxy, "connection.proxy");
    const bastion = await withRetry("Dial proxy", proxy.dialErrorLimit, options, async () => {
      return await handshake(ssh2, proxy, proxyLogin, await openSocket(proxy, options.signal), options.signal);
    });
    try {
      const forward = () => openForward(bastion, settings);
      let waiting: Duplex | undefined = await withRetry("Dial from proxy", settings.dialErrorLimit, options, forward);
      const client = await withRetry("Dial", settings.dialErrorLimit, options, async () => {
        // One that failed is used up.
        const stream = waiting ?? (await forward());
        waiting = undefined;
        return await handshake(ssh2, settings, login, stream, options.signal);
      });
      client.on("close", () => bastion.end());
      return { client, close: () => client.end() };
    } catch (error) {
      bastion.end();
      throw error;
    }
  } catch (error) {
    if (error instanceof ProviderError && error.code === "cancelled") throw error;
    throw new ProviderError("failed", `proxy: ${messageOf(error)}`, { cause: error });
  }
}

async function withRetry<T>(
  what: string,
  limit: number,
  { signal, onRetry }: DialOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  let delayMs = 100;
  for (let failed = 0; ; failed++) {
    try {
      if (signal.aborted) throw cancelled();
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw cancelled();
      if (limit >= 0 && failed >= limit) {
        throw new ProviderError("failed", `after ${failed} failed attempts: ${messageOf(error)}`, { cause: error });
      }
      onRetry(`${what} ${failed + 1}/${limit < 0 ? "inf" : limit} failed: retrying`);
      await pause(delayMs, undefined, { signal }).catch(() => {
        throw cancelled();
      });
      delayMs = Math.min(delayMs * 1.5, 5000);
    }
  }
}

export function cancelled(): ProviderError {
  return new ProviderError("cancelled", "context canceled");
}

function openSocket({ host, port, perDialTimeoutMs }: HostSettings, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const done = (error?: Error) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      socket.off("error", failed);
      if (!error) return resolve(socket);
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    };
    const failed = (error: Error) => done(new Error(dialError(error, host, port), { cause: error }));
    const stop = () => done(cancelled());
    const tooLate = () => done(new Error(`dial tcp ${address(host, port)}: i/o timeout`));
    const timer = perDialTimeoutMs > 0 ? setTimeout(tooLate, perDialTimeoutMs) : undefined;
    signal.addEventListener("abort", stop);
    socket.once("error", failed);
    socket.once("connect", () => done());
  });
}

function openForward(bastion: Client, { host, port }: HostSettings): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    bastion.forwardOut("127.0.0.1", 0, host, port, (error, stream) => {
      if (!error) return resolve(stream);
      const reason = error.message.replace(/^\(SSH\) Channel open failure: /, "");
      reject(new Error(`ssh: rejected: connect failed (${reason})`, { cause: error }));
    });
  });
}

interface Login {
  methods: AnyAuthMethod[];
  keyAlgorithms: ServerHostKeyAlgorithm[];
}

/** What is wrong with it is wrong for every attempt, so that it is told at once. */
async function prepareLogin(ssh2: Ssh2, settings: HostSettings, path: string): Promise<Login> {
  const { user: username, privateKey, password } = settings;
  const methods: AnyAuthMethod[] = [];
  const keyAlgorithms = keyAlgorithmsFor(settings.hostKey, path);
  if (privateKey !== undefined) {
    const key = ssh2.utils.parseKey(privateKey, settings.privateKeyPassword);
    if (key instanceof Error) throw new ProviderError("failed", keyError(key, path), { cause: key });
    // A file may hold several; the first is the one that is meant.
    const first = Array.isArray(key) ? key[0] : key;
    if (!first?.isPrivateKey()) throw new ProviderError("failed", keyError(new Error("public"), path));
    methods.push({ type: "publickey", username, key: first });
  }
  if (password !== undefined) {
    methods.push({ type: "password", username, password });
    methods.push({
      type: "keyboard-interactive",
      username,
      prompt: (_name, _instructions, _language, prompts, finish) => finish(prompts.map(() => password)),
    });
  }
  const agent = settings.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  if (agent) {
    const problem = await agentProblem(agent);
    if (problem === undefined) methods.push({ type: "agent", username, agent });
    // The agent of the environment is one way among others; one that is asked for must be there.
    else if (settings.agentSocketPath !== undefined) {
      throw new ProviderError("failed", `${path}.agentSocketPath: ${problem}`);
    }
  }
  return { methods, keyAlgorithms };
}

function keyError(error: Error, path: string): string {
  if (/no passphrase given/.test(error.message)) {
    return `${path}.privateKey: ssh: this private key is passphrase protected; give its passphrase as ${path}.privateKeyPassword`;
  }
  if (/bad passphrase|integrity check|bad decrypt|decrypt/i.test(error.message)) {
    return `${path}.privateKeyPassword: x509: decryption password incorrect; it must be the passphrase of ${path}.privateKey`;
  }
  return `${path}.privateKey: ssh: no key found; give the content of a private key file, from its BEGIN to its END line`;
}

function agentProblem(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("error", (error) => resolve(agentError(error, path)));
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

function handshake(ssh2: Ssh2, host: HostSettings, login: Login, sock: Duplex, signal: AbortSignal): Promise<Client> {
  const client = new ssh2.Client();
  return new Promise((resolve, reject) => {
    const state = { hostKeyRefused: false, tried: [] as string[] };
    const left = [...login.methods];
    const fail = (error: Error) => {
      end();
      sock.destroy();
      reject(error);
    };
    const stop = () => fail(cancelled());
    const closed = () => fail(new Error("ssh: handshake failed: EOF"));
    const failed = (error: Error & { level?: string }) => {
      // One way to log in failed; others follow.
      if (error.level === "agent") return;
      const late = error.level === "client-timeout";
      fail(new Error(late ? `dial tcp ${address(host.host, host.port)}: i/o timeout` : handshakeError(error, state)));
    };
    const end = () => {
      signal.removeEventListener("abort", stop);
      client.off("close", closed);
      client.off("error", failed);
      // Later errors are told by the close that follows them.
      client.on("error", () => {});
    };
    signal.addEventListener("abort", stop);
    client.on("error", failed);
    client.on("close", closed);
    client.once("ready", () => {
      end();
      resolve(client);
    });
    try {
      client.connect({
        sock,
        username: host.user,
        readyTimeout: host.perDialTimeoutMs > 0 ? Math.max(host.perDialTimeoutMs, minHandshakeMs) : 0,
        ...keepalive,
        algorithms: { serverHostKey: login.keyAlgorithms },
        hostVerifier: (shown: Buffer) => {
          state.hostKeyRefused = !host.hostKey.bytes.equals(shown);
          return !state.hostKeyRefused;
        },
        authHandler(offered: string[] | null, _partial, next) {
          // The first question is which ways there are.
          if (offered === null) return next({ type: "none", username: host.user });
          for (let method = left.shift(); method; method = left.shift()) {
            const name = method.type === "agent" ? "publickey" : method.type;
            if (!offered.includes(name)) continue;
            state.tried.push(name);
            return next(method);
          }
          fail(new Error(authError(state.tried)));
        },
      });
    } catch (error) {
      fail(new Error(`ssh: handshake failed: ${messageOf(error)}`, { cause: error }));
    }
  });
}

const plainKeys: ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-dss",
];

/** An RSA key signs with newer hashes than its name says. */
function keyAlgorithmsFor({ type }: HostKey, path: string): ServerHostKeyAlgorithm[] {
  if (type === "ssh-rsa") return ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
  const found = plainKeys.filter((name) => name === type);
  if (found.length > 0) return found;
  throw new ProviderError("failed", `${path}.hostKey: a key of type ${type} is not supported; give the host's ed25519 key`);
}
