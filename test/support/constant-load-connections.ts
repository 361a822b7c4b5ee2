/** The connections of a load: kept or new, plain or TLS; each request is sent once, on one of them, and its end is told in words. */
import { Agent, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { connect as plainConnect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import type { Ledger } from "./constant-load-ledger.ts";

export interface Ask {
  readonly path: string;
  readonly body: string;
}

export interface End {
  readonly status: number;
  /** What broke; undefined for an answer that ended as HTTP says. */
  readonly error: string | undefined;
  readonly reused: boolean;
}

export interface Connections {
  send(ask: Ask, fresh: boolean, onText: (chunk: string) => void): Promise<End>;
  /** A bare connection for an upgrade, and the head of its request. */
  connect(): { socket: Socket; head: string[] };
  close(): void;
}

interface Options {
  url: string;
  token: string;
  tls: { ca: string | undefined; serverName: string | undefined };
  ledger: Ledger;
  /** Without a byte for so long, a request is given up. */
  timeoutMs: number;
}

export function openConnections({ url, token, tls, ledger, timeoutMs }: Options): Connections {
  const target = new URL(url);
  const secure = target.protocol === "https:";
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const port = Number(target.port || (secure ? 443 : 80));
  const trust = {
    ca: tls.ca,
    servername: tls.serverName ?? (/^[\d.]+$|:/.test(host) ? "" : host),
    ALPNProtocols: ["http/1.1"],
  };
  const hostHeader = tls.serverName ?? target.host;
  const keep = { keepAlive: true, scheduling: "fifo" } as const;
  const kept = secure ? new TlsAgent({ ...keep, ...trust }) : new Agent(keep);
  const known = new WeakSet<Socket>();
  const busy = new WeakSet<Socket>();

  function watch(socket: Socket): void {
    if (known.has(socket)) return;
    known.add(socket);
    ledger.opened();
    socket.once("close", () => {
      if (!busy.has(socket)) ledger.closedBetween();
    });
  }

  return {
    send({ path, body }, fresh, onText) {
      const agent = fresh ? (secure ? new TlsAgent(trust) : new Agent()) : kept;
      const headers = {
        host: hostHeader,
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      return new Promise((resolve) => {
        let socket: Socket | undefined;
        const options = { host, port, path, method: "POST", agent, headers };
        const sent = secure ? tlsRequest({ ...options, ...trust }) : plainRequest(options);
        let status = 0;
        const end = (error: string | undefined): void => {
          if (socket) busy.delete(socket);
          if (fresh) agent.destroy();
          resolve({ status, error, reused: sent.reusedSocket });
        };
        sent.on("socket", (one) => {
          socket = one;
          watch(one);
          busy.add(one);
        });
        sent.setTimeout(timeoutMs, () => sent.destroy(new Error(`nothing for ${timeoutMs} ms`)));
        sent.on("error", (error) => end(`${error.message} ${status === 0 ? "before any answer" : "within the answer"}`));
        sent.on("response", (response) => {
          status = response.statusCode ?? 0;
          response.setEncoding("utf8").on("data", onText);
          response.on("error", (error) => end(`${error.message} within the answer`));
          response.on("end", () => end(undefined));
        });
        sent.end(body);
      });
    },
    connect() {
      const socket = secure ? tlsConnect({ host, port, ...trust }) : plainConnect({ host, port });
      ledger.opened();
      return { socket, head: [`Host: ${hostHeader}`, `Authorization: Bearer ${token}`] };
    },
    close: () => kept.destroy(),
  };
}
