/** Pure: what the renderers of system files must know, from the settings and from what the server told of itself. */
import { certbotDns } from "../../render/certbot-dns.ts";
import { type CertbotFacts, type Machine, mebibyte, type SystemFile, usualPaths } from "../../render/system/machine.ts";
import { packagesOf } from "../../render/system/packages.ts";
import type { CheckedSettings } from "../../settings.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import type { VmSettings } from "../../settings-vm.ts";
import type { ServerFacts } from "./facts.ts";

/** Not below /etc/openclaw, which only the gateway may enter. */
export const tlsFolder = "/etc/ssl/openclaw";
export const acmeHome = "/var/lib/openclaw-acme";
/** Where certbot puts the answers of http-01. */
export const acmeWebroot = `${acmeHome}/webroot`;
export const systemUser = "openclaw";
export const accessLog = "/var/log/openclaw/access.log";
/** Names of secrets that certbot reads. */
export const acmeFiles = { dns: "acme-dns", account: "acme-account" } as const;
/** Beside any other Redis. */
export const redisPort = 6390;
export const redisPasswordFile = "redis-password";

/** The systems that are known to work, with their nginx. */
const systems: { [os: string]: { nginx: string } } = {
  "debian 12": { nginx: "1.22.1" },
  "debian 13": { nginx: "1.26.3" },
  "ubuntu 22.04": { nginx: "1.18.0" },
  "ubuntu 24.04": { nginx: "1.24.0" },
};

/** Why this server cannot be set up, whatever the settings are; undefined where it can. */
export function unsupported({ os, arch, init }: ServerFacts): string | undefined {
  if (!systems[`${os.id} ${os.version}`]) {
    return `the server runs ${os.id} ${os.version}; Debian 12 and 13, Ubuntu 22.04 and 24.04 are supported`;
  }
  if (arch !== "amd64" && arch !== "arm64") return `the server's architecture is ${arch}; amd64 and arm64 are supported`;
  if (init !== "systemd") return `process 1 of the server is ${init}, not systemd: a container, or another init system`;
  return undefined;
}

export const nginxVersion = ({ os }: ServerFacts): string => systems[`${os.id} ${os.version}`]?.nginx ?? "1.18.0";

export function machineOf(settings: CheckedSettings, vm: VmSettings, facts: ServerFacts, secrets: string[]): Machine {
  const { gateway, drain, workers } = settings;
  const proxy = settings.proxy;
  const withTls = proxy.tls.mode !== "none";
  return {
    os: { id: facts.os.id === "ubuntu" ? "ubuntu" : "debian", version: facts.os.version },
    arch: facts.arch === "arm64" ? "arm64" : "amd64",
    memoryBytes: facts.memoryTotalMb * mebibyte,
    cpus: facts.cpus,
    ipv6: proxy.ipv6,
    login: vm.user,
    ssh: { ports: facts.sshPorts },
    user: systemUser,
    paths: usualPaths,
    gateway: {
      host: "127.0.0.1",
      port: gateway.port,
      command: "bin/openclaw-gateway",
      workers: workers === "auto" ? facts.cpus : workers,
      secrets,
      drain: { delayMs: drain.delayMs, timeoutMs: drain.timeoutMs },
      memoryLimitBytes: vm.memoryMb === undefined ? undefined : vm.memoryMb * mebibyte,
      environment: {},
    },
    proxy: {
      kind: proxy.server,
      watched: watchedFiles(proxy),
      check:
        proxy.server === "nginx"
          ? "/usr/sbin/nginx -t -q"
          : "/usr/bin/caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile",
      certbot: certbotOf(proxy, `${usualPaths.etc}/secrets`),
      accessLog: proxy.accessLog && proxy.server === "nginx" ? accessLog : undefined,
      httpPort: proxy.ports.http,
      httpsPort: withTls ? proxy.ports.https : undefined,
    },
    firewall: { kind: vm.firewall, allowedPorts: vm.allowedPorts },
    fail2ban: vm.fail2ban.enabled
      ? {
          maxRetry: vm.fail2ban.maxRetry,
          findTimeSeconds: vm.fail2ban.findTimeSeconds,
          banTimeSeconds: vm.fail2ban.banTimeSeconds,
          ignoreAddresses: vm.fail2ban.ignoreAddresses,
          source: "journal",
        }
      : undefined,
    sysctl: vm.sysctl,
    timeSync: vm.timeSync,
    unattendedUpgrades: vm.unattendedUpgrades,
    swapBytes: vm.swapMb * mebibyte,
    redis: vm.redis
      ? {
          port: redisPort,
          maxMemoryBytes: Math.min(256, Math.floor(facts.memoryTotalMb / 8)) * mebibyte,
          passwordFile: redisPasswordFile,
        }
      : undefined,
    vllm:
      vm.vllm.enabled && vm.vllm.model
        ? { ...vm.vllm, model: vm.vllm.model, apiKeyFile: undefined, hfTokenFile: undefined }
        : undefined,
    ollama: vm.ollama.enabled ? { binary: vm.ollama.binary, port: 11434 } : undefined,
  };
}

/** What makes the proxy read its files again; certificates of the owner's as well, which somebody else renews. */
function watchedFiles({ server, tls }: ProxySettings): string[] {
  const own = server === "nginx" ? ["/etc/nginx/conf.d"] : ["/etc/caddy/Caddyfile", "/etc/caddy/conf.d"];
  const files = tls.mode === "files" && tls.files ? [tls.files.certificate, tls.files.key] : [];
  const paths = files.flatMap((file) => (typeof file === "object" && "path" in file ? [file.path] : []));
  return [...own, tlsFolder, ...paths];
}

function certbotOf(proxy: ProxySettings, secretsFolder: string): CertbotFacts | undefined {
  const { server, names, tls } = proxy;
  if (server !== "nginx" || tls.mode !== "acme") return undefined;
  const { directory, email, caFile, externalAccount, checkSeconds } = tls.acme;
  const dns = certbotDns(proxy, `${secretsFolder}/${acmeFiles.dns}`);
  return {
    home: acmeHome,
    tls: tlsFolder,
    server: directory,
    arguments: [
      ...(email ? ["--email", email] : ["--register-unsafely-without-email"]),
      ...(dns
        ? dns.options.flatMap(([option, value]) => [`--${option}`, value])
        : ["--webroot", "--webroot-path", acmeWebroot]),
      ...names.flatMap((name) => ["--domain", name]),
    ],
    environment: { ...dns?.environment },
    caFile,
    accountFile: externalAccount ? `${secretsFolder}/${acmeFiles.account}` : undefined,
    checkSeconds,
  };
}

/** Looks after the proxy's files, so it comes after them. */
export const ofProxy = ({ path }: SystemFile): boolean =>
  /openclaw-proxy-reload|openclaw-certificate|renew-certificate/.test(path);

/** What the system files rely on, and what the certificate is made or fetched with. */
export function wantedPackages(machine: Machine, { tls }: ProxySettings): string[] {
  const dns = tls.mode === "acme" ? tls.acme.dns : undefined;
  return [...packagesOf(machine), "openssl", ...(dns ? [`python3-certbot-dns-${dns.provider}`] : [])];
}
