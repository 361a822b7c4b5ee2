/** A small server behind a proxy: it tells what it was sent, streams step by step, tunnels, and dies when it is asked to. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface ProxiedUpstream {
  readonly port: number;
  readonly name: string;
  /** Requests that arrived, by their path. */
  readonly seen: Map<string, number>;
  /** Lets the stream of that id end: `/stream/<id>` sends its first event at once and its last one now. */
  finish(id: string): void;
  /** Streams whose client left before their end. */
  readonly left: Set<string>;
  /** Not ready any more, by /readyz. */
  ready: boolean;
  close(): Promise<void>;
}

export async function startProxiedUpstream(name: string): Promise<ProxiedUpstream> {
  const seen = new Map<string, number>();
  const waiting = new Map<string, () => void>();
  const upstream = { ready: true, left: new Set<string>() };
  const server = createServer(async (request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    seen.set(path, (seen.get(path) ?? 0) + 1);
    const json = (status: number, body: object): void => {
      // These are the proxy's to say; a second value beside its own would be an error.
      response.setHeader("x-content-type-options", "nosniff");
      response.writeHead(status, { "content-type": "application/json", "x-upstream": name }).end(JSON.stringify(body));
    };
    if (path === "/readyz") return json(upstream.ready ? 200 : 503, { ready: upstream.ready });
    if (path.startsWith("/stream/")) {
      response.writeHead(200, { "content-type": "text/event-stream", "x-upstream": name });
      response.write("data: first\n\n");
      response.on("close", () => response.writableEnded || upstream.left.add(path.slice(8)));
      waiting.set(path.slice(8), () => response.end("data: last\n\n"));
      return;
    }
    const bytes = await count(request).catch(() => -1);
    if (path === "/die") return void request.socket.destroy();
    if (path === "/fails") return json(503, { error: { message: "the gateway's own error" } });
    json(200, { name, method: request.method, url: request.url, headers: request.headers, bytes });
  });
  server.on("upgrade", (request, socket) => {
    socket.on("error", () => socket.destroy());
    // RFC 6455: HAProxy believes no other answer.
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    const headers = [
      `Upgrade: ${request.headers.upgrade}`,
      "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${accept.digest("base64")}`,
    ];
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join("\r\n")}\r\n\r\n`);
    socket.pipe(socket);
  });
  // As the gateway's.
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(upstream, {
    name,
    port: portOf(server.address()),
    seen,
    finish(id: string): void {
      const end = waiting.get(id);
      if (!end) throw new Error(`there is no stream ${id}`);
      end();
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

function portOf(address: string | AddressInfo | null): number {
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return address.port;
}

async function count(request: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  return bytes;
}
