/** The target `docker`: gateways behind a proxy on a Docker host, each a container of its own. */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { RandomPassword } from "@pulumi/random";
import { DockerHost } from "../components/docker/host.ts";
import { DockerStack, type Service, type VolumeFiles } from "../components/docker/stack.ts";
import { createGatewayToken } from "../components/gateway-token.ts";
import { imageContext } from "../release/index.ts";
import { certbotShape, renderCertbotConfig, renewScript } from "../render/docker/certbot.ts";
import { containerName } from "../render/docker/container.ts";
import * as shapes from "../render/docker/containers.ts";
import { redisSecret, settingsForContainers, startRevision } from "../render/docker/gateway-config.ts";
import { ollamaShape, vllmSecretFiles, vllmShape } from "../render/docker/model-servers.ts";
import { renderProxyFiles } from "../render/docker/proxy-files.ts";
import { redisPasswordConfig, renderRedisConfig } from "../render/docker/service-files.ts";
import { renderOpenclawConfig } from "../render/openclaw-config.ts";
import type { Settings } from "../settings.ts";
import { type DockerSettings, dockerSettings } from "../settings-docker.ts";
import type { StackOutputs } from "./target.ts";

export function deployDocker(given: Settings): StackOutputs {
  const settings = { ...given, docker: given.docker ?? dockerSettings.parse({}) };
  const { docker: own, proxy } = settings;
  const redis = shapes.needsRedis(own, settings);
  const token = settings.gatewayToken ?? createGatewayToken("gateway-token");
  const redisPassword = redis ? new RandomPassword("redis-password", { length: 43, special: false }).result : pulumi.output("");
  const secret = (key: string): pulumi.Input<string> =>
    key === "gatewayToken" ? token : key === redisSecret ? redisPassword : pulumi.secret(settings.secrets[key] ?? "");

  const host = new DockerHost("host", { settings: own, secret: (id) => secret(`secret-${id}`) });
  const image = gatewayImage(host, own);
  const { config, secretFiles: files } = renderOpenclawConfig(settingsForContainers(settings, redis), shapes.places.secrets);
  const input: shapes.ContainersInput = {
    docker: own,
    proxy,
    gatewayPort: settings.gateway.port,
    gatewayImage: image.name,
    gatewayRevision: startRevision(config),
    reachesHost: JSON.stringify(config).includes("host.docker.internal"),
    drainMs: settings.drain.delayMs + settings.drain.timeoutMs + 5000,
    redis,
    vllmKey: settings.secrets["apiKey-vllm"] !== undefined,
  };
  const gateways = shapes.gatewayShapes(input);
  const stack = new DockerStack("stack", {
    host,
    settings: own,
    proxy,
    gatewayImage: image.resource,
    behind: servicesBehind(input, secret),
    gateways,
    gatewayFiles: [
      secretFiles("secrets", "secrets", mapValues(files, secret)),
      { name: "config", volume: "config", content: { file: "openclaw.json", text: json(config) }, mode: 0o444 },
    ],
    before: servicesBefore(
      input,
      gateways.map((shape) => containerName(own.project, shape)),
      secret,
      settings.http.keepAliveTimeoutMs,
    ),
    tools: own.tools ? shapes.toolsShape(input) : undefined,
  });
  return {
    url: publicUrl(settings, own),
    token: pulumi.secret(token),
    configPath: `${shapes.places.config}/openclaw.json`,
    logs: `docker compose -f ${stack.directory}/compose.yaml logs`,
  };
}

function gatewayImage(host: DockerHost, own: DockerSettings): { name: string; resource: docker.RemoteImage } {
  if (own.image) {
    const name = shapes.imageName(own.image, own.mirror);
    return { name, resource: host.image(name, own.platform) };
  }
  const platform = own.platform === "linux/arm64" ? "linux-arm64" : "linux-x64";
  const context = imageContext({ platform, baseImage: shapes.imageName(own.images.base, own.mirror) });
  const name = `${own.project}-gateway:${context.hash}`;
  return { name, resource: host.build("gateway-image", name, context, own.platform) };
}

type Secret = (key: string) => pulumi.Input<string>;

function servicesBehind(input: shapes.ContainersInput, secret: Secret): Service[] {
  const { docker: own } = input;
  const services: Service[] = [];
  if (input.redis) {
    const password = pulumi.output(secret(redisSecret)).apply(redisPasswordConfig);
    const files: VolumeFiles[] = [
      { ...secretFiles("redis-password", "redis-config", { "password.conf": password }), shared: true },
      {
        name: "redis-config",
        volume: "redis-config",
        shared: true,
        content: { file: "redis.conf", text: renderRedisConfig(own) },
        mode: 0o444,
      },
    ];
    services.push({ shape: shapes.redisShape(input), files });
  }
  const vllm = vllmShape(input);
  if (vllm) {
    const files = {
      ...(own.vllm?.huggingFaceToken ? { [vllmSecretFiles.token]: secret(`secret-${own.vllm.huggingFaceToken.id}`) } : {}),
      ...(input.vllmKey ? { [vllmSecretFiles.key]: secret("apiKey-vllm") } : {}),
    };
    // Without any capability its root reads what is its own, and nothing else.
    services.push({ shape: vllm, files: [{ ...secretFiles("vllm-secrets", "vllm-secrets", files), owner: 0 }] });
  }
  const ollama = ollamaShape(input);
  if (ollama) services.push({ shape: ollama, files: [] });
  return services;
}

function servicesBefore(
  input: shapes.ContainersInput,
  gateways: string[],
  secret: Secret,
  gatewayKeepAliveMs: number | undefined,
): Service[] {
  const { docker: own, proxy, gatewayPort } = input;
  const rendered = renderProxyFiles({ proxy, gateways, gatewayPort, balancer: own.balancer, gatewayKeepAliveMs });
  const proxyFiles = (service: "nginx" | "haproxy"): VolumeFiles => ({
    name: `${service}-config`,
    volume: "proxy",
    folder: service,
    content: { open: rendered[service] },
    mode: 0o444,
    reader: service,
  });
  const services: Service[] = [];
  if (own.balancer === "haproxy") services.push({ shape: shapes.haproxyShape(input), files: [proxyFiles("haproxy")] });
  services.push({ shape: shapes.nginxShape(input), files: [...ownCertificate(proxy, secret), proxyFiles("nginx")] });
  if (proxy.tls.mode === "acme") services.push(certbot(input, secret));
  return services;
}

function certbot(input: shapes.ContainersInput, secret: Secret): Service {
  const { dns, externalAccount } = input.proxy.tls.acme;
  const hmacKey = externalAccount ? pulumi.output(secret(`secret-${externalAccount.hmacKey.id}`)) : pulumi.output("");
  const files = {
    "cli.ini": hmacKey.apply((key) => renderCertbotConfig(input.proxy, key)),
    ...(dns?.credentials ? { "dns-credentials": secret(`secret-${dns.credentials.id}`) } : {}),
    "renew.sh": renewScript(input.proxy),
  };
  return { shape: certbotShape(input), files: [secretFiles("certbot-config", "certbot-config", files)] };
}

/** The user's own certificate, where the stack file or its secrets hold it. */
function ownCertificate(proxy: Settings["proxy"], secret: Secret): VolumeFiles[] {
  const { files, mode } = proxy.tls;
  if (mode !== "files" || !files || shapes.tlsPaths(proxy)) return [];
  const content = (value: string | { id: string } | { path: string }): pulumi.Input<string> =>
    typeof value === "string" ? value : "id" in value ? secret(`secret-${value.id}`) : "";
  const pair = { "fullchain.pem": content(files.certificate), "privkey.pem": content(files.key) };
  return [{ ...secretFiles("certificate", "tls", pair), shared: true, reader: "nginx" }];
}

function secretFiles(name: string, volume: string, files: { [file: string]: pulumi.Input<string> }): VolumeFiles {
  return { name, volume, content: { secret: pulumi.jsonStringify(files) }, mode: 0o400 };
}

function publicUrl({ proxy }: Settings, own: DockerSettings): string {
  const plain = proxy.tls.mode === "none";
  const port = plain ? proxy.ports.http : proxy.ports.https;
  const host = proxy.names[0] ?? (own.host.startsWith("unix:") ? "localhost" : new URL(own.host).hostname);
  const shown = host.includes(":") ? `[${host}]` : host;
  return `${plain ? "http" : "https"}://${shown}${port === (plain ? 80 : 443) ? "" : `:${port}`}`;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function mapValues<T>(map: { [key: string]: string }, change: (value: string) => T): { [key: string]: T } {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
