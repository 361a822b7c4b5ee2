/** Pure: what stands in front of the gateways, in one shape from which nginx, Caddy and HAProxy are rendered. */
import type { ProxySettings } from "../../settings-proxy.ts";

/** Path -> content. Paths are absolute, as the program sees them. */
export interface RenderedFiles {
  [path: string]: string;
}

export interface Upstream {
  /** Names it in cookies and logs: letters, digits, - and _. */
  readonly id: string;
  /** Address or name, as the proxy resolves it. */
  readonly host: string;
  readonly port: number;
  /** Its share beside the others; 1 where left out. */
  readonly weight?: number;
  /** draining: takes nothing new; what runs goes on. One that refuses connections is passed over by itself. */
  readonly state: "up" | "draining";
}

export interface TlsFiles {
  /** Paths of the chain and the key, as the proxy sees them. */
  readonly certificate: string;
  readonly key: string;
}

/** Caddy gets certificates itself; nginx and HAProxy have certbot for it. */
export interface OwnAcme {
  readonly directory: string;
  readonly email?: string;
  readonly caFile?: string;
  /** How often it is looked whether it is time to renew. */
  readonly checkSeconds: number;
}

export interface Site {
  /** Host names and addresses; empty: every name. */
  readonly names: readonly string[];
  /** Where the proxy itself listens; https is left out without TLS. */
  readonly listen: { readonly http: number; readonly https?: number };
  /** Ports under which clients see these, where something translates them. */
  readonly publicHttpsPort?: number;
  readonly ipv6: boolean;
  readonly http2: boolean;
  /** none: plain HTTP. */
  readonly tls: "none" | TlsFiles | OwnAcme;
  /** Folder in which certbot puts the answers of http-01. */
  readonly acmeWebroot?: string;
  readonly upstreams: readonly Upstream[];
  readonly balance: ProxySettings["balance"];
  /** Value of Strict-Transport-Security. */
  readonly hsts?: string;
  readonly maxBodyBytes: number;
  readonly allowMetricsFrom: readonly string[];
  readonly maxConnectionsPerAddress: number;
  readonly accessLog: boolean;
  readonly timeouts: ProxySettings["timeouts"];
  /** The gateway's http.keepAliveTimeoutMs: a connection to it is given up before it gives it up itself. */
  readonly gatewayKeepAliveMs: number;
  /** A port of the loopback that says that the proxy is alive (`/alive`), for health checks of containers. */
  readonly alivePort?: number;
  /** nginx: a port of the loopback that leads to the gateways of now; see SitePlace. */
  readonly relayPort?: number;
  /** Headers of requests that only the proxy may set, such as the user of `gateway.auth.trustedProxy`. */
  readonly dropHeaders?: readonly string[];
}

/** Where the certificate lies, and what else the settings do not know. */
export interface SitePlace {
  readonly upstreams: readonly Upstream[];
  /** For every mode of TLS but none, and but acme with Caddy. */
  readonly tlsFiles?: TlsFiles;
  /** For ACME with http-01 and certbot. */
  readonly acmeWebroot?: string;
  readonly listen?: Site["listen"];
  readonly publicHttpsPort?: number;
  readonly alivePort?: number;
  /**
   * Where gateways are replaced by others at other addresses: after a reload, processes of nginx that finish what they began may
   * get one more request on a kept connection, and know gateways that are gone, where nobody even refuses a connection. Through this
   * port they ask their successors. It takes `renderNginxWatch` to tell them that they are past.
   */
  readonly relayPort?: number;
  readonly dropHeaders?: readonly string[];
  readonly gatewayKeepAliveMs?: number;
  /** false where the host has none. */
  readonly ipv6?: boolean;
}

/** @throws Error where the place lacks what the settings ask for: a mistake of a target, not of a user */
export function siteOf(settings: ProxySettings, place: SitePlace): Site {
  const { tls, hsts, ports } = settings;
  const plain = tls.mode === "none";
  const { alivePort, relayPort, dropHeaders, publicHttpsPort } = place;
  return {
    names: settings.names,
    listen: place.listen ?? (plain ? { http: ports.http } : ports),
    publicHttpsPort,
    ipv6: settings.ipv6 && place.ipv6 !== false,
    http2: settings.http2 && !plain,
    tls: siteTls(settings, place),
    acmeWebroot:
      tls.mode === "acme" && settings.server === "nginx" && tls.acme.challenge === "http-01" ? place.acmeWebroot : undefined,
    upstreams: place.upstreams,
    balance: settings.balance,
    // A browser that was told to keep to https could not be let past a self-signed certificate any more.
    hsts: hsts.enabled && (tls.mode === "acme" || tls.mode === "files") ? hstsValue(hsts) : undefined,
    maxBodyBytes: settings.maxBodyBytes,
    allowMetricsFrom: settings.allowMetricsFrom,
    maxConnectionsPerAddress: settings.maxConnectionsPerAddress,
    accessLog: settings.accessLog,
    timeouts: settings.timeouts,
    gatewayKeepAliveMs: place.gatewayKeepAliveMs ?? 75_000,
    alivePort,
    relayPort,
    dropHeaders,
  };
}

function siteTls({ server, tls }: ProxySettings, { tlsFiles }: SitePlace): Site["tls"] {
  if (tls.mode === "none") return "none";
  if (tls.mode === "acme" && server === "caddy") {
    const { directory, email, caFile, checkSeconds } = tls.acme;
    return { directory, email, caFile, checkSeconds };
  }
  if (!tlsFiles) throw new Error("siteOf: tlsFiles is missing");
  return tlsFiles;
}

function hstsValue({ maxAgeSeconds, includeSubdomains, preload }: ProxySettings["hsts"]): string {
  return [
    `max-age=${maxAgeSeconds}`,
    ...(includeSubdomains ? ["includeSubDomains"] : []),
    ...(preload ? ["preload"] : []),
  ].join("; ");
}
