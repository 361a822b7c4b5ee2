/** Pure: the proxy's files on a server, with what checks them and puts them in force. */
import { renderCaddy } from "../../render/proxy/caddy.ts";
import { renderNginx } from "../../render/proxy/nginx.ts";
import { renderNginxMain } from "../../render/proxy/nginx-main.ts";
import { type Site, siteOf } from "../../render/proxy/site.ts";
import type { Machine } from "../../render/system/machine.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import { tlsFilesOf } from "./certificate.ts";
import type { ServerFacts } from "./facts.ts";
import { acmeWebroot, nginxVersion } from "./machine.ts";
import type { ServerFile } from "./server-files.ts";

const nginxMain = "/etc/nginx/nginx.conf";
const caddyfile = "/etc/caddy/Caddyfile";
/** Sites of others beside ours. */
const caddySites = "/etc/caddy/conf.d/*.caddy";
/** For SPEC's 1000 connections at a proxy that needs two for each, on one core. */
const leastConnections = 4096;

/** What somebody else set up, and what becomes of it, in words for a preview. */
export function foreignProxy({ server }: ProxySettings, facts: ServerFacts): string | undefined {
  if (server === "caddy" && facts.foreignCaddyfile && !facts.files[caddyfile])
    return `${caddyfile} is somebody else's: it is replaced until destroy brings it back, and its sites are not served meanwhile. To keep them, move each to a file ${caddySites} first, without global options, and with a tls line of its own; those are served beside ours`;
  const connections = facts.foreignNginx?.connections ?? leastConnections;
  if (server === "nginx" && !facts.files[nginxMain] && connections < leastConnections)
    return `${nginxMain} is somebody else's and stays as it is, with ${connections} worker_connections: a client with a stream takes two; raise it to ${leastConnections} or more`;
  return undefined;
}

export function proxyFiles(proxy: ProxySettings, machine: Machine, facts: ServerFacts): ServerFile[] {
  const { host, port } = machine.gateway;
  const site = siteOf(proxy, {
    upstreams: [{ id: "gateway", host, port, state: "up" }],
    tlsFiles: tlsFilesOf(proxy),
    acmeWebroot,
    ipv6: machine.ipv6,
  });
  const root = { mode: "0644", owner: "root:root" };
  if (proxy.server === "caddy") return caddyFiles(site, root);
  const accessLogPath = machine.proxy.accessLog;
  const errorLogPath = "/var/log/nginx/openclaw-error.log";
  const main = facts.foreignNginx === undefined || facts.files[nginxMain] ? renderNginxMain() : {};
  const files = renderNginx(site, {
    layout: "site",
    version: nginxVersion(facts),
    defaultServer: !facts.foreignDefault,
    accessLogPath,
    errorLogPath,
  });
  return Object.entries({ ...main, ...files }).map(([path, content]) => ({
    ...root,
    path,
    content,
    check: "nginx -t -q",
    reload: [
      "systemctl enable nginx",
      "if systemctl is-active -q nginx; then systemctl reload nginx; else systemctl restart nginx; fi",
    ],
    removed: "if systemctl is-active -q nginx && nginx -t -q; then systemctl reload nginx; fi",
  }));
}

function caddyFiles(site: Site, root: { mode: string; owner: string }): ServerFile[] {
  // Its log goes to the journal, which is bounded.
  const files = Object.entries(renderCaddy(site, { path: caddyfile, sites: caddySites })).map(([path, content]) => ({
    ...root,
    path,
    content,
    check: "caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile",
    reload: ["systemctl enable caddy", "systemctl is-active -q caddy && systemctl reload caddy || systemctl restart caddy"],
    removed: "systemctl try-restart caddy",
  }));
  const folder = [
    "[Service]",
    "# Where it takes orders: a socket in a folder of its own.",
    "RuntimeDirectory=caddy",
    "RuntimeDirectoryMode=0700",
    "",
  ];
  return [
    {
      ...root,
      path: "/etc/systemd/system/caddy.service.d/openclaw.conf",
      content: folder.join("\n"),
      reload: ["systemctl daemon-reload"],
      removed: "systemctl daemon-reload",
    },
    ...files,
  ];
}
