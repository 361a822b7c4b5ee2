/** The same small server twice: as Node reads HTTP, and with the gateway's own reader of plain requests before it; and raw clients. */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { connect as connectSecurely } from "node:tls";
import { type PlainRequest, readPlainRequests, type WireFront, type WireOptions } from "../../gateway/http/wire/front.ts";
import { AnswerHeaders } from "../../gateway/models/answer-headers.ts";
import type { Certificate } from "./certificates.ts";

/** A request that came whole. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export interface WireServer {
  readonly server: Server;
  readonly port: number;
  readonly front: WireFront | undefined;
  readonly seen: Seen[];
  /** How many of them the front served. */
  readonly taken: () => number;
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

export interface WireServerOptions extends Partial<WireOptions> {
  readonly front: boolean;
  readonly tls?: Certificate;
}

export const paths: ReadonlySet<string> = new Set(["/v1/chat/completions", "/v1/messages"]);
const json = { "content-type": "application/json" };

function echo({ method, url, body }: Seen): Buffer {
  return Buffer.from(JSON.stringify({ method, url, body }), "latin1");
}

export async function startWireServer({ front: isOn, tls, ...given }: WireServerOptions): Promise<WireServer> {
  const seen: Seen[] = [];
  let taken = 0;
  const options = {
    headersTimeout: given.headersTimeoutMs ?? 60_000,
    connectionsCheckingInterval: 200,
    requireHostHeader: false,
  };
  const server = tls ? createSecureServer({ ...options, cert: tls.cert, key: tls.key }) : createServer(options);
  server.requestTimeout = given.requestTimeoutMs ?? 60_000;
  server.keepAliveTimeout = given.keepAliveTimeoutMs ?? 5000;
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "", headers } = request;
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const one: Seen = { method, url, headers: { ...headers }, body: Buffer.concat(pieces).toString("latin1") };
      seen.push(one);
      const bytes = echo(one);
      response.writeHead(200, { ...json, "content-length": String(bytes.length) });
      response.end(bytes);
    });
  });
  server.on("clientError", (error, socket) => {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const code: unknown = Reflect.get(error, "code");
    const packet: unknown = Reflect.get(error, "rawPacket");
    const answer: unknown = Reflect.get(socket, "_httpMessage");
    const path =
      answer instanceof ServerResponse ? answer.req.url : Buffer.isBuffer(packet) ? String(packet).split(" ")[1] : undefined;
    const body = `${code} ${path}`;
    const status = code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
  });
  const { take = serve, ...others } = given;
  function serve(request: PlainRequest): void {
    request.readBody((body) => {
      const { url, headers, answer } = request;
      const one: Seen = { method: "POST", url, headers: { ...headers }, body: body.toString("latin1") };
      seen.push(one);
      answer.send(200, AnswerHeaders.of(json), echo(one));
    });
  }
  const front = isOn
    ? readPlainRequests(server, {
        isPlainPath: (url) => paths.has(url),
        ready: () => true,
        maxBodyBytes: 100_000,
        headersTimeoutMs: 60_000,
        requestTimeoutMs: 60_000,
        keepAliveTimeoutMs: 5000,
        ...others,
        take(request) {
          taken += 1;
          take(request);
        },
      })
    : undefined;
  const sockets = new Set<Socket>();
  server.on(tls ? "secureConnection" : "connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    server,
    port: portOf(server),
    front,
    seen,
    taken: () => taken,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}

export function open(port: number, tls?: Certificate): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = tls
      ? connectSecurely({ port, host: "127.0.0.1", rejectUnauthorized: false }, done)
      : connect({ port, host: "127.0.0.1", allowHalfOpen: true }, done);
    function done(): void {
      socket.setNoDelay();
      socket.removeListener("error", reject);
      // A reset is one way to be refused.
      socket.on("error", () => socket.destroy());
      resolve(socket);
    }
    socket.once("error", reject);
  });
}

/** Sends it all, says that nothing more will come, and gives all that came back. */
export async function ask(port: number, request: string | Buffer, tls?: Certificate): Promise<string> {
  const socket = await open(port, tls);
  const answer = text(socket.setEncoding("latin1")).catch(() => "");
  socket.end(typeof request === "string" ? Buffer.from(request, "latin1") : request);
  const all = await answer;
  socket.destroy();
  return all.replace(/Date: [^\r]+\r\n/g, "");
}

/** Until it holds. */
export async function until(isTrue: () => boolean, what: string, withinMs = 20_000): Promise<void> {
  const end = performance.now() + withinMs;
  for (let turns = 0; !isTrue(); turns += 1) {
    if (performance.now() > end) throw new Error(`still not: ${what}`);
    // Most things happen at once.
    if (turns < 100) await turn();
    else await pause(5);
  }
}

export function post(body: string, more = "", path = "/v1/chat/completions"): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
}
