/** Pure: settings to the containers of a Docker host. Names, paths and ports inside them are chosen here. */
import type { CheckedSettings } from "../../settings.ts";
import { type DockerSettings, type ImageSetting, megabytes } from "../../settings-docker.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import type { ContainerShape } from "./container.ts";

/** Where things lie in the containers. */
export const places = {
  config: "/etc/openclaw",
  secrets: "/run/openclaw/secrets",
  data: "/var/lib/openclaw",
  proxy: "/etc/openclaw-proxy",
  tls: "/etc/openclaw-tls",
  acme: "/var/lib/acme-challenge",
  service: "/run/openclaw/service",
  // Not the image's own /data: Docker would give an empty volume the owner of that.
  redis: "/var/lib/openclaw-redis",
} as const;

/** Inside the network of the containers, where nobody needs a right for them. */
export const proxyPorts = { http: 8080, https: 8443, alive: 8081, relay: 8082 } as const;
export const serviceUser = 1000;
const user = `${serviceUser}:${serviceUser}`;

export interface ContainersInput {
  docker: DockerSettings;
  proxy: ProxySettings;
  gatewayPort: number;
  /** The gateway's image as it is named on the host. */
  gatewayImage: string;
  /** Of the settings that a gateway reads only at its start. */
  gatewayRevision: string;
  /** Addresses of model servers lead to the host. */
  reachesHost: boolean;
  drainMs: number;
  redis: boolean;
  /** The server of models wants this key of its clients. */
  vllmKey: boolean;
}

export function imageName({ name, digest }: Pick<ImageSetting, "name" | "digest">, mirror: string | undefined): string {
  const first = name.split("/")[0] ?? "";
  const hasRegistry = name.includes("/") && /[.:]|^localhost$/.test(first);
  const full = mirror && !hasRegistry ? `${mirror}/${name.includes("/") ? name : `library/${name}`}` : name;
  return digest ? `${full.replace(/:[\w.-]+$/, "")}@${digest}` : full;
}

export function gatewayShapes(input: ContainersInput): ContainerShape[] {
  return Array.from({ length: input.docker.gateways }, (_, index) => gatewayShape(input, index + 1));
}

function gatewayShape(input: ContainersInput, number: number): ContainerShape {
  const { docker, gatewayPort, gatewayImage, gatewayRevision, reachesHost, drainMs } = input;
  const limits = containerLimits(docker.limits.gateway);
  return {
    service: `gateway-${number}`,
    image: gatewayImage,
    user,
    environment: gatewayEnvironment(limits.memoryMb, gatewayPort),
    networks: ["edge", "internal"],
    volumes: [
      { from: "config", path: places.config, readOnly: true },
      { from: "secrets", path: places.secrets, readOnly: true },
      { from: `data-${number}`, path: places.data, readOnly: false },
    ],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777" },
    limits,
    health: {
      test: ["CMD", "/opt/openclaw/bin/node", "/opt/openclaw/gateway/health.js"],
      intervalSeconds: 3,
      // It starts a process, which takes its time where the host is busy.
      timeoutSeconds: 15,
      retries: 5,
      startPeriodSeconds: 60,
    },
    readySeconds: 240,
    stopSeconds: Math.ceil(drainMs / 1000),
    readOnlyRoot: true,
    reachesHost,
    revision: gatewayRevision,
    logs: docker.logs,
  };
}

function gatewayEnvironment(memoryMb: number, port: number): { [name: string]: string } {
  return {
    NODE_OPTIONS: `--max-old-space-size=${Math.floor(memoryMb * 0.75)}`,
    OPENCLAW_CONFIG_PATH: `${places.config}/openclaw.json`,
    OPENCLAW_GATEWAY_PORT: String(port),
    OPENCLAW_STATE_DIR: places.data,
  };
}

/** What operators run beside the gateways; it reads their config and nothing else. */
export function toolsShape(input: ContainersInput): ContainerShape {
  const { docker, gatewayImage, gatewayPort } = input;
  const limits = containerLimits(docker.limits.gateway);
  return {
    service: "openclaw-cli",
    image: gatewayImage,
    entrypoint: ["/opt/openclaw/bin/openclaw-gateway"],
    user,
    environment: { ...gatewayEnvironment(limits.memoryMb, gatewayPort), OPENCLAW_STATE_DIR: "/tmp/openclaw" },
    networks: ["edge", "internal"],
    volumes: [
      { from: "config", path: places.config, readOnly: true },
      { from: "secrets", path: places.secrets, readOnly: true },
    ],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777" },
    limits,
    health: noHealth,
    readySeconds: 0,
    stopSeconds: 10,
    readOnlyRoot: true,
    profile: "tools",
    logs: docker.logs,
  };
}

export function nginxShape({ docker, proxy }: ContainersInput): ContainerShape {
  const plain = proxy.tls.mode === "none";
  const ownFiles = tlsPaths(proxy);
  const tlsVolumes = ownFiles
    ? [
        { from: ownFiles.certificate, path: `${places.tls}/fullchain.pem`, readOnly: true },
        { from: ownFiles.key, path: `${places.tls}/privkey.pem`, readOnly: true },
      ]
    : plain
      ? []
      : [{ from: "tls", path: places.tls, readOnly: true }];
  const pairs = [[proxy.ports.http, proxyPorts.http], ...(plain ? [] : [[proxy.ports.https, proxyPorts.https]])];
  return {
    service: "nginx",
    image: imageName(docker.images.nginx, docker.mirror),
    entrypoint: ["/bin/sh", `${places.proxy}/nginx/watch.sh`],
    // Files of the host are its root's; without any capability root can read these and do nothing else.
    user: ownFiles ? "0:0" : user,
    networks: ["edge", "internal"],
    ports: docker.addresses.flatMap((address) =>
      pairs.map(([external = 0, internal = 0]) => ({ address, external, internal })),
    ),
    volumes: [
      { from: "proxy", path: places.proxy, readOnly: true },
      ...tlsVolumes,
      ...(usesHttpChallenge(proxy) ? [{ from: "acme", path: places.acme, readOnly: true }] : []),
    ],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=256m,mode=1777" },
    limits: containerLimits(docker.limits.nginx),
    health: proxyHealth("nginx"),
    readySeconds: 60,
    stopSeconds: 30,
    stopSignal: "SIGQUIT",
    readOnlyRoot: true,
    logs: docker.logs,
  };
}

/** By the script that lies beside its configuration. */
const proxyHealth = (program: "nginx" | "haproxy"): ContainerShape["health"] => ({
  test: ["CMD", "/bin/sh", `${places.proxy}/${program}/alive.sh`],
  intervalSeconds: 2,
  timeoutSeconds: 5,
  retries: 5,
  startPeriodSeconds: 30,
});

export function haproxyShape({ docker }: ContainersInput): ContainerShape {
  return {
    service: "haproxy",
    image: imageName(docker.images.haproxy, docker.mirror),
    entrypoint: ["/bin/sh", `${places.proxy}/haproxy/watch.sh`],
    user,
    networks: ["internal"],
    volumes: [{ from: "proxy", path: places.proxy, readOnly: true }],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777" },
    limits: containerLimits(docker.limits.haproxy),
    health: proxyHealth("haproxy"),
    readySeconds: 60,
    stopSeconds: 30,
    stopSignal: "SIGUSR1",
    readOnlyRoot: true,
    logs: docker.logs,
  };
}

export function redisShape({ docker }: ContainersInput): ContainerShape {
  return {
    service: "redis",
    image: imageName(docker.images.redis, docker.mirror),
    entrypoint: ["redis-server", `${places.service}/redis.conf`],
    user,
    networks: ["internal"],
    volumes: [
      { from: "redis-config", path: places.service, readOnly: true },
      { from: "redis", path: places.redis, readOnly: false },
    ],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777" },
    limits: containerLimits(docker.limits.redis),
    // Without the password it answers that one is needed: it lives.
    health: { test: ["CMD", "redis-cli", "ping"], intervalSeconds: 2, timeoutSeconds: 5, retries: 5, startPeriodSeconds: 30 },
    readySeconds: 60,
    stopSeconds: 30,
    readOnlyRoot: true,
    logs: docker.logs,
  };
}

export function usesHttpChallenge({ tls }: ProxySettings): boolean {
  return tls.mode === "acme" && tls.acme.challenge === "http-01";
}

/** Files that lie on the host already. */
export function tlsPaths({ tls }: ProxySettings): { certificate: string; key: string } | undefined {
  if (tls.mode !== "files" || !tls.files) return undefined;
  const { certificate, key } = tls.files;
  if (typeof certificate === "object" && "path" in certificate && "path" in key) {
    return { certificate: certificate.path, key: key.path };
  }
  return undefined;
}

const noHealth = { test: ["NONE"], intervalSeconds: 0, timeoutSeconds: 0, retries: 0, startPeriodSeconds: 0 };

function containerLimits({ memory, cpus, pids, files }: DockerSettings["limits"]["gateway"]) {
  return { memoryMb: megabytes(memory), cpus, pids, files };
}

/** Redis is there where gateways are to share something, and nobody named another one. */
export function needsRedis(docker: DockerSettings, { written }: Pick<CheckedSettings, "written">): boolean {
  const { cluster } = written;
  const another = typeof cluster === "object" && cluster !== null && "redisUrl" in cluster;
  return docker.redis.enabled ?? (docker.gateways > 1 && !another);
}
