/** Pure: the site as nginx (1.18 and newer) reads it. */
import { answers } from "./answers.ts";
import { indent } from "./indent.ts";
import { isNewer, type NginxServersHost, nginxServers, relays } from "./nginx-servers.ts";
import type { RenderedFiles, Site } from "./site.ts";

export interface NginxHost extends NginxServersHost {
  /** whole: nginx.conf and all, for a container; site: beside the sites of others, on Debian and Ubuntu. */
  readonly layout?: "whole" | "site";
  /** The folder of nginx.conf. */
  readonly root?: string;
  /** whole: a file that the start of nginx writes where the version turns out to be new enough, with `newerLines`. */
  readonly newerFile?: string;
}

/** The first version that knows `newerLines`. */
export const newerSince = [1, 27, 4] as const;
export const newerLines: readonly string[] = [
  "# A reload closes no kept connection under a client's next request: that one is answered, and told to be the last.",
  "keepalive_min_timeout 5s;",
];

const written = "# Written by the stack: the next up overwrites what is changed here.";

/** @throws Error where the site lacks a gateway or a certificate */
export function renderNginx(site: Site, host: NginxHost = {}): RenderedFiles {
  const { layout = "whole", root = "/etc/nginx" } = host;
  const siteFile = `${root}/conf.d/openclaw.conf`;
  // One alone needs no choice; it may be a balancer, with cookies of its own.
  const balance = site.upstreams.length > 1 ? site.balance : "least-connections";
  const own = { ...site, balance };
  const newer = isNewer(host.version, newerSince) ? newerLines : [];
  const files = { [siteFile]: indent([written, ...newer, ...httpLevel(own), ...nginxServers(own, host)]) };
  if (layout === "whole") return { [`${root}/nginx.conf`]: indent(wholeFile(site, host, siteFile)), ...files };
  // Of the main part of Debian's nginx.conf only this folder is open to others.
  return { [`${root}/modules-enabled/90-openclaw.conf`]: indent([written, ...mainLevel(site)]), ...files };
}

function mainLevel({ timeouts }: Site): string[] {
  return [
    "# Streams that run while the configuration changes end by themselves, or after this time.",
    `worker_shutdown_timeout ${timeouts.reloadSeconds}s;`,
  ];
}

function wholeFile(site: Site, { runtimeFolder = "/tmp", newerFile }: NginxHost, siteFile: string): string[] {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return [
    written,
    "worker_processes auto;",
    "worker_rlimit_nofile 65536;",
    ...mainLevel(site),
    `pid ${runtimeFolder}/nginx.pid;`,
    "error_log stderr warn;",
    "events {",
    "worker_connections 16384;",
    "}",
    "http {",
    ...temporary.map((name) => `${name}_temp_path ${runtimeFolder}/nginx-${name};`),
    "default_type application/octet-stream;",
    "access_log off;",
    "server_tokens off;",
    "tcp_nodelay on;",
    "server_names_hash_bucket_size 128;",
    // A pattern, so that it may be missing.
    ...(newerFile ? [`include ${newerFile}*;`] : []),
    `include ${siteFile};`,
    "}",
  ];
}

function httpLevel(site: Site): string[] {
  const all = answers(site.maxBodyBytes);
  return [
    "# Only WebSockets may leave HTTP: another upgrade could smuggle requests past what is closed here.",
    "map $http_upgrade $openclaw_upgrade {",
    'default "";',
    "~*^websocket$ websocket;",
    "}",
    "map $openclaw_upgrade $openclaw_connection {",
    'default "";',
    "websocket upgrade;",
    "}",
    "# What stands behind the ? may be a secret.",
    "map $request_uri $openclaw_path {",
    'default "";',
    '"~^(?<openclaw_bare_path>[^?]*)" $openclaw_bare_path;',
    "}",
    "map $status $openclaw_answer {",
    ...all.map(({ status, body }) => `${status === 500 ? "default" : status} '${body}';`),
    "}",
    "map $status $openclaw_retry {",
    'default "";',
    ...all.flatMap(({ status, retryAfterSeconds }) => (retryAfterSeconds ? [`${status} ${retryAfterSeconds};`] : [])),
    "}",
    ...stickyMaps(site),
    // What bans guessers reads these fields in this order.
    "log_format openclaw escape=json",
    `'{"time":"$time_iso8601","address":"$remote_addr","method":"$request_method","path":"$openclaw_path","status":"$status",'`,
    `'"bytes":$body_bytes_sent,"seconds":$request_time,"protocol":"$server_protocol","upstream":"$upstream_addr",'`,
    `'"upstreamStatus":"$upstream_status","upstreamSeconds":"$upstream_response_time",'`,
    `'"requestId":"$upstream_http_x_request_id","agent":"$http_user_agent"}';`,
    "limit_conn_zone $binary_remote_addr zone=openclaw_address:10m;",
    ...upstreamBlock(site),
  ];
}

function stickyMaps({ balance, tls }: Site): string[] {
  if (balance !== "cookie") return [];
  const secure = tls === "none" ? "" : "; Secure";
  return [
    "# A client without the cookie is given one, and the gateway follows from it.",
    "map $cookie_GATEWAY_ID $openclaw_sticky {",
    "default $request_id;",
    '"~^[0-9a-f]{32}$" $cookie_GATEWAY_ID;',
    "}",
    "map $cookie_GATEWAY_ID $openclaw_new_cookie {",
    `default "GATEWAY_ID=$request_id; Path=/; HttpOnly; SameSite=Lax${secure}";`,
    '"~^[0-9a-f]{32}$" "";',
    "}",
  ];
}

function upstreamBlock(site: Site): string[] {
  if (site.upstreams.length === 0) throw new Error("renderNginx: there is no gateway");
  const group = upstreamGroup("openclaw_gateways", site, "$binary_remote_addr");
  if (!relays(site)) return group;
  const relay = ["upstream openclaw_relay {", `server 127.0.0.1:${site.relayPort} max_fails=0;`, "}"];
  return [...group, ...relay, ...upstreamGroup("openclaw_gateways_now", site, "$http_x_forwarded_for")];
}

function upstreamGroup(name: string, { upstreams, balance, gatewayKeepAliveMs }: Site, client: string): string[] {
  const methods = {
    "least-connections": "least_conn;",
    address: `hash ${client} consistent;`,
    cookie: "hash $openclaw_sticky consistent;",
  };
  return [
    `upstream ${name} {`,
    `zone ${name} 128k;`,
    methods[balance],
    ...upstreams.map(({ id, host, port, weight, state }) => {
      const share = weight && weight !== 1 ? ` weight=${weight}` : "";
      const address = host.includes(":") ? `[${host}]` : host;
      return `server ${address}:${port}${share} max_fails=1 fail_timeout=2s${state === "draining" ? " down" : ""}; # ${id}`;
    }),
    "keepalive 64;",
    "keepalive_requests 10000;",
    "# Sooner than the gateway does it: a request on a connection that was just closed would be lost.",
    `keepalive_timeout ${Math.max(1, Math.floor(gatewayKeepAliveMs / 1000) - 15)}s;`,
    "}",
  ];
}
