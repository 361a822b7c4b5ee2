/** Runs one command in a session of its own. */
import type { EventEmitter } from "node:events";
import type { Client, ClientChannel } from "ssh2";
import { messageOf, NotConnected, SessionRefused } from "./errors.ts";

export interface RemoteCommand {
  command: string;
  /** The command is not run where the server does not take one of these. */
  environment: { [name: string]: string };
  /** The command is run without those that the server does not take. */
  optionalEnvironment: { [name: string]: string };
  stdin: string;
  onRefused(name: string, optional: boolean): void;
  onOutput(stream: "stdout" | "stderr", chunk: Buffer): void;
}

export interface RemoteResult {
  stdout: Buffer;
  stderr: Buffer;
  /** Both in the order in which they came. */
  combined: Buffer;
  /** In the words of golang.org/x/crypto/ssh; undefined after exit 0. */
  failure?: string;
}

/** How long a command that was told to end may take for it. */
const killGraceMs = 1000;
/** Linux takes no longer string, and a packet has its limits too. */
const maxVariableBytes = 128 * 1024 - 1;
const window = { size: 2 * 1024 * 1024, packet: 32 * 1024 };

/** A signal that aborts ends the command and its channel. Throws NotConnected, SessionRefused, and Error for a refused variable. */
export async function execRemote(client: Client, command: RemoteCommand, signal: AbortSignal): Promise<RemoteResult> {
  const session = await openSession(client);
  const { channel } = session;
  const output = collect(channel, command);
  let exit: Exit = {};
  channel.on("exit", (status: number | null, name?: string, _dumped?: string, reason?: string) => {
    exit = { status, signal: name?.replace(/^SIG/, ""), reason };
  });
  let release: () => void = () => {};
  const ended = Promise.race([
    Promise.all([emitted(channel, "close"), emitted(channel.stderr, "end")]),
    new Promise<void>((resolve) => {
      release = resolve;
    }),
  ]);
  // What the server says late finds no reader.
  channel.on("error", () => {});
  const kill = () => {
    session.signal("KILL");
    // OpenSSH signals the commands of every user but root; there, closing its streams is all that is left: the command ends
    // when it next reads or writes.
    setTimeout(release, killGraceMs).unref();
  };
  try {
    const names = Object.keys(command.environment);
    const wanted = await Promise.all(names.map((name) => session.setVariable(name, command.environment[name] ?? "")));
    const refused = names.find((_name, index) => !wanted[index]);
    if (refused !== undefined) {
      command.onRefused(refused, false);
      throw new Error(`could not set environment variable ${JSON.stringify(refused)}: ssh: setenv failed`);
    }
    for (const [name, value] of Object.entries(command.optionalEnvironment)) {
      void session.setVariable(name, value).then((taken) => {
        if (!taken) command.onRefused(name, true);
      });
    }
    if (await session.start(command.command)) {
      channel.end(command.stdin);
      signal.addEventListener("abort", kill, { once: true });
      if (signal.aborted) kill();
      await ended;
    } else if (channel.outgoing.state === "open") return { ...output(), failure: "ssh: command failed" };
    if (exit.status === undefined && signal.aborted) {
      const late = signal.reason instanceof Error && signal.reason.name === "TimeoutError";
      return { ...output(), failure: late ? "context deadline exceeded" : "context canceled" };
    }
    return { ...output(), ...outcome(exit) };
  } finally {
    signal.removeEventListener("abort", kill);
    channel.destroy();
  }
}

function emitted(emitter: EventEmitter, event: string): Promise<void> {
  return new Promise((resolve) => {
    emitter.once(event, () => resolve());
  });
}

interface Exit {
  status?: number | null;
  signal?: string;
  reason?: string;
}

const signalNumbers: { [name: string]: number } = {
  ABRT: 6,
  ALRM: 14,
  FPE: 8,
  HUP: 1,
  ILL: 4,
  INT: 2,
  KILL: 9,
  PIPE: 13,
  QUIT: 3,
  SEGV: 11,
  TERM: 15,
};

function outcome({ status, signal, reason }: Exit): { failure?: string } {
  if (status === 0) return {};
  if (status === undefined) return { failure: "wait: remote command exited without exit status or exit signal" };
  if (status !== null) return { failure: `Process exited with status ${status}` };
  const number = 128 + (signalNumbers[signal ?? ""] ?? 0);
  return { failure: `Process exited with status ${number} from signal ${signal}${reason ? `. Reason was: ${reason}` : ""}` };
}

function collect(channel: ClientChannel, { onOutput }: RemoteCommand): () => Omit<RemoteResult, "failure"> {
  const kept = { stdout: [] as Buffer[], stderr: [] as Buffer[], combined: [] as Buffer[] };
  const take = (stream: "stdout" | "stderr") => (chunk: Buffer) => {
    kept[stream].push(chunk);
    kept.combined.push(chunk);
    onOutput(stream, chunk);
  };
  channel.on("data", take("stdout"));
  channel.stderr.on("data", take("stderr"));
  return () => ({
    stdout: Buffer.concat(kept.stdout),
    stderr: Buffer.concat(kept.stderr),
    combined: Buffer.concat(kept.combined),
  });
}

interface Session {
  channel: OpenChannel;
  /** False where the server does not take it. */
  setVariable(name: string, value: string): Promise<boolean>;
  start(command: string): Promise<boolean>;
  signal(name: string): void;
}

/**
 * The library's own `exec` sends variables without asking whether the server takes them, so that a command would run without
 * them. Here the requests are made one by one with the parts that `exec` is made of.
 */
function openSession(client: Client): Promise<Session> {
  const inside: unknown = client;
  if (!hasParts(inside)) throw new NotConnected("ssh: connection lost");
  const { _protocol: protocol, _chanMgr: channels } = inside;
  return new Promise((resolve, reject) => {
    const opened: ChannelWaiter = (error, channel) => {
      if (error) {
        const text = messageOf(error).replace(/^\(SSH\) Channel open failure: /, "");
        const refused = "reason" in error && error.reason !== "";
        return reject(
          refused ? new SessionRefused(`ssh: rejected: connect failed (${text})`) : new NotConnected("ssh: connection lost"),
        );
      }
      const ask = (send: () => void) =>
        new Promise<boolean>((answer) => {
          if (channel.outgoing.state !== "open") return answer(false);
          channel._callbacks.push((failed) => answer(!failed));
          send();
        });
      const { id } = channel.outgoing;
      resolve({
        channel,
        async setVariable(name, value) {
          if (Buffer.byteLength(name) + Buffer.byteLength(value) > maxVariableBytes) return false;
          return await ask(() => protocol.env(id, name, value, true));
        },
        start: (command) => ask(() => protocol.exec(id, command, true)),
        signal(name) {
          // The channel's own method does nothing once the input has ended.
          const { state } = channel.outgoing;
          if (hasParts(inside) && (state === "open" || state === "eof")) protocol.signal(id, name);
        },
      });
    };
    opened.type = "session";
    const local = channels.add(opened);
    if (local < 0) return reject(new SessionRefused("No free channels available"));
    protocol.session(local, window.size, window.packet);
  });
}

type OpenChannel = ClientChannel & {
  outgoing: { id: number; state: string };
  _callbacks: ((failed: boolean) => void)[];
};
type ChannelWaiter = ((error: Error | undefined, channel: OpenChannel) => void) & { type?: string };

interface ClientParts {
  _protocol: {
    session(local: number, window: number, packet: number): void;
    env(channel: number, name: string, value: string, wantReply: boolean): void;
    exec(channel: number, command: string, wantReply: boolean): void;
    signal(channel: number, name: string): void;
  };
  _chanMgr: { add(waiter: ChannelWaiter): number };
}

/** Without a connection there is no protocol. */
function hasParts(client: unknown): client is ClientParts {
  if (typeof client !== "object" || client === null || !("_protocol" in client && "_chanMgr" in client)) return false;
  const socket = "_sock" in client ? client._sock : undefined;
  const writable = typeof socket === "object" && socket !== null && "writable" in socket && socket.writable === true;
  return writable && typeof client._protocol === "object" && client._protocol !== null;
}
