/** The target `vm`: a server that is reached by SSH, with the gateway as a service behind a proxy. */
import { randomBytes } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { createGatewayToken } from "../components/gateway-token.ts";
import { Base } from "../components/vm/base.ts";
import { acmeSecrets, Certificate, createAcmeCertificate } from "../components/vm/certificate.ts";
import { driftOf, type ServerFacts } from "../components/vm/facts.ts";
import { hostOf } from "../components/vm/host.ts";
import { redisPasswordKey, withLocalRedis } from "../components/vm/local-redis.ts";
import {
  machineOf,
  ofProxy,
  redisPasswordFile,
  redisPort,
  systemUser,
  unsupported,
  wantedPackages,
} from "../components/vm/machine.ts";
import { foreignProxy, proxyFiles } from "../components/vm/proxy-files.ts";
import { ServerRelease } from "../components/vm/release.ts";
import { revisionOf } from "../components/vm/revision.ts";
import { inspectServer, routeTo } from "../components/vm/server.ts";
import { createSecrets, type ServerFile, ServerFiles } from "../components/vm/server-files.ts";
import { ServerGateway } from "../components/vm/server-gateway.ts";
import { type Route, SshProblem } from "../components/vm/ssh.ts";
import { userDataOf } from "../components/vm/user-data.ts";
import { buildRelease } from "../release/index.ts";
import { renderOpenclawConfig } from "../render/openclaw-config.ts";
import { renderSystem } from "../render/system/index.ts";
import type { Machine, SystemFile } from "../render/system/machine.ts";
import type { Settings } from "../settings.ts";
import type { ProxySettings } from "../settings-proxy.ts";
import { type VmSettings, vmSettings } from "../settings-vm.ts";
import type { StackOutputs } from "./target.ts";

// biome-ignore lint/suspicious/noTemplateCurlyInString: the gateway reads this variable, which systemd sets
const credentials = "${CREDENTIALS_DIRECTORY}";

/** @throws RunError, shown without a stack trace, where the server cannot be reached or set up */
export async function deployVm(settings: Settings): Promise<StackOutputs> {
  const vm = settings.vm ?? vmSettings.parse({});
  const keepData = settings.written.keepData !== false;
  const token = settings.gatewayToken ?? createGatewayToken("gateway-token");
  const redisPassword = vm.redis ? createGatewayToken("redis-password") : undefined;
  const served = behindProxy(vm.redis ? withLocalRedis(settings, redisPort) : settings);
  const { config, secretFiles } = renderOpenclawConfig(served, credentials);
  if (vm.host === undefined) {
    pulumi.log.info("vm.host is not set yet: this renders user data for the server's first boot, and connects to nothing");
    const userData = userDataOf(settings, vm, Object.keys(secretFiles));
    return { url: "", token: pulumi.secret(token), configPath: "", logs: "", userData };
  }
  const { route, facts } = await lookAt(vm, settings);
  const machine = machineOf(settings, vm, facts, Object.keys(secretFiles));
  const { paths } = machine;
  const release = buildRelease(machine.arch === "arm64" ? "linux-arm64" : "linux-x64");

  const host = hostOf(route, facts.installation ?? randomBytes(4).toString("hex"));
  const secretInputs: { [name: string]: pulumi.Input<string> } = {};
  for (const [file, key] of Object.entries(secretFiles)) {
    if (key === "gatewayToken") secretInputs[file] = token;
    else if (key === redisPasswordKey && redisPassword) secretInputs[file] = redisPassword;
    else secretInputs[file] = pulumi.secret(settings.secrets[key] ?? "");
  }
  if (redisPassword) secretInputs[redisPasswordFile] = redisPassword;
  Object.assign(secretInputs, acmeSecrets(settings.proxy, settings.secrets));
  const base = new Base("base", {
    host,
    facts,
    packages: wantedPackages(machine, settings.proxy),
    user: systemUser,
    stateDirectory: paths.state,
    keepData,
  });
  const secrets = createSecrets(host, facts, secretInputs, { dependsOn: [base.user] });
  const configText = `${JSON.stringify(config, null, 2)}\n`;
  const configFile = { path: `${paths.etc}/openclaw.json`, mode: "0640", owner: `root:${systemUser}`, content: configText };
  // Whoever came here may use sudo already, and must be able to until the end of a destroy.
  const files = renderSystem(machine).filter(({ path }) => !path.startsWith("/etc/sudoers.d/"));
  const units = files.filter(({ path }) => /\/openclaw-gateway[^/]*$/.test(path));
  const system = new ServerFiles(
    "system",
    { host, facts, files: [...files.filter((file) => !ofProxy(file)).map(serverFile), configFile] },
    { dependsOn: [base.packages, secrets] },
  );
  const certificate = new Certificate(
    "certificate",
    { host, facts, proxy: settings.proxy, address: route.host, secrets: settings.secrets },
    { dependsOn: [system.settled] },
  );
  const proxy = new ServerFiles(
    "proxy",
    { host, facts, files: [...proxyFiles(settings.proxy, machine, facts), ...files.filter(ofProxy).map(serverFile)] },
    { dependsOn: certificate.there.length > 0 ? certificate.there : [system.settled] },
  );
  const unpacked = new ServerRelease("release", { host, facts, release }, { dependsOn: [base.agent] });
  const gateway = new ServerGateway(
    "gateway",
    {
      host,
      facts,
      release: release.id,
      keepReleases: vm.keepReleases,
      stateDirectory: paths.state,
      user: systemUser,
      units: unitsOf(machine),
      started: revisionOf(units.map(({ content }) => content)),
      revision: pulumi.interpolate`${secrets.stdout} ${revisionOf([configText])}`,
    },
    { dependsOn: [system.settled, proxy.settled, unpacked] },
  );
  createAcmeCertificate(host, settings.proxy, files, { dependsOn: [gateway] });
  return {
    url: publicUrl(settings.proxy, route.host),
    token: pulumi.secret(token),
    configPath: configFile.path,
    logs: `ssh ${route.user}@${route.host}${route.port === 22 ? "" : ` -p ${route.port}`} journalctl -u openclaw-gateway`,
  };
}

async function lookAt(vm: VmSettings, settings: Settings): Promise<{ route: Route; facts: ServerFacts }> {
  try {
    const route = routeTo(vm, settings.secrets);
    const began = performance.now();
    const facts = await inspectServer(route, []);
    pulumi.log.info(
      `${route.host} was looked at in one round trip (${Math.round(performance.now() - began)} ms); each change is one more`,
    );
    const why = unsupported(facts);
    if (why) throw new pulumi.RunError(why);
    for (const { what, how } of driftOf(facts)) pulumi.log.warn(`${route.host}: ${what} ${how}; up puts it right`);
    const foreign = foreignProxy(settings.proxy, facts);
    if (foreign) pulumi.log.warn(`${route.host}: ${foreign}`);
    return { route, facts };
  } catch (error) {
    if (error instanceof SshProblem) throw new pulumi.RunError(error.message);
    throw error;
  }
}

/** The proxy stands in front of it on this machine: what it says of a client's address is believed. */
function behindProxy(settings: Settings): Settings {
  const { written } = settings;
  const gateway = typeof written.gateway === "object" && written.gateway !== null ? written.gateway : {};
  return { ...settings, written: { ...written, gateway: { trustedProxies: ["127.0.0.1"], ...gateway } } };
}

function serverFile(file: SystemFile): ServerFile {
  const isUnit = file.path.startsWith("/etc/systemd/system/");
  return { ...file, ...(isUnit ? { removed: "systemctl daemon-reload" } : {}) };
}

/** Services of others that must run, too. */
function unitsOf({ proxy, fail2ban, redis }: Machine): string[] {
  return [
    ...(proxy.kind === "none" ? [] : [`${proxy.kind}.service`]),
    ...(fail2ban ? ["fail2ban.service"] : []),
    ...(redis ? ["openclaw-redis.service"] : []),
  ];
}

function publicUrl({ names, tls, ports }: ProxySettings, address: string): string {
  const plain = tls.mode === "none";
  const port = plain ? ports.http : ports.https;
  const name = names[0] ?? address;
  const shown = name.includes(":") ? `[${name}]` : name;
  return `${plain ? "http" : "https"}://${shown}${port === (plain ? 80 : 443) ? "" : `:${port}`}`;
}
