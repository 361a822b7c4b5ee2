// Opens one connection to an upstream: only to addresses that may be connected to, through the proxy and with the TLS that the provider asks for.
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { SecretInput } from "../config/fields.ts";
import type { Transport, TransportTls } from "../config/transport.ts";
import { GatewayError, systemCode } from "../errors.ts";
import { checkHost, guardedLookup, type Resolve, reachOf } from "./destination.ts";

export interface DialTarget {
  readonly hostname: string;
  readonly port: number;
  /** TLS. */
  readonly secure: boolean;
  /**
   * Gets the bytes that come, where the socket can read into a buffer of its caller's: they are gone when it returns.
   * Other sockets have their `data` event.
   */
  readonly read?: (bytes: Buffer) => void;
}

/** Calls back once, with a socket that is ready for HTTP or an error; what is returned gives the attempt up without a call. */
export type Dial = (target: DialTarget, callback: (error: Error | null, socket: Socket | null) => void) => () => void;

interface DialOptions {
  readonly transport: Transport | undefined;
  readonly connectMs: number;
  readonly secret: (input: SecretInput) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly resolve?: Resolve;
}

/** One for all sockets, for a large answer at once: Node would make 64 KB for each read, and give most of it back. */
const received = Buffer.alloc(128 * 1024);

export function createDial({ transport = {}, connectMs, secret, env, resolve }: DialOptions): Dial {
  const reach = reachOf(transport.allowPrivateNetwork);
  const lookup = guardedLookup(reach, resolve);
  const sessions = new Map<string, Buffer>();

  return (target, callback) => {
    const { hostname, port, secure } = target;
    const proxy = proxyFor(transport, target, env);
    let over = false;
    let socket: Socket | undefined;
    let giveUpTunnel: (() => void) | undefined;
    const timer = setTimeout(
      () => fail(new GatewayError("upstream_timeout", `the connection was not there within ${connectMs} ms`)),
      connectMs,
    );

    function end(): boolean {
      if (over) return false;
      over = true;
      clearTimeout(timer);
      return true;
    }
    function fail(error: Error): void {
      if (!end()) return;
      giveUpTunnel?.();
      socket?.destroy();
      callback(error, null);
    }
    function ready(made: Socket): void {
      if (!end()) return;
      made.off("error", fail);
      made.setNoDelay(true).setKeepAlive(true, 60_000);
      callback(null, made);
    }
    function secured(under: Socket | undefined): TLSSocket {
      const name = transport.tls?.serverName ?? hostname;
      const key = `${hostname}:${port}`;
      const session = sessions.get(key);
      const made = connectTls({
        ...(under ? { socket: under } : { host: hostname, port, lookup }),
        ...tlsOptions(transport.tls, secret),
        ...(isIP(name) === 0 ? { servername: name } : {}),
        ...(session ? { session } : {}),
        ALPNProtocols: ["http/1.1"],
      });
      // An old session saves a round trip; one that the server does not know any more costs nothing.
      made.on("session", (given: Buffer) => sessions.set(key, given));
      return made;
    }
    function useTls(under: Socket | undefined): void {
      const made = secured(under);
      socket = made;
      const failed = (error: Error): void => fail(tlsError(error));
      made.once("error", failed).once("secureConnect", () => {
        made.off("error", failed);
        ready(made);
      });
    }

    try {
      checkHost(hostname, reach);
      if (proxy) {
        giveUpTunnel = tunnel(proxy, target, tlsOptions(proxy.tls, secret), fail, (under) => {
          socket = under;
          if (over) under.destroy();
          else if (secure) useTls(under);
          else ready(under);
        });
      } else if (secure) useTls(undefined);
      else {
        const { read } = target;
        const onread = read && {
          buffer: received,
          callback(size: number): boolean {
            read(received.subarray(0, size));
            return true;
          },
        };
        const made = connectTcp({ host: hostname, port, lookup, ...(onread ? { onread } : {}) });
        socket = made;
        made.once("error", fail).once("connect", () => ready(made));
      }
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      // Nobody expects the answer before the call has returned.
      process.nextTick(() => fail(cause));
    }
    return () => {
      if (!end()) return;
      giveUpTunnel?.();
      socket?.on("error", () => {});
      socket?.destroy();
    };
  };
}

function tlsOptions(tls: TransportTls | undefined, secret: (input: SecretInput) => string): ConnectionOptions {
  if (!tls) return {};
  return {
    ...(tls.ca === undefined ? {} : { ca: secret(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: secret(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: secret(tls.key) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: secret(tls.passphrase) }),
    ...(tls.insecureSkipVerify ? { rejectUnauthorized: false } : {}),
  };
}

/** Names of OpenSSL and Node for certificates that are not believed, and handshakes that fail. */
function tlsError(error: Error): Error {
  const code = systemCode(error);
  if (!/CERT|SIGNATURE|_TLS_|SSL/.test(code)) return error;
  const fix = /CERT|SIGNATURE/.test(code) ? ": its certificate is not believed; see request.tls" : "";
  return new GatewayError("upstream_unreachable", `the server's TLS failed (${code})${fix}`, { cause: error });
}

interface Proxy {
  readonly url: URL;
  readonly tls: TransportTls | undefined;
}

function proxyFor({ proxy }: Transport, target: DialTarget, env: DialOptions["env"]): Proxy | undefined {
  if (!proxy) return undefined;
  if (proxy.mode === "explicit-proxy") return { url: new URL(proxy.url), tls: proxy.tls };
  const address = target.secure ? (env.HTTPS_PROXY ?? env.https_proxy) : (env.HTTP_PROXY ?? env.http_proxy);
  if (!address || passesProxy(target, env.NO_PROXY ?? env.no_proxy ?? "")) return undefined;
  return { url: new URL(address.includes("://") ? address : `http://${address}`), tls: proxy.tls };
}

/** As curl reads it: names with their subdomains, with or without a port; * is all. */
function passesProxy({ hostname, port }: DialTarget, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const [, name = entry, only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (only !== undefined && Number(only) !== port) return false;
      const bare = name.replace(/^\*?\./, "").toLowerCase();
      const host = hostname.toLowerCase();
      return host === bare || host.endsWith(`.${bare}`);
    });
}

/** RFC 9110 9.3.6: the proxy connects, and what follows is the bytes of the connection. */
function tunnel(
  { url, tls }: Proxy,
  { hostname, port }: DialTarget,
  options: ConnectionOptions,
  fail: (error: Error) => void,
  open: (socket: Socket) => void,
): () => void {
  const authority = `${hostname}:${port}`;
  const login = url.username === "" ? undefined : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const isSecure = url.protocol === "https:";
  const request = (isSecure ? httpsRequest : httpRequest)({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port || (isSecure ? 443 : 80),
    method: "CONNECT",
    path: authority,
    agent: false,
    headers: {
      host: authority,
      ...(login === undefined ? {} : { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` }),
    },
    ...options,
    ...(tls?.serverName ? { servername: tls.serverName } : {}),
  });
  request.once("connect", (response, socket, head) => {
    if (response.statusCode === 200) {
      if (head.length > 0) socket.unshift(head);
      // The connection is the caller's from here on.
      request.removeListener("error", fail);
      open(socket);
      return;
    }
    socket.destroy();
    fail(new GatewayError("upstream_unreachable", `the proxy refused the tunnel (${response.statusCode ?? "no status"})`));
  });
  request.once("response", (response) => {
    response.destroy();
    fail(new GatewayError("upstream_unreachable", `the proxy did not make a tunnel (${response.statusCode ?? "no status"})`));
  });
  request.once("error", fail);
  request.end();
  return () => {
    request.on("error", () => {});
    request.destroy();
  };
}
