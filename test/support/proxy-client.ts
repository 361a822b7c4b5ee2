/** Asks a proxy under any name, on the loopback, with its authority trusted: plain requests, streams, tunnels and HTTP/2. */
import { once } from "node:events";
import { request as plainRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as secureRequest } from "node:https";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";

export interface ProxyAddress {
  readonly port: number;
  /** The name that is asked for. */
  readonly name: string;
  /** The authority's certificate; left out for plain HTTP. */
  readonly ca?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly text: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  /** So many bytes; chunked: without saying so first. */
  readonly bytes?: number;
  /** Says that so many will come, and waits for the answer before it sends them. */
  readonly announced?: number;
  readonly chunked?: boolean;
  /** The Host header, where it is not the name. */
  readonly host?: string;
}

const limitMs = 60_000;

/** Ends with the whole answer, or rejects where the connection ends without one. */
export async function ask(at: ProxyAddress, path: string, asked: Asked = {}): Promise<Reply> {
  const started = await begin(at, path, asked);
  let text = "";
  for await (const chunk of started.parts) text += chunk;
  return { status: started.status, headers: started.headers, text };
}

export interface Begun {
  readonly status: number;
  readonly headers: Reply["headers"];
  /** Text as it arrives. */
  readonly parts: AsyncIterable<string>;
}

/** Ends with the head of the answer. */
export function begin(at: ProxyAddress, path: string, asked: Asked = {}): Promise<Begun> {
  const { bytes, chunked, announced } = asked;
  const { method = bytes === undefined && announced === undefined ? "GET" : "POST" } = asked;
  const length = announced ?? (chunked ? undefined : bytes);
  const headers = {
    host: asked.host ?? at.name,
    ...asked.headers,
    ...(length === undefined ? {} : { "content-length": String(length) }),
  };
  const options = { host: "127.0.0.1", port: at.port, path, method, headers, agent: false as const, timeout: limitMs };
  const request = at.ca ? secureRequest({ ...options, ca: at.ca, servername: at.name }) : plainRequest(options);
  return new Promise((resolve, reject) => {
    let answered = false;
    request.on("response", (response) => {
      answered = true;
      response.setEncoding("utf8");
      resolve({ status: response.statusCode ?? 0, headers: response.headers, parts: response });
    });
    // A server that has answered may close before it has read all of the body.
    request.on("error", (error) => answered || reject(error));
    request.on("timeout", () => request.destroy(new Error(`no answer in ${limitMs} ms`)));
    if (announced !== undefined) request.flushHeaders();
    else if (bytes === undefined) request.end();
    else
      void send(
        bytes,
        (part) => request.write(part),
        () => once(request, "drain"),
        () => request.end(),
      );
  });
}

async function send(
  bytes: number,
  write: (part: Buffer) => boolean,
  drained: () => Promise<unknown>,
  end: () => void,
): Promise<void> {
  const part = Buffer.alloc(1_048_576, "x");
  try {
    for (let left = bytes; left > 0; left -= part.length)
      if (!write(left < part.length ? part.subarray(0, left) : part)) await drained();
    end();
  } catch {
    // The request's own error tells of it.
  }
}

export interface Tunnel {
  readonly status: number;
  /** Sends the text and ends with what comes back, as many bytes. */
  echo(text: string): Promise<string>;
  readonly closed: boolean;
  close(): void;
}

/** Asks to leave HTTP, as a WebSocket does. */
export async function openTunnel(at: ProxyAddress, path: string, upgrade = "websocket"): Promise<Tunnel> {
  const socket = at.ca
    ? connectTls({ host: "127.0.0.1", port: at.port, servername: at.name, ca: at.ca, ALPNProtocols: ["http/1.1"] })
    : connectPlain(at.port, "127.0.0.1");
  await once(socket, at.ca ? "secureConnect" : "connect");
  const state = { received: "", closed: false };
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    state.received += text;
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    state.closed = true;
  });
  const until = async (met: () => boolean): Promise<void> => {
    const limit = AbortSignal.timeout(limitMs);
    while (!met()) {
      if (state.closed) throw new Error("the connection was closed");
      await Promise.race([once(socket, "data", { signal: limit }), once(socket, "close", { signal: limit })]);
    }
  };
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${at.name}\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n${key}\r\n\r\n`);
  await until(() => state.received.includes("\r\n\r\n"));
  const status = Number(state.received.split(" ")[1]);
  state.received = state.received.slice(state.received.indexOf("\r\n\r\n") + 4);
  return {
    status,
    async echo(text) {
      state.received = "";
      socket.write(text);
      await until(() => state.received.length >= text.length);
      return state.received;
    },
    get closed() {
      return state.closed;
    },
    close: () => socket.destroy(),
  };
}

/** One request by HTTP/2. */
export async function askHttp2(at: ProxyAddress, path: string): Promise<{ status: number; text: string }> {
  const session = connectHttp2(`https://${at.name}:${at.port}`, {
    ca: at.ca,
    servername: at.name,
    createConnection: () =>
      connectTls({ host: "127.0.0.1", port: at.port, servername: at.name, ca: at.ca, ALPNProtocols: ["h2"] }),
  });
  try {
    const stream = session.request({ ":path": path, ":authority": at.name });
    const [headers] = await Promise.race([
      once(stream, "response"),
      once(session, "error").then(([error]) => Promise.reject(error)),
    ]);
    let text = "";
    stream.setEncoding("utf8");
    for await (const part of stream) text += part;
    return { status: Number(headers[":status"]), text };
  } finally {
    session.destroy();
  }
}
