/**
 * Stands between a Docker daemon and its clients, and cuts all connections: when a request is half sent, and when all that was
 * asked for is done but the answers have not arrived. Each kind of request is cut once; then nothing gets through until `mend`.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { z } from "zod";

export interface CuttingProxy {
  host: string;
  /** From now on new kinds of requests are cut. */
  arm(): void;
  /** The connection is there again; what was cut since the last time. */
  mend(): string[];
  disarm(): void;
  close(): Promise<void>;
}

const made = z.object({ Id: z.string() });
const halfBytes = 700;

export async function startCuttingProxy(socketPath: string, daemonSocket: string): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  const known = new Set<string>();
  const names = new Map<string, string>();
  /** Asked for, and not answered yet as the client sees it; and of these, what is done. */
  let underWay = 0;
  const heldBack = new Map<ServerResponse, string>();
  let fresh: string[] = [];
  let armed = false;
  let down = false;

  function cut(kinds: Iterable<string>): void {
    down = true;
    for (const kind of kinds) {
      if (!known.has(kind)) fresh.push(kind);
      known.add(kind);
    }
    heldBack.clear();
    for (const socket of sockets) socket.destroy();
  }
  function cutWhereAllIsDone(): void {
    if (!down && heldBack.size > 0 && heldBack.size >= underWay) cut([...heldBack.values()]);
  }

  /** As "POST /containers/openclaw-nginx-0123abcd/start": what is done to which thing, whatever its id is this time. */
  function kindOf({ method = "", url = "" }: IncomingMessage): string {
    const { pathname, searchParams } = new URL(url, "http://daemon");
    const path = pathname.replace(/^\/v[\d.]+/, "").replace(/[0-9a-f]{64}/, (id) => names.get(id) ?? "helper");
    const name = path === "/containers/create" ? ` ${searchParams.get("name") ?? "helper"}` : "";
    return `${method} ${path}${name}`;
  }

  /** What several networks or volumes are made by, and who is connected, differs in the body alone. */
  function inBody(kind: string, body: string): string {
    const container = names.get(/"Container":"(\w+)"/.exec(body)?.[1] ?? "") ?? "";
    const made = /\/(volumes|networks)\/create$/.test(kind) ? (/"Name":"([^"]*)"/.exec(body)?.[1] ?? "") : "";
    return `${kind} ${made}${container}`.trim();
  }

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = incoming;
    const kind = kindOf(incoming);
    const changes = method !== "GET" && method !== "HEAD";
    const halves = /\/(archive|build)$/.test(kind);
    const half = `${kind}: half sent`;
    const toBeHalf = armed && halves && !known.has(half);
    const sent = request({ socketPath: daemonSocket, method, path: url, headers });
    const answered = once(sent, "response");
    answered.catch(() => {});
    if (changes) underWay++;
    outgoing.once("close", () => {
      if (changes) underWay--;
      heldBack.delete(outgoing);
      if (!outgoing.writableFinished) sent.destroy();
      cutWhereAllIsDone();
    });
    sent.on("error", () => outgoing.destroy());
    const asked: Buffer[] = [];
    for await (const chunk of incoming) {
      const piece = Buffer.from(chunk);
      if (!halves) asked.push(piece);
      if (toBeHalf) {
        sent.write(piece.subarray(0, halfBytes));
        await new Promise((resolve) => setImmediate(resolve));
        sent.destroy();
        return cut([half]);
      }
      if (!sent.write(piece)) await Promise.race([once(sent, "drain"), answered]);
    }
    sent.end();
    const whole = `${inBody(kind, Buffer.concat(asked).toString("utf8"))}: answer lost`;
    const [response]: IncomingMessage[] = await answered;
    if (!response) return;
    const holds = armed && changes && !known.has(whole);
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
    if (!holds) return void outgoing.end();
    if (outgoing.destroyed) return;
    heldBack.set(outgoing, whole);
    cutWhereAllIsDone();
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
      armed = true;
    },
    mend() {
      const since = fresh;
      fresh = [];
      down = false;
      return since;
    },
    disarm() {
      armed = false;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close").catch(() => {});
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
