/** Pure: the site as HAProxy (2.6 and newer) reads it, behind nginx as a balancer or alone in front. */
import { isAddress } from "../../settings-proxy.ts";
import { type Answer, answers, closedPaths, headerName } from "./answers.ts";
import type { RenderedFiles, Site } from "./site.ts";

export interface HaproxyHost {
  /** haproxy.cfg. */
  readonly path?: string;
  /** balancer: behind nginx, which has TLS and names the client; front: alone. */
  readonly role?: "balancer" | "front";
  /** Where it takes orders, such as draining a gateway. */
  readonly adminSocket?: string;
  /** A DNS server for the names of gateways, such as Docker's 127.0.0.11:53, so that a new address is noticed. */
  readonly resolver?: string;
  /** balancer: false where nginx serves plain HTTP; a browser sends a cookie that is for TLS only nowhere else. */
  readonly secureCookie?: boolean;
  /** front: certbot's own server, which answers http-01 while it asks for a certificate, such as 127.0.0.1:8402. */
  readonly acmeServer?: string;
}

/** A section: its head, and its lines below it. */
type Section = readonly [head: string, lines: readonly string[]];

const ciphers =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/** The statuses that HAProxy lets one write oneself. */
const known = [400, 403, 404, 405, 408, 413, 429, 500, 502, 503, 504];

/** @throws Error where the site lacks a gateway, or its key lies where HAProxy does not look */
export function renderHaproxy(site: Site, host: HaproxyHost = {}): RenderedFiles {
  const { path = "/etc/haproxy/haproxy.cfg", role = "front" } = host;
  const sections: Section[] = [
    ["global", globalLines(site, host)],
    ["defaults", defaultLines(site)],
    ...(host.resolver ? [resolvers(host.resolver)] : []),
    ...(role === "balancer" ? [balancer(site)] : fronts(site, host)),
    gateways(site, host),
    ...(role === "front" && host.acmeServer ? [acme(host.acmeServer)] : []),
    ...(site.alivePort ? [alive(site.alivePort)] : []),
  ];
  const text = sections.map(([head, lines]) => `${head}\n${lines.map((line) => `    ${line}\n`).join("")}`);
  return { [path]: `# Written by the stack: the next up overwrites what is changed here.\n${text.join("\n")}` };
}

function globalLines({ timeouts }: Site, { adminSocket = "/run/haproxy/admin.sock" }: HaproxyHost): string[] {
  return [
    "log stdout format raw local0 info",
    "maxconn 16384",
    "# Where the system allows fewer files, fewer connections are better than none.",
    "no strict-limits",
    "# Streams that run while the configuration changes end by themselves, or after this time.",
    `hard-stop-after ${timeouts.reloadSeconds}s`,
    `stats socket ${adminSocket} mode 600 level admin expose-fd listeners`,
    `ssl-default-bind-ciphers ${ciphers}`,
    "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
  ];
}

function defaultLines(site: Site): string[] {
  const { timeouts, accessLog, gatewayKeepAliveMs } = site;
  const written = answers(site.maxBodyBytes).filter(({ status }) => known.includes(status));
  return [
    "mode http",
    ...(accessLog ? ["log global", "option dontlognull"] : []),
    "# What stands behind the ? may be a secret, so it is not logged.",
    `log-format '{"time":"%tr","address":"%ci","method":"%HM","path":"%[var(txn.path),json(utf8s)]","status":"%ST","bytes":%B,"milliseconds":%Ta,"upstream":"%s","ended":"%ts"}'`,
    `timeout connect ${timeouts.connectSeconds}s`,
    `timeout client ${timeouts.idleSeconds}s`,
    `timeout server ${timeouts.idleSeconds}s`,
    `timeout tunnel ${timeouts.idleSeconds}s`,
    "# A client that closes has left: its request at the gateway ends as well.",
    "option abortonclose",
    "timeout client-fin 30s",
    `timeout http-request ${timeouts.headerSeconds}s`,
    // Sooner than the gateway does it: a request on a connection that was just closed would be lost.
    `timeout http-keep-alive ${Math.max(1, Math.min(timeouts.keepAliveSeconds, Math.floor(gatewayKeepAliveMs / 1000) - 15))}s`,
    "timeout queue 5s",
    "timeout check 3s",
    "# Only a request that met a closed door is sent again, and to another gateway; one that may have arrived never is.",
    "retries 3",
    "retry-on conn-failure",
    "option redispatch 1",
    ...written.map((answer) => `http-error status ${answer.status} ${content(answer)}`),
  ];
}

function content({ body, retryAfterSeconds }: Answer): string {
  return `content-type application/json string '${body}'${retryAfterSeconds ? ` hdr Retry-After ${retryAfterSeconds}` : ""}`;
}

function resolvers(server: string): Section {
  return [
    "resolvers openclaw",
    [
      `nameserver dns ${server}`,
      "accepted_payload_size 8192",
      "timeout resolve 1s",
      "timeout retry 1s",
      "hold valid 1s",
      "hold obsolete 5s",
    ],
  ];
}

const bind = (site: Site, port: number, more = ""): string[] => [
  `bind 0.0.0.0:${port}${more}`,
  ...(site.ipv6 ? [`bind [::]:${port}${more} v6only`] : []),
];

const remember = "http-request set-var(txn.path) path";
/** Only WebSockets may leave HTTP: another upgrade could smuggle requests past what is closed here. */
const upgrades = "http-request del-header Upgrade unless { req.hdr(upgrade) -i websocket }";

/** Believes what nginx says of the client, because nobody else reaches it. */
function balancer(site: Site): Section {
  return ["frontend openclaw", [...bind(site, site.listen.http), remember, upgrades, "default_backend openclaw_gateways"]];
}

function fronts(site: Site, host: HaproxyHost): Section[] {
  const { tls, listen } = site;
  if (tls === "none") return [["frontend openclaw", [...bind(site, listen.http), ...served(site, listen.http)]]];
  if (!("certificate" in tls)) throw new Error("renderHaproxy: HAProxy needs the files of a certificate");
  if (tls.key !== tls.certificate && tls.key !== `${tls.certificate}.key`)
    throw new Error("renderHaproxy: the key must be in the certificate's file, or beside it with .key at the end");
  if (listen.https === undefined) throw new Error("renderHaproxy: a site with TLS needs a port for it");
  // A client that asks for an address names nobody in its handshake, so that must not be refused yet.
  const strict = site.names.length > 0 && !site.names.some(isAddress) ? " strict-sni" : "";
  const secure = ` ssl crt ${tls.certificate} alpn ${site.http2 ? "h2,http/1.1" : "http/1.1"}${strict}`;
  return [
    ["frontend openclaw_redirect", redirect(site, host)],
    ["frontend openclaw", [...bind(site, listen.https, secure), ...served(site, site.publicHttpsPort ?? listen.https)]],
  ];
}

function redirect(site: Site, { acmeServer }: HaproxyHost): string[] {
  const shown = site.publicHttpsPort ?? site.listen.https;
  const port = shown === 443 ? "" : `:${shown}`;
  return [
    ...bind(site, site.listen.http),
    remember,
    ...onlyOurs(site),
    // 308 keeps the method: a POST stays one.
    `http-request redirect location https://%[req.hdr(host),host_only]${port}%[capture.req.uri] code 308${acmeServer ? " unless { path_beg /.well-known/acme-challenge/ }" : ""}`,
    ...(acmeServer ? ["use_backend openclaw_acme if { path_beg /.well-known/acme-challenge/ }"] : []),
  ];
}

/** Other names are none of ours: the connection is closed without a word. */
function onlyOurs({ names }: Site): string[] {
  if (names.length === 0) return [];
  const hosts = names.map((name) => (name.includes(":") ? `[${name}]` : name)).join(" ");
  return [`http-request reject unless { req.hdr(host),host_only -i ${hosts} }`];
}

function served(site: Site, shownPort: number): string[] {
  const { allowMetricsFrom, dropHeaders = [], hsts } = site;
  const closed = closedPaths.map((path) => path.slice(1)).join("|");
  const except = allowMetricsFrom.length > 0 ? ` !{ src ${allowMetricsFrom.join(" ")} }` : "";
  const after = (name: string, value: string): string => `http-after-response set-header ${name} "${value}"`;
  return [
    remember,
    ...onlyOurs(site),
    `http-request deny deny_status 403 if { path,url_dec -m reg -i '^/+(${closed})([^a-z0-9_-]|$)' }${except}`,
    "# The gateway bounds bodies whose length is not said.",
    `http-request deny deny_status 413 if { req.hdr_val(content-length) gt ${site.maxBodyBytes} }`,
    upgrades,
    "# Overwritten: what a client claims about its own address is not believed.",
    "http-request set-header X-Forwarded-For %[src]",
    "http-request set-header X-Real-IP %[src]",
    `http-request set-header X-Forwarded-Proto ${site.tls === "none" ? "http" : "https"}`,
    "http-request set-header X-Forwarded-Host %[req.hdr(host)]",
    `http-request set-header X-Forwarded-Port ${shownPort}`,
    "http-request del-header Forwarded",
    ...dropHeaders.map((name) => `http-request del-header ${headerName(name)}`),
    ...(hsts ? [after("Strict-Transport-Security", hsts)] : []),
    after("X-Frame-Options", "DENY"),
    after("X-Content-Type-Options", "nosniff"),
    after("Referrer-Policy", "no-referrer"),
    "default_backend openclaw_gateways",
  ];
}

function gateways({ upstreams, balance, tls }: Site, { resolver, secureCookie = tls !== "none" }: HaproxyHost): Section {
  if (upstreams.length === 0) throw new Error("renderHaproxy: there is no gateway");
  const methods = {
    "least-connections": ["balance leastconn"],
    address: ["balance source", "hash-type consistent"],
    cookie: [
      "balance leastconn",
      `cookie GATEWAY_ID insert indirect nocache httponly${secureCookie ? " secure" : ""} attr SameSite=Lax`,
    ],
  };
  const names = resolver ? " resolvers openclaw" : "";
  return [
    "backend openclaw_gateways",
    [
      ...methods[balance],
      "option httpchk",
      "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host gateway",
      "http-check expect status 200",
      // What runs on a gateway that is not ready any more goes on: it drains.
      `default-server check inter 1s fastinter 300ms downinter 1s fall 2 rise 1 init-addr last,libc,none${names}`,
      ...upstreams.map(({ id, host, port, weight, state }) => {
        const address = host.includes(":") ? `ipv6@${host}` : host;
        const share = weight && weight !== 1 ? ` weight ${weight}` : "";
        const sticky = balance === "cookie" ? ` cookie ${id}` : "";
        return `server ${id} ${address}:${port}${share}${sticky}${state === "draining" ? " disabled" : ""}`;
      }),
    ],
  ];
}

const acme = (server: string): Section => ["backend openclaw_acme", [`server certbot ${server}`]];

const alive = (port: number): Section => [
  "frontend alive",
  [
    `bind 127.0.0.1:${port}`,
    "option dontlog-normal",
    "http-request return status 200 content-type text/plain string alive if { path /alive }",
    "http-request deny deny_status 404",
  ],
];
