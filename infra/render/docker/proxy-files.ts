/** Pure: the files of nginx and HAProxy in their containers, and the scripts that run them. */
import type { ProxySettings } from "../../settings-proxy.ts";
import { renderHaproxy } from "../proxy/haproxy.ts";
import { renderNginx } from "../proxy/nginx.ts";
import { siteOf, type Upstream } from "../proxy/site.ts";
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
  const site = siteOf(
    { ...proxy, server: "nginx", ipv6: false },
    {
      upstreams: balancer === "haproxy" ? [{ id: "haproxy", host: "haproxy", port: haproxyPort, state: "up" }] : upstreams,
      listen: proxy.tls.mode === "none" ? { http: proxyPorts.http } : { http: proxyPorts.http, https: proxyPorts.https },
      publicHttpsPort: proxy.tls.mode === "none" ? proxy.ports.http : proxy.ports.https,
      ...(proxy.tls.mode === "none"
        ? {}
        : { tlsFiles: { certificate: `${places.tls}/fullchain.pem`, key: `${places.tls}/privkey.pem` } }),
      acmeWebroot: places.acme,
      alivePort: proxyPorts.alive,
      gatewayKeepAliveMs,
    },
  );
  const nginxFolder = `${places.proxy}/nginx`;
  const nginx = renderNginx(site, { layout: "whole", root: nginxFolder, runtimeFolder: "/tmp", ...containerLogs });
  const names = balancer === "haproxy" ? ["haproxy"] : gateways;
  return {
    nginx: {
      ...below(nginxFolder, nginx),
      "watch.sh": watchScript({
        what: "nginx",
        check: `nginx -t -q -c ${nginxFolder}/nginx.conf`,
        run: `nginx -c ${nginxFolder}/nginx.conf -g 'daemon off;'`,
        watched: [`${nginxFolder}/*.conf`, `${nginxFolder}/*/*.conf`, `${places.tls}/*.pem`],
        names,
        reload: "HUP",
        stop: "QUIT",
      }),
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
  const rendered = renderHaproxy(site, { path, role: "balancer", adminSocket: "/tmp/haproxy.sock", resolver: "127.0.0.11:53" });
  return {
    ...below(folder, rendered),
    "watch.sh": watchScript({
      what: "haproxy",
      check: `haproxy -c -q -f ${path}`,
      run: `haproxy -W -db -f ${path}`,
      watched: [path],
      names: [],
      reload: "USR2",
      stop: "USR1",
    }),
    "alive.sh": aliveScript(proxyPorts.alive),
  };
}

function below(folder: string, files: { [path: string]: string }): { [path: string]: string } {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [path.slice(folder.length + 1), content]));
}

interface Watch {
  what: string;
  check: string;
  run: string;
  watched: string[];
  /** An upstream that was started anew may have another address. */
  names: string[];
  reload: string;
  stop: string;
}

/** POSIX sh: it is in every image. A configuration that is refused is said once, and the one before it stays. */
function watchScript({ what, check, run, watched, names, reload, stop }: Watch): string {
  const addresses = names.map((name) => `getent hosts ${name};`).join(" ");
  return `#!/bin/sh
# Runs ${what}, and lets it read its files again when they change. Streams that run go on.
state() { { cat ${watched.join(" ")}; ${addresses} } 2>/dev/null | cksum; }
known=$(state)
${run} &
child=$!
trap 'kill -${stop} $child 2>/dev/null; wait $child; exit $?' TERM INT QUIT USR1
while kill -0 $child 2>/dev/null; do
  sleep 1 & wait $!
  now=$(state)
  [ "$now" = "$known" ] && continue
  # What is being written is looked at when it is whole.
  sleep 0.2
  [ "$(state)" = "$now" ] || continue
  known=$now
  if ${check}; then
    kill -${reload} $child
    echo "${what}: its files or its upstreams changed, and are read"
  else
    echo "${what}: its files changed and are refused; it goes on with those from before" >&2
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
