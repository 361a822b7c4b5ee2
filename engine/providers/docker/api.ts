/** Talks to a Docker daemon: its HTTP interface over a unix socket, TCP, TLS or SSH, in the newest version that both know. */
import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createSecureContext } from "node:tls";
import { z } from "zod";
import type { PropertyMap } from "../../values.ts";
import { ProviderError } from "../provider.ts";
import { sshConnection } from "./ssh.ts";

export interface DaemonOptions {
  host: string;
  /** PEM texts. */
  tls?: { ca?: string; cert?: string; key?: string };
  sshOptions: readonly string[];
}

export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  path: string;
  query?: { [name: string]: string | number | boolean | undefined };
  /** An object is sent as JSON, an iterable as a tar stream. */
  body?: object | AsyncIterable<Buffer>;
  headers?: { [name: string]: string };
}

export interface Daemon {
  /** The version of the interface that is spoken, as in 1.41. */
  version(signal: AbortSignal): Promise<string>;
  /** The answer's JSON. Throws DaemonError. */
  json(call: Call, signal: AbortSignal): Promise<PropertyMap>;
  list(call: Call, signal: AbortSignal): Promise<PropertyMap[]>;
  /** The messages of a long answer, one JSON object each. */
  messages(call: Call, signal: AbortSignal): AsyncIterable<PropertyMap>;
  bytes(call: Call, signal: AbortSignal): Promise<Buffer>;
  close(): void;
}

export class DaemonError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = "DaemonError";
    this.status = status;
  }
}

/** Docker 20.10. */
const oldestVersion = "1.41";
const newestVersion = "1.47";
const connectTimeoutMs = 30_000;

const mapSchema = z.custom<PropertyMap>((value) => typeof value === "object" && value !== null && !Array.isArray(value));
const listSchema = z.array(mapSchema);

export function atLeastVersion(version: string, wanted: string): boolean {
  const [a, b] = [version, wanted].map((text) => Number(text.split(".")[1] ?? 0));
  return (a ?? 0) >= (b ?? 0);
}

export function connectDaemon(options: DaemonOptions): Daemon {
  const target = targetOf(options);
  let negotiated: Promise<string> | undefined;

  async function send(call: Call, prefix: string, signal: AbortSignal): Promise<IncomingMessage> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(name, String(value));
    const path = `${prefix}${call.path}${query.size > 0 ? `?${query}` : ""}`;
    const { body } = call;
    const stream = body !== undefined && Symbol.asyncIterator in body ? Readable.from(body) : undefined;
    const text = body !== undefined && !stream ? JSON.stringify(body) : undefined;
    const headers = {
      ...(stream ? { "content-type": "application/x-tar" } : {}),
      ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      ...(call.method === "POST" && !stream && text === undefined ? { "content-length": 0 } : {}),
      ...call.headers,
    };
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = target.request({ ...target.options, method: call.method, path, headers, signal }, resolve);
      let connected = false;
      const timer = setTimeout(() => {
        sent.destroy(new Error(`no connection after ${connectTimeoutMs / 1000} s`));
      }, connectTimeoutMs);
      sent.on("socket", (socket) => {
        const ready = (): void => {
          connected = true;
          clearTimeout(timer);
        };
        if (!socket.connecting) ready();
        socket.once(target.secure ? "secureConnect" : "connect", ready);
      });
      sent.on("response", () => clearTimeout(timer));
      sent.on("error", (error) => {
        clearTimeout(timer);
        reject(
          signal.aborted
            ? new ProviderError("cancelled", "The operation was cancelled.")
            : unreachable(options.host, error, connected && prefix !== ""),
        );
      });
      if (stream) {
        // A daemon that refuses answers before it has read all; its answer counts, not the broken pipe.
        pipeline(stream, sent).catch((error: unknown) => {
          if (!sent.destroyed) sent.destroy(error instanceof Error ? error : new Error(String(error)));
          reject(error);
        });
      } else sent.end(text);
    });
  }

  async function negotiate(signal: AbortSignal): Promise<string> {
    const response = await send({ method: "GET", path: "/_ping" }, "", signal);
    response.resume();
    const offered = response.headers["api-version"];
    if (response.statusCode !== 200 || typeof offered !== "string") {
      throw new ProviderError(
        "failed",
        `Error pinging Docker server, please make sure that ${options.host} is reachable and has a '_ping' endpoint. ` +
          `Error: it answered with status ${response.statusCode}`,
      );
    }
    if (!atLeastVersion(offered, oldestVersion)) {
      throw new ProviderError(
        "failed",
        `The Docker daemon at ${options.host} speaks version ${offered} of its interface; needed is ${oldestVersion} (Docker 20.10) or newer.`,
      );
    }
    return atLeastVersion(offered, newestVersion) ? newestVersion : offered;
  }

  function version(signal: AbortSignal): Promise<string> {
    negotiated ??= negotiate(signal).catch((error: unknown) => {
      negotiated = undefined;
      throw error;
    });
    return negotiated;
  }

  async function call(what: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await send(what, `/v${await version(signal)}`, signal);
    const status = response.statusCode ?? 0;
    if (status < 400) return response;
    const body = (await collect(response, options.host)).toString("utf8");
    throw new DaemonError(status, `Error response from daemon: ${messageIn(body)}`);
  }

  return {
    version,
    async json(what, signal) {
      const body = await collect(await call(what, signal), options.host);
      return body.length === 0 ? {} : mapSchema.parse(JSON.parse(body.toString("utf8")));
    },
    async list(what, signal) {
      return listSchema.parse(JSON.parse((await collect(await call(what, signal), options.host)).toString("utf8")));
    },
    async *messages(what, signal) {
      const response = await call(what, signal);
      let rest = "";
      response.setEncoding("utf8");
      for await (const chunk of chunksOf(response, options.host)) {
        rest += String(chunk);
        const lines = rest.split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line.trim() !== "") yield mapSchema.parse(JSON.parse(line));
      }
      if (rest.trim() !== "") yield mapSchema.parse(JSON.parse(rest));
    },
    async bytes(what, signal) {
      return await collect(await call(what, signal), options.host);
    },
    close() {
      target.agent.destroy();
    },
  };
}

async function collect(response: IncomingMessage, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(response, host)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** An answer that breaks off is no answer. */
async function* chunksOf(response: IncomingMessage, host: string): AsyncGenerator<Buffer | string> {
  try {
    yield* response;
  } catch (error) {
    throw unreachable(host, error instanceof Error ? error : new Error(String(error)), true);
  }
}

function messageIn(body: string): string {
  try {
    const parsed = z.object({ message: z.string() }).safeParse(JSON.parse(body));
    if (parsed.success) return parsed.data.message.trim();
  } catch {
    // Not JSON: a proxy in between, perhaps.
  }
  return body.trim().slice(0, 500);
}

/** `unfinished`: it may have done what it was asked for all the same. */
function unreachable(host: string, error: Error, unfinished: boolean): ProviderError {
  const code = "code" in error && typeof error.code === "string" ? `${error.code} ` : "";
  const reason = error.message || code || "the connection failed";
  return new ProviderError(
    "failed",
    `Error pinging Docker server, please make sure that ${host} is reachable and has a '_ping' endpoint. Error: ${reason}`,
    { unfinished },
  );
}

interface Target {
  request: typeof httpRequest;
  options: RequestOptions;
  agent: Agent;
  secure: boolean;
}

function targetOf({ host, tls, sshOptions }: DaemonOptions): Target {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/.exec(host) ?? [];
  if (scheme === "unix") {
    const agent = new Agent({ maxSockets: 16 });
    return { request: httpRequest, options: { socketPath: rest, host: "docker", agent }, agent, secure: false };
  }
  if (scheme === "ssh") {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const dial = sshConnection(host, sshOptions);
    agent.createConnection = () => dial();
    return { request: httpRequest, options: { host: "docker", agent }, agent, secure: false };
  }
  if (scheme === "tcp" || scheme === "http" || scheme === "https") {
    const url = new URL(`http://${rest}`);
    const secure = scheme === "https" || tls !== undefined;
    const port = Number(url.port || (secure ? 2376 : 2375));
    const hostname = url.hostname.replace(/^\[|\]$/g, "");
    const agent = new Agent({ maxSockets: 16 });
    if (!secure) return { request: httpRequest, options: { host: hostname, port, agent }, agent, secure };
    const secureContext = createSecureContext({ ...tls });
    // As Docker's own client does with a certificate but no authority: it shows who we are, and checks nobody.
    const rejectUnauthorized = tls?.ca !== undefined || tls?.cert === undefined;
    const options = { host: hostname, port, secureContext, rejectUnauthorized, agent: false as const };
    return { request: httpsRequest, options, agent, secure };
  }
  throw new ProviderError(
    "invalid",
    `host: "${host}" is not an address of a Docker daemon; give unix:///path, tcp://name:port or ssh://user@name`,
  );
}
