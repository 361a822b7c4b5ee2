/** Pure: the files of nginx and HAProxy in their containers, and the scripts that run them. */
import type { ProxySettings } from "../../settings-proxy.ts";
import { renderHaproxy } from "../proxy/haproxy.ts";
import { newerLines, newerSince, renderNginx } from "../proxy/nginx.ts";
import { siteOf, type Upstream } from "../proxy/site.ts";
import { renderNginxWatch } from "../proxy/watch.ts";
import { places, proxyPorts } from "./containers.ts";

export interface ProxyFilesInput {
  proxy: ProxySettings;
  /** Names of the gateways' containers, in order. */
  gateways: string[];
  gatewayPort: number;
  balancer: "nginx" | "haproxy";
  gatewayKeepAliveMs?: number;
}

const haproxyPort = 8080;
/** Of all images that are to be had; what newer ones know beyond it is found out when the container starts. */
const oldestNginx = "1.20.0";

/** Path below the proxy's volume -> content. */
export function renderProxyFiles(input: ProxyFilesInput): {
  nginx: { [path: string]: string };
  haproxy: { [path: string]: string };
} {
  const { proxy, gateways, gatewayPort, balancer, gatewayKeepAliveMs } = input;
  const upstreams: Upstream[] = gateways.map((host, index) => ({
    id: `gateway-${index + 1}`,
    host,
    port: gatewayPort,
    state: "up",
  }));
  const tls =
    proxy.tls.mode === "none"
      ? undefined
      : { certificate: `${places.tls}/fullchain.pem`, key: `${places.tls}/privkey.pem`, names: proxy.names };
  const site = siteOf(
    { ...proxy, server: "nginx", ipv6: false },
    {
      upstreams: balancer === "haproxy" ? [{ id: "haproxy", host: "haproxy", port: haproxyPort, state: "up" }] : upstreams,
      listen: proxy.tls.mode === "none" ? { http: proxyPorts.http } : { http: proxyPorts.http, https: proxyPorts.https },
      publicHttpsPort: proxy.tls.mode === "none" ? proxy.ports.http : proxy.ports.https,
      tlsFiles: tls,
      acmeWebroot: places.acme,
      alivePort: proxyPorts.alive,
      // An HAProxy stays where it is.
      relayPort: balancer === "haproxy" ? undefined : proxyPorts.relay,
      gatewayKeepAliveMs,
    },
  );
  const nginxFolder = `${places.proxy}/nginx`;
  const newerFile = "/tmp/nginx-newer.conf";
  const nginx = renderNginx(site, {
    layout: "whole",
    root: nginxFolder,
    runtimeFolder: "/tmp",
    version: oldestNginx,
    newerFile,
    ...containerLogs,
  });
  const newer = { since: newerSince, file: newerFile, lines: newerLines };
  return {
    nginx: {
      ...below(nginxFolder, nginx),
      "watch.sh": renderNginxWatch({ configuration: `${nginxFolder}/nginx.conf`, watched: [nginxFolder], tls, newer }),
      "alive.sh": aliveScript(proxyPorts.alive),
    },
    haproxy: balancer === "haproxy" ? renderBalancer(input, upstreams) : {},
  };
}

const containerLogs = { accessLogPath: "/dev/stdout", errorLogPath: "stderr" } as const;

function renderBalancer({ proxy }: ProxyFilesInput, upstreams: Upstream[]): { [path: string]: string } {
  const folder = `${places.proxy}/haproxy`;
  const site = siteOf(
    { ...proxy, ipv6: false, tls: { ...proxy.tls, mode: "none" } },
    { upstreams, listen: { http: haproxyPort }, alivePort: proxyPorts.alive },
  );
  const path = `${folder}/haproxy.cfg`;
  const rendered = renderHaproxy(site, {
    path,
    role: "balancer",
    secureCookie: proxy.tls.mode !== "none",
    adminSocket: "/tmp/haproxy.sock",
    resolver: "127.0.0.11:53",
  });
  return {
    ...below(folder, rendered),
    "watch.sh": haproxyWatch(path),
    "alive.sh": aliveScript(proxyPorts.alive),
  };
}

function below(folder: string, files: { [path: string]: string }): { [path: string]: string } {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [path.slice(folder.length + 1), content]));
}

/** POSIX sh. A configuration that is refused is said once, and the one before it stays. HAProxy asks for addresses by itself. */
function haproxyWatch(path: string): string {
  return `#!/bin/sh
# Runs HAProxy, and lets it read its file again when that changes. Streams that run go on.
state() { cksum < ${path}; }
known=$(state)
haproxy -W -db -f ${path} &
child=$!
trap 'kill -USR1 $child 2>/dev/null; wait $child; exit $?' TERM INT QUIT USR1
while kill -0 $child 2>/dev/null; do
  sleep 1 & wait $!
  now=$(state)
  [ "$now" = "$known" ] && continue
  known=$now
  if haproxy -c -q -f ${path}; then
    kill -USR2 $child
    echo "haproxy-watch: the file changed: haproxy reads it again" >&2
  else
    echo "haproxy-watch: the change is broken, so the configuration of before stays" >&2
  fi
done
wait $child
`;
}

/** Images of nginx and HAProxy have no HTTP client in common; perl, curl, wget or bash is in each. */
function aliveScript(port: number): string {
  const url = `http://127.0.0.1:${port}/alive`;
  return `#!/bin/sh
if command -v curl >/dev/null; then exec curl -fsS -o /dev/null -m 4 ${url}; fi
if command -v wget >/dev/null; then exec wget -q -O /dev/null -T 4 ${url}; fi
if command -v bash >/dev/null; then
  exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port} && printf "GET /alive HTTP/1.0\\r\\n\\r\\n" >&3 && head -1 <&3 | grep -q " 200 "'
fi
exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new("127.0.0.1:${port}") or exit 1; print $s "GET /alive HTTP/1.0\\r\\n\\r\\n"; exit(<$s> =~ / 200 / ? 0 : 1)'
`;
}
