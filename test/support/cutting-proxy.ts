/**
 * Stands between a Docker daemon and its clients, and cuts all connections where something is made: before a request reaches the
 * daemon, when it is half sent, and when all that was asked for is done but the answers have not arrived. Each kind of request
 * is cut once in each of these ways; then nothing gets through until `arm`.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { z } from "zod";

export interface CuttingProxy {
  host: string;
  /** The connection is there again, and from now on new kinds of requests are cut; what was cut since the last time. */
  arm(): string[];
  disarm(): void;
  /** What broke off by itself between here and the daemon, while a client waited for it. */
  broken(): readonly string[];
  close(): Promise<void>;
}

const made = z.object({ Id: z.string() });
/** Of an archive, whose first header has 512 bytes. */
const halfBytes = 700;
const begins = /^POST .*(\/create|\/build)( |$)/;
/** Removals only make room for the same once more. */
const makes = /^(POST|PUT) (?!.*\/(stop|disconnect)( |$)|\/containers\/(?!helper).*\/wait$)/;

export async function startCuttingProxy(socketPath: string, daemonSocket: string): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  const known = new Set<string>();
  const names = new Map<string, string>();
  /** Asked for, and not answered yet as the client sees it; and of these, what waits to be cut. */
  let underWay = 0;
  const heldBack = new Map<ServerResponse, string>();
  let fresh: string[] = [];
  const broken: string[] = [];
  let armed = false;
  let down = false;

  function cut(kinds: Iterable<string>): void {
    down = true;
    for (const kind of kinds) {
      known.add(kind);
      fresh.push(kind);
    }
    heldBack.clear();
    for (const socket of sockets) socket.destroy();
  }
  function cutWhereAllWait(): void {
    if (!down && heldBack.size > 0 && heldBack.size >= underWay) cut(new Set(heldBack.values()));
  }
  function hold(outgoing: ServerResponse, kind: string): void {
    if (outgoing.destroyed) return;
    heldBack.set(outgoing, kind);
    cutWhereAllWait();
  }

  /** As "POST /containers/openclaw-nginx-0123abcd/start": what is done to which thing, whatever its id is this time. */
  function kindOf({ method = "", url = "" }: IncomingMessage): string {
    const { pathname, searchParams } = new URL(url, "http://daemon");
    const path = pathname.replace(/^\/v[\d.]+/, "").replace(/[0-9a-f]{64}/, (id) => names.get(id) ?? "helper");
    const name = path === "/containers/create" ? ` ${searchParams.get("name") ?? "helper"}` : "";
    return `${method} ${path}${name}`;
  }

  /** Which network or volume is made stands in the body alone. */
  function withBody(kind: string, body: string): string {
    return /\/(volumes|networks)\/create$/.test(kind) ? `${kind} ${/"Name":"([^"]*)"/.exec(body)?.[1] ?? ""}` : kind;
  }

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = incoming;
    const changes = method !== "GET" && method !== "HEAD";
    if (changes) underWay++;
    outgoing.once("close", () => {
      if (changes) underWay--;
      heldBack.delete(outgoing);
      cutWhereAllWait();
    });
    const kind = kindOf(incoming);
    const streams = /\/(archive|build)$/.test(kind);
    const asked: Buffer[] = [];
    if (!streams) for await (const chunk of incoming) asked.push(Buffer.from(chunk));
    const named = withBody(kind, Buffer.concat(asked).toString("utf8"));
    const isNew = (how: string): boolean => armed && makes.test(named) && !known.has(`${named}: ${how}`);
    if (begins.test(named) && isNew("not sent")) return hold(outgoing, `${named}: not sent`);

    // A connection each, as its clients have it: one that is used again may be closed by the daemon just then.
    const sent = request({ socketPath: daemonSocket, method, path: url, headers, agent: false });
    const answered = once(sent, "response");
    answered.catch(() => {});
    sent.on("error", (error) => {
      if (!outgoing.destroyed) broken.push(`${named}: ${error.message}`);
      outgoing.destroy();
    });
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) sent.destroy();
    });
    for (const piece of asked) sent.write(piece);
    if (streams) {
      for await (const chunk of incoming) {
        const piece = Buffer.from(chunk);
        if (isNew("half sent")) {
          sent.write(piece.subarray(0, halfBytes), () => {
            sent.destroy();
            cut([`${named}: half sent`]);
          });
          return;
        }
        if (!sent.write(piece)) await Promise.race([once(sent, "drain"), answered]);
      }
    }
    sent.end();
    const [response]: IncomingMessage[] = await answered;
    if (!response) return;
    const holds = isNew("answer lost");
    const answer: Buffer[] = [];
    if (!holds) outgoing.writeHead(response.statusCode ?? 500, response.headers);
    for await (const chunk of response) {
      if (changes) answer.push(Buffer.from(chunk));
      if (!holds) outgoing.write(chunk);
    }
    if (kind.startsWith("POST /containers/create ")) {
      const { success, data } = made.safeParse(jsonIn(Buffer.concat(answer).toString("utf8")));
      if (success) names.set(data.Id, kind.split(" ").at(-1) ?? "");
    }
    if (holds) hold(outgoing, `${named}: answer lost`);
    else outgoing.end();
  }

  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    if (down) socket.destroy();
  });
  server.listen(socketPath);
  await once(server, "listening");
  return {
    host: `unix://${socketPath}`,
    arm() {
      const since = fresh;
      fresh = [];
      down = false;
      armed = true;
      return since;
    },
    disarm() {
      armed = false;
      down = false;
    },
    broken: () => broken,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
