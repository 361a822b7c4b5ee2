/** Pure: the site as Caddy (2.6 and newer) reads it. */
import { answers, closedPaths, headerName } from "./answers.ts";
import { indent } from "./indent.ts";
import type { RenderedFiles, Site } from "./site.ts";

export interface CaddyHost {
  /** The Caddyfile. */
  readonly path?: string;
  /** Where it takes orders, such as a reload: a socket in a folder of its own user, which its unit must make. */
  readonly adminSocket?: string;
  /** Files with sites of others, which are served beside ours and share its global options; a pattern. */
  readonly sites?: string;
  /** A file for the access log; left out: its standard error, as for all else. */
  readonly accessLogPath?: string;
}

/** @throws Error where the site lacks a gateway or a port */
export function renderCaddy(site: Site, host: CaddyHost = {}): RenderedFiles {
  const { path = "/etc/caddy/Caddyfile" } = host;
  const secure = site.tls !== "none";
  const lines = [
    "# Written by the stack: the next up overwrites what is changed here.",
    ...options(site, host),
    ...snippets(site),
    ...(secure ? redirect(site) : []),
    ...main(site, host),
    ...(site.names.length > 0 ? refusals(site) : []),
    ...(site.alivePort ? alive(site.alivePort) : []),
    ...(host.sites ? [`import ${host.sites}`] : []),
  ];
  return { [path]: indent(lines, "\t") };
}

const block = (head: string, lines: readonly string[]): string[] => [`${head} {`, ...lines, "}"];

function options(site: Site, { adminSocket = "/run/caddy/admin.sock" }: CaddyHost): string[] {
  const { tls, listen, timeouts } = site;
  if (tls !== "none" && listen.https === undefined) throw new Error("renderCaddy: a site with TLS needs a port for it");
  const own = tls !== "none" && "directory" in tls ? tls : undefined;
  return [
    "{",
    `admin unix/${adminSocket}`,
    `http_port ${listen.http}`,
    ...(listen.https === undefined ? [] : [`https_port ${listen.https}`]),
    `auto_https ${own ? "disable_redirects" : "off"}`,
    ...(own?.email ? [`email ${own.email}`] : []),
    ...(own ? [`acme_ca ${own.directory}`] : []),
    ...(own?.caFile ? [`acme_ca_root ${own.caFile}`] : []),
    // Caddy looks every ten minutes by itself.
    ...(own && own.checkSeconds < 600 ? [`renew_interval ${own.checkSeconds}s`] : []),
    ...(site.ipv6 ? [] : ["default_bind 0.0.0.0"]),
    // HTTP/3 would open a UDP port.
    ...block("servers", [
      `protocols ${site.http2 ? "h1 h2" : "h1"}`,
      "max_header_size 64KB",
      ...block("timeouts", [`read_header ${timeouts.headerSeconds}s`, `idle ${timeouts.keepAliveSeconds}s`]),
    ]),
    ...block("log", ["output stderr", ...logFormat()]),
    "}",
  ];
}

/** Neither headers nor what stands behind the ?: both may hold a secret. */
function logFormat(): string[] {
  return block("format filter", [
    "wrap json",
    ...block("fields", [
      'request>uri regexp \\?.* ""',
      "request>headers delete",
      "request>tls delete",
      "resp_headers delete",
      "common_log delete",
    ]),
  ]);
}

function snippets(site: Site): string[] {
  return [
    ...block("(openclaw_headers)", [
      ...block("header", [
        "defer",
        ...(site.hsts ? [`Strict-Transport-Security "${site.hsts}"`] : []),
        "X-Frame-Options DENY",
        "X-Content-Type-Options nosniff",
        "Referrer-Policy no-referrer",
        ...(site.balance === "cookie" ? [cookieRule(site)] : []),
        "-Server",
      ]),
    ]),
    ...block("(openclaw_errors)", block("handle_errors", errorRoutes(site))),
  ];
}

/** Caddy's own cookie would be readable by scripts. */
function cookieRule({ tls }: Site): string {
  return `Set-Cookie "^(GATEWAY_ID=[0-9a-f]+; Path=/).*$" "$1; HttpOnly; SameSite=Lax${tls === "none" ? "" : "; Secure"}"`;
}

function errorRoutes({ maxBodyBytes }: Site): string[] {
  const all = answers(maxBodyBytes);
  const others = all.find(({ status }) => status === 500)?.body ?? "{}";
  return [
    "import openclaw_headers",
    "header Content-Type application/json",
    "header Cache-Control no-store",
    ...all.flatMap(({ status, body, retryAfterSeconds }) => [
      `@${status} expression {err.status_code} == ${status}`,
      ...block(`handle @${status}`, [
        ...(retryAfterSeconds ? [`header Retry-After ${retryAfterSeconds}`] : []),
        `respond \`${body}\` ${status}`,
      ]),
    ]),
    ...block("handle", [`respond \`${others}\` {err.status_code}`]),
  ];
}

function redirect(site: Site): string[] {
  const { https } = site.listen;
  const shown = site.publicHttpsPort ?? https;
  // 308 keeps the method: a POST stays one.
  return block(addresses(site, "http"), [`redir https://{host}${shown === 443 ? "" : `:${shown}`}{uri} 308`]);
}

function main(site: Site, host: CaddyHost): string[] {
  const { tls, allowMetricsFrom, accessLog, maxBodyBytes } = site;
  const closed = closedPaths.flatMap((path) => [path, `${path}/*`]).join(" ");
  const files = tls !== "none" && "certificate" in tls ? [`tls ${tls.certificate} ${tls.key}`] : [];
  const length = "{http.request.header.Content-Length}";
  return block(addresses(site, tls === "none" ? "http" : "https"), [
    ...files,
    ...(accessLog ? block("log", [...logOutput(host), ...logFormat()]) : []),
    "import openclaw_headers",
    "import openclaw_errors",
    // Anything but WebSockets that leaves HTTP could smuggle requests past what is closed here.
    ...block("@upgrade", ["header Upgrade *", "not header_regexp Upgrade (?i)^websocket$"]),
    "request_header @upgrade -Upgrade",
    ...block("@closed", [
      `path ${closed}`,
      ...(allowMetricsFrom.length > 0 ? [`not remote_ip ${allowMetricsFrom.join(" ")}`] : []),
    ]),
    "error @closed 403",
    `@large expression \`${length}.matches("^[0-9]{1,18}$") && int(${length}) > ${maxBodyBytes}\``,
    "error @large 413",
    ...block("request_body", [`max_size ${maxBodyBytes}`]),
    ...toGateways(site),
  ]);
}

function logOutput({ accessLogPath }: CaddyHost): string[] {
  return accessLogPath ? block(`output file ${accessLogPath}`, ["roll_size 50MiB", "roll_keep 5"]) : ["output stderr"];
}

/**
 * Of several: one alone has nobody to stand in for it. While it is replaced, the process that drains may be the one that was asked,
 * and all would be refused who could be served by the other.
 */
const healthChecks = [
  "max_fails 1",
  "fail_duration 2s",
  "health_uri /readyz",
  "health_interval 1s",
  "health_timeout 3s",
  "health_status 200",
];

function toGateways(site: Site): string[] {
  const { upstreams, balance, timeouts, dropHeaders = [], gatewayKeepAliveMs, listen, tls } = site;
  const taking = upstreams.filter(({ state }) => state === "up");
  if (taking.length === 0) throw new Error("renderCaddy: there is no gateway");
  const policies = { "least-connections": "least_conn", address: "ip_hash", cookie: "cookie GATEWAY_ID" };
  const shown = tls === "none" ? listen.http : (site.publicHttpsPort ?? listen.https);
  const hosts = taking.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
  return block(`reverse_proxy ${hosts.join(" ")}`, [
    `lb_policy ${policies[balance]}`,
    "# A gateway that refuses the connection is passed over; a request that may have arrived is sent again only if it is a GET.",
    "lb_try_duration 5s",
    "lb_try_interval 100ms",
    ...(taking.length > 1 ? healthChecks : []),
    // No flush_interval: without it, events and all else whose length is not known go out at once, and a client that leaves
    // ends its request at the gateway too; with -1 neither that nor a running stream would survive (a reload would cut it).
    "header_up X-Real-IP {remote_host}",
    `header_up X-Forwarded-Port ${shown}`,
    "header_up -Forwarded",
    ...dropHeaders.map((name) => `header_up -${headerName(name)}`),
    ...block("transport http", [
      `dial_timeout ${timeouts.connectSeconds}s`,
      `response_header_timeout ${timeouts.idleSeconds}s`,
      // Sooner than the gateway does it: a request on a connection that was just closed would be lost.
      `keepalive ${Math.max(1, Math.floor(gatewayKeepAliveMs / 1000) - 15)}s`,
      "keepalive_idle_conns_per_host 64",
      "versions 1.1",
      "compression off",
    ]),
  ]);
}

/** Other names are none of ours: the connection is closed without a word. */
function refusals({ tls }: Site): string[] {
  return block(tls === "none" ? "http://" : "http://, https://", ["abort"]);
}

function alive(port: number): string[] {
  return block(`http://127.0.0.1:${port}`, ["bind 127.0.0.1", "respond /alive alive 200", "respond 404"]);
}

/** Without ports, which the options name: Caddy 2.6 would log nothing for a name that has one. */
function addresses({ names }: Site, scheme: "http" | "https"): string {
  if (names.length === 0) return `${scheme}://`;
  return names.map((name) => `${scheme}://${name.includes(":") ? `[${name}]` : name}`).join(", ");
}
