/** Pure: nginx's server blocks: unknown names, the redirect, and the site itself. */
import { isAddress } from "../../settings-proxy.ts";
import { answers, closedPaths, headerName } from "./answers.ts";
import type { Site } from "./site.ts";

export interface NginxServersHost {
  /** As `nginx -v` says it, such as 1.22.1: newer ones spell some directives differently. */
  readonly version?: string;
  /** false where another site is the default already: two of them are an error. */
  readonly defaultServer?: boolean;
  readonly accessLogPath?: string;
  readonly errorLogPath?: string;
  /** A folder that nginx may write to, for its pid and temporary files, and where a relay is told of its generation. */
  readonly runtimeFolder?: string;
}

/** Mozilla's intermediate list without DHE, which needs parameters of its own. */
const ciphers = [
  ..."ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384".split(" "),
  ..."ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305".split(" "),
].join(":");

interface Context {
  readonly site: Site;
  readonly host: NginxServersHost;
  /** Where the site is served: with TLS its port for that. */
  readonly port: number;
  readonly secure: boolean;
  /** The site answers every name, so it is the default itself. */
  readonly every: boolean;
}

export function nginxServers(site: Site, host: NginxServersHost): string[] {
  const { tls, listen, names } = site;
  const secure = tls !== "none";
  if (secure && !("certificate" in tls)) throw new Error("renderNginx: nginx needs the files of a certificate");
  const port = secure ? listen.https : listen.http;
  if (port === undefined) throw new Error("renderNginx: a site with TLS needs a port for it");
  const context: Context = { site, host, port, secure, every: names.length === 0 };
  return [
    ...(context.every || host.defaultServer === false ? [] : refusals(context)),
    ...(secure ? redirect(context) : []),
    ...main(context),
    ...(relays(site) ? relay(context) : []),
    ...(site.alivePort ? alive(site.alivePort) : []),
  ];
}

const block = (head: string, lines: readonly string[]): string[] => [`${head} {`, ...lines, "}"];

/** Other names are none of ours: the connection is closed without a word. */
function refusals(context: Context): string[] {
  const { site, host, port, secure } = context;
  const close = ["server_name _;", "access_log off;", ...clientBounds(site), "return 444;"];
  const plain = block("server", [...listens(context, site.listen.http, { asDefault: true }), ...close]);
  if (!secure) return plain;
  // A client that asks for an address names nobody in its handshake, so that must not be refused yet.
  const early = isNewer(host.version, [1, 19, 4]) && !site.names.some(isAddress);
  const handshake = early ? [...tlsSettings(), "ssl_reject_handshake on;"] : [...tlsSettings(), ...certificate(site)];
  return [...plain, ...block("server", [...listens(context, port, { asDefault: true, ssl: true }), ...handshake, ...close])];
}

function redirect(context: Context): string[] {
  const { site, port } = context;
  const shown = site.publicHttpsPort ?? port;
  const challenge = site.acmeWebroot
    ? block("location ^~ /.well-known/acme-challenge/", [
        `root ${site.acmeWebroot};`,
        "default_type text/plain;",
        "try_files $uri =404;",
      ])
    : [];
  return block("server", [
    ...listens(context, site.listen.http, { asDefault: context.every }),
    ...names(site),
    ...logs(context),
    ...clientBounds(site),
    ...challenge,
    // 308 keeps the method: a POST stays one.
    ...block("location /", [`return 308 https://$host${shown === 443 ? "" : `:${shown}`}$request_uri;`]),
  ]);
}

function main(context: Context): string[] {
  const { site, host, secure, port, every } = context;
  const { allowMetricsFrom, balance } = site;
  const closed = closedPaths.map((path) => path.slice(1)).join("|");
  const cookie = balance === "cookie" ? ["add_header Set-Cookie $openclaw_new_cookie always;"] : [];
  return block("server", [
    ...listens(context, port, { asDefault: every, ssl: secure }),
    ...names(site),
    ...(secure ? [...tlsSettings(), ...certificate(site)] : []),
    ...logs(context),
    ...clientBounds(site),
    `client_max_body_size ${site.maxBodyBytes};`,
    "client_body_buffer_size 64k;",
    "keepalive_requests 10000;",
    "# HTTP/2: each request that runs counts.",
    `limit_conn openclaw_address ${site.maxConnectionsPerAddress};`,
    "limit_conn_status 429;",
    "gzip off;",
    "server_tokens off;",
    ...securityHeaders(site),
    ...cookie,
    ...(relays(site) ? choosesRelay(host) : []),
    ...toGateways(context),
    ...errorPages(site),
    ...(secure ? ["error_page 497 =308 https://$http_host$request_uri;"] : []),
    ...block(`location ~* "^/+(${closed})([^a-z0-9_-]|$)"`, [
      ...allowMetricsFrom.map((network) => `allow ${network};`),
      "deny all;",
      `proxy_pass http://${gatewaysOf(site)};`,
    ]),
    ...block("location /", [`proxy_pass http://${gatewaysOf(site)};`]),
    ...ownAnswers(site),
  ]);
}

export const relays = ({ relayPort }: Site): boolean => relayPort !== undefined;
const gatewaysOf = (site: Site): string => (relays(site) ? "$openclaw_group" : "openclaw_gateways");

/** What the script that runs nginx writes, below its folder: the number of the configuration, and a mark for each that is past. */
export const generationFiles = { number: "nginx-generation.conf", past: "nginx-past-" } as const;

function choosesRelay({ runtimeFolder = "/tmp" }: NginxServersHost): string[] {
  return [
    "# After a reload, processes that finish what they began know gateways that are going: their last requests go to their successors.",
    "set $openclaw_group openclaw_gateways;",
    "set $openclaw_generation 0;",
    // A pattern, so that it may be missing.
    `include ${runtimeFolder}/${generationFiles.number}*;`,
    ...block(`if (-f ${runtimeFolder}/${generationFiles.past}$openclaw_generation)`, ["set $openclaw_group openclaw_relay;"]),
  ];
}

/** What comes here was let in, and named its client, one server further up. */
function relay({ site }: Context): string[] {
  return block("server", [
    `listen 127.0.0.1:${site.relayPort};`,
    "access_log off;",
    "error_log stderr crit;",
    "# Each request finds the processes of now: a kept connection would lead to those that took it before they were past.",
    ...clientBounds(site, 0),
    "client_max_body_size 0;",
    "gzip off;",
    "server_tokens off;",
    ...upgrades,
    ...passing(site),
    ...errorPages(site),
    ...block("location /", ["proxy_pass http://openclaw_gateways_now;"]),
    ...ownAnswers(site),
  ]);
}

function errorPages(site: Site): string[] {
  return [`error_page ${plainErrors(site)} @openclaw_answer;`, "error_page 494 =431 @openclaw_answer;"];
}

function ownAnswers(site: Site): string[] {
  return block("location @openclaw_answer", [
    "internal;",
    "default_type application/json;",
    ...securityHeaders(site),
    "add_header Cache-Control no-store always;",
    "add_header Retry-After $openclaw_retry always;",
    // The status of the error stays; this one is only where the grammar asks for it.
    "return 200 $openclaw_answer;",
  ]);
}

const plainErrors = (site: Site): string =>
  answers(site.maxBodyBytes)
    .map(({ status }) => status)
    .filter((status) => status !== 431)
    .join(" ");

function toGateways({ site, secure, port }: Context): string[] {
  const { dropHeaders = [] } = site;
  const shown = secure ? (site.publicHttpsPort ?? port) : port;
  return [
    ...upgrades,
    "# Overwritten: what a client claims about its own address is not believed.",
    "proxy_set_header X-Forwarded-For $remote_addr;",
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
    "proxy_set_header X-Forwarded-Host $http_host;",
    `proxy_set_header X-Forwarded-Port ${shown};`,
    'proxy_set_header Forwarded "";',
    ...dropHeaders.map((name) => `proxy_set_header ${headerName(name)} "";`),
    ...passing(site),
  ];
}

const upgrades: readonly string[] = [
  "proxy_http_version 1.1;",
  "proxy_set_header Host $http_host;",
  "proxy_set_header Connection $openclaw_connection;",
  "proxy_set_header Upgrade $openclaw_upgrade;",
];

function passing({ timeouts }: Site): string[] {
  return [
    "# Tokens go out as they come in, and a request's body goes up as it comes in.",
    "proxy_buffering off;",
    "proxy_request_buffering off;",
    "proxy_buffer_size 16k;",
    "proxy_buffers 8 16k;",
    "proxy_max_temp_file_size 0;",
    `proxy_connect_timeout ${timeouts.connectSeconds}s;`,
    `proxy_read_timeout ${timeouts.idleSeconds}s;`,
    `proxy_send_timeout ${timeouts.idleSeconds}s;`,
    "proxy_socket_keepalive on;",
    "# Without non_idempotent: a POST that may have arrived is never sent again; one that met a closed door is.",
    "proxy_next_upstream error timeout;",
    ...["X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Strict-Transport-Security"].map(
      (name) => `proxy_hide_header ${name};`,
    ),
  ];
}

function securityHeaders({ hsts }: Site): string[] {
  return [
    ...(hsts ? [`add_header Strict-Transport-Security "${hsts}" always;`] : []),
    "add_header X-Frame-Options DENY always;",
    "add_header X-Content-Type-Options nosniff always;",
    "add_header Referrer-Policy no-referrer always;",
  ];
}

/** Slow-loris: also before nginx knows which name is meant, where the default server's count. */
function clientBounds({ timeouts }: Site, keepAliveSeconds = timeouts.keepAliveSeconds): string[] {
  return [
    `client_header_timeout ${timeouts.headerSeconds}s;`,
    `client_body_timeout ${timeouts.bodySeconds}s;`,
    `send_timeout ${timeouts.sendSeconds}s;`,
    `keepalive_timeout ${keepAliveSeconds}s;`,
    "large_client_header_buffers 4 16k;",
  ];
}

function listens(context: Context, port: number, { asDefault, ssl }: { asDefault: boolean; ssl?: boolean }): string[] {
  const { site, host } = context;
  const modern = isNewer(host.version, [1, 25, 1]);
  const words = [
    ...(ssl ? ["ssl"] : []),
    ...(ssl && site.http2 && !modern ? ["http2"] : []),
    ...(asDefault && host.defaultServer !== false ? ["default_server"] : []),
  ].map((word) => ` ${word}`);
  const own = [`listen ${port}${words.join("")};`, ...(site.ipv6 ? [`listen [::]:${port}${words.join("")};`] : [])];
  return [...own, ...(ssl && modern ? [`http2 ${site.http2 ? "on" : "off"};`] : [])];
}

const names = ({ names }: Site): string[] => [
  // An IPv6 address stands in brackets in a Host header, and so it does here.
  `server_name ${names.length === 0 ? "_" : names.map((name) => (name.includes(":") ? `[${name}]` : name)).join(" ")};`,
];

function logs({ site, host }: Context): string[] {
  return [
    site.accessLog ? `access_log ${host.accessLogPath ?? "/dev/stdout"} openclaw;` : "access_log off;",
    "# Errors of requests are in the access log; here nginx would write the whole address, with what stands behind the ?.",
    `error_log ${host.errorLogPath ?? "stderr"} crit;`,
  ];
}

function tlsSettings(): string[] {
  return [
    "ssl_protocols TLSv1.2 TLSv1.3;",
    `ssl_ciphers ${ciphers};`,
    "ssl_prefer_server_ciphers off;",
    "ssl_session_cache shared:openclaw_tls:10m;",
    "ssl_session_timeout 1d;",
    "ssl_session_tickets off;",
  ];
}

function certificate({ tls }: Site): string[] {
  return tls !== "none" && "certificate" in tls
    ? [`ssl_certificate ${tls.certificate};`, `ssl_certificate_key ${tls.key};`]
    : [];
}

function alive(port: number): string[] {
  return block("server", [
    `listen 127.0.0.1:${port};`,
    "access_log off;",
    ...block("location = /alive", ["default_type text/plain;", 'return 200 "alive\\n";']),
    ...block("location = /status", ["stub_status;"]),
    ...block("location /", ["return 404;"]),
  ]);
}

/** Without a version: that of Ubuntu 22.04, whose spelling all understand. */
export function isNewer(version = "1.18.0", [major, minor, patch]: readonly [number, number, number]): boolean {
  const [a = 0, b = 0, c = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return a !== major ? a > major : b !== minor ? b > minor : c >= patch;
}
