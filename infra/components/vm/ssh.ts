/** One command on the server by SSH, outside of the engine: for what must be known before anything is planned. */
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import type { AnyAuthMethod, Client, ServerHostKeyAlgorithm } from "ssh2";

export interface Login {
  host: string;
  port: number;
  user: string;
  /** The line of its public key. */
  hostKey: string;
  /** In clear; undefined: what ssh-agent holds. */
  privateKey: string | undefined;
}

export interface Route extends Login {
  bastion?: Login;
  connectTimeoutMs: number;
}

export interface SshResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** What went wrong on the way there, in words; `stage` tells a wrong key from a silent host. */
export class SshProblem extends Error {
  readonly stage: "reach" | "host-key" | "login" | "sudo" | "session";
  constructor(stage: SshProblem["stage"], message: string) {
    super(message);
    this.stage = stage;
  }
}

/** How long a command may take that only looks. */
const commandTimeoutMs = 60_000;

export interface SshOptions {
  /** 0: for as long as it runs. Left out: as long as a look may take. */
  timeoutMs?: number;
  /** Is given what the command prints while it runs; then the result has none of it. */
  onOutput?(text: string): void;
}

/** @throws SshProblem */
export async function runBySsh(route: Route, command: string, stdin: string, options: SshOptions = {}): Promise<SshResult> {
  const { bastion, connectTimeoutMs } = route;
  const first = await logIn(bastion ?? route, undefined, connectTimeoutMs);
  try {
    if (!bastion) return await execute(first, command, stdin, options);
    const client = await logIn(route, await forward(first, route), connectTimeoutMs);
    try {
      return await execute(client, command, stdin, options);
    } finally {
      client.end();
    }
  } finally {
    first.end();
  }
}

async function logIn(login: Login, tunnel: Duplex | undefined, timeoutMs: number): Promise<Client> {
  // Loaded where it is needed: most commands never connect.
  const { default: ssh2 } = await import("ssh2");
  const where = `${login.user}@${login.host}:${login.port}`;
  const sock = tunnel ?? (await openSocket(login, timeoutMs));
  const [type = "", bytes = ""] = login.hostKey.split(" ");
  const expected = Buffer.from(bytes, "base64");
  const methods = loginMethods(login, ssh2.utils.parseKey);
  const client = new ssh2.Client();
  return new Promise((resolve, reject) => {
    let shown: Buffer | undefined;
    client.on("ready", () => resolve(client));
    client.on("error", (error: Error & { level?: string }) => {
      sock.destroy();
      reject(problem(error, where, login, shown !== undefined && !shown.equals(expected), expected));
    });
    client.connect({
      sock,
      username: login.user,
      readyTimeout: Math.max(timeoutMs, 30_000),
      // A log that is followed may be silent for long, and the server may be gone.
      keepaliveInterval: 15_000,
      algorithms: { serverHostKey: keyAlgorithms(type) },
      hostVerifier: (key: Buffer) => {
        shown = key;
        return key.equals(expected);
      },
      authHandler: (_left, _partial, next) => {
        const method = methods.shift();
        if (method) return next(method);
        sock.destroy();
        reject(refusedLogin(where, login));
      },
    });
  });
}

function loginMethods({ user: username, privateKey }: Login, parseKey: (key: string) => unknown): AnyAuthMethod[] {
  if (privateKey !== undefined) {
    const parsed = parseKey(privateKey);
    if (parsed instanceof Error) {
      throw new SshProblem(
        "login",
        "the private key of vm.identity cannot be read: give an OpenSSH key without a passphrase, or use agent",
      );
    }
    return [{ type: "publickey", username, key: privateKey }];
  }
  const agent = process.env.SSH_AUTH_SOCK;
  if (!agent) {
    throw new SshProblem(
      "login",
      "no SSH agent runs here (SSH_AUTH_SOCK is not set): start one and ssh-add your key, or name a key in vm.identity",
    );
  }
  return [{ type: "agent", username, agent }];
}

function problem(
  error: Error & { level?: string },
  where: string,
  login: Login,
  wrongKey: boolean,
  expected: Buffer,
): SshProblem {
  if (wrongKey || /host.*(verification|denied)/i.test(error.message) || /no matching host key/i.test(error.message)) {
    const type = expected.toString("latin1", 4, 4 + (expected.length > 4 ? expected.readUInt32BE(0) : 0));
    return new SshProblem(
      "host-key",
      `${where} shows another key than the stack file's (${type}). Somebody may be answering in its place; nothing was sent. If the server was made anew, read its key on its console (cat /etc/ssh/ssh_host_ed25519_key.pub) and change the hostKey`,
    );
  }
  if (error.level === "client-authentication" || error.level === "agent") {
    return refusedLogin(where, login);
  }
  return new SshProblem("reach", `${where} does not answer as an SSH server: ${error.message}`);
}

function refusedLogin(where: string, { user, privateKey }: Login): SshProblem {
  const which = privateKey === undefined ? "one of the keys that ssh-agent holds" : "the key of vm.identity";
  return new SshProblem("login", `${where} does not let ${user} in: put ${which} into that user's ~/.ssh/authorized_keys`);
}

function openSocket({ host, port }: Login, timeoutMs: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true });
    const fail = (why: string): void => {
      socket.destroy();
      const fix = "see whether the server runs, vm.host and vm.port are right, and a firewall lets you through";
      reject(new SshProblem("reach", `${host}:${port} cannot be reached (${why}); ${fix}`));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    socket.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      fail(error.code ?? error.message);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

function forward(bastion: Client, { host, port }: Login): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    bastion.forwardOut("127.0.0.1", 0, host, port, (error, stream) => {
      if (error) reject(new SshProblem("reach", `the bastion cannot reach ${host}:${port}: ${error.message}`));
      else resolve(stream);
    });
  });
}

function execute(client: Client, command: string, stdin: string, options: SshOptions): Promise<SshResult> {
  const { timeoutMs = commandTimeoutMs, onOutput } = options;
  return new Promise((resolve, reject) => {
    const late = (seconds: number): void =>
      reject(new SshProblem("session", `the server did not finish a command within ${seconds} s`));
    const timer = timeoutMs === 0 ? undefined : setTimeout(late, timeoutMs, timeoutMs / 1000);
    client.on("close", () => reject(new SshProblem("session", "the connection broke off")));
    client.exec(command, (error, channel) => {
      if (error) {
        clearTimeout(timer);
        reject(new SshProblem("session", `the server runs no command: ${error.message}`));
        return;
      }
      const result: SshResult = { code: 255, stdout: "", stderr: "" };
      channel.setEncoding("utf8").on("data", (text: string) => {
        if (onOutput) onOutput(text);
        else result.stdout += text;
      });
      channel.stderr.setEncoding("utf8").on("data", (text: string) => {
        result.stderr += text;
      });
      channel.on("exit", (code: number | null) => {
        result.code = code ?? 255;
      });
      channel.on("close", () => {
        clearTimeout(timer);
        resolve(result);
      });
      channel.end(stdin);
    });
  });
}

function keyAlgorithms(type: string): ServerHostKeyAlgorithm[] {
  if (type === "ssh-rsa") return ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
  const known: ServerHostKeyAlgorithm[] = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
  return known.filter((name) => name === type);
}
