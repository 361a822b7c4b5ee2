/** What no single field can see: settings that contradict each other, and secrets in the wrong place. Works on what was written, right or wrong. */
import { type Fault, nearest } from "./settings-faults.ts";
import { referenceFaults } from "./settings-references.ts";

export interface Written {
  sections: { [section: string]: unknown };
  /** Names of the secret settings. */
  secretKeys: string[];
  targets: string[];
}

export function crossChecks(written: Written): Fault[] {
  return [
    checkTarget,
    checkVm,
    checkDocker,
    checkProviders,
    checkSecretKeys,
    checkAuth,
    checkDefaultModel,
    checkReferences,
  ].flatMap((check) => check(written));
}

function checkTarget({ sections, targets }: Written): Fault[] {
  const target = sections.target;
  if (typeof target !== "string" || targets.includes(target)) return [];
  return [
    { path: "target", message: `there is no target "${target}"${nearest(target, targets)}; targets: ${targets.join(", ")}` },
  ];
}

function checkVm({ sections }: Written): Fault[] {
  if (sections.target !== "vm") return [];
  const vm = section(sections.vm);
  const faults: Fault[] = [];
  if (vm.host === undefined && vm.mode !== "cloud-init") {
    faults.push({
      path: "vm.host",
      message: "is missing: name the server, or render its user data first: vm.mode: cloud-init",
    });
  }
  if (vm.host !== undefined && vm.hostKey === undefined) {
    const why = "without the server's public key anybody could answer in its place and be given your secrets";
    const fix = "print it on the server: cat /etc/ssh/ssh_host_ed25519_key.pub";
    faults.push({ path: "vm.hostKey", message: `is missing: ${why}; ${fix}` });
  }
  if (
    vm.host === undefined &&
    vm.mode === "cloud-init" &&
    !(Array.isArray(vm.authorizedKeys) && vm.authorizedKeys.length > 0)
  ) {
    faults.push({
      path: "vm.authorizedKeys",
      message: "is empty: without your public key nobody could log in to the new server",
    });
  }
  const vllm = section(vm.vllm);
  if (vllm.enabled === true && vllm.model === undefined) {
    faults.push({ path: "vm.vllm.model", message: "is missing: name the model that vLLM serves" });
  }
  if (section(sections.gateway).bind !== undefined && section(sections.gateway).bind !== "loopback") {
    const fix = "leave it out: the proxy in front of the gateway is what others reach";
    faults.push({ path: "gateway.bind", message: `must be loopback on a server; ${fix}` });
  }
  return faults;
}

function checkDocker({ sections }: Written): Fault[] {
  if (sections.target !== "docker") return [];
  const docker = section(sections.docker);
  const proxy = section(sections.proxy);
  const faults: Fault[] = [];
  const host = String(docker.host ?? "");
  if (host.startsWith("ssh://") && docker.hostKey === undefined) {
    const why = "without the host's public key anybody could answer in its place and be given your secrets";
    faults.push({
      path: "docker.hostKey",
      message: `is missing: ${why}; print it on the host: cat /etc/ssh/ssh_host_ed25519_key.pub`,
    });
  }
  if (host.startsWith("tcp://") && docker.certificates === undefined) {
    const fix = "name the folder of ca.pem, cert.pem and key.pem, or use ssh://";
    faults.push({ path: "docker.certificates", message: `is missing: a daemon without TLS is open to everybody; ${fix}` });
  }
  const gateway = section(sections.gateway);
  if (gateway.bind !== undefined && gateway.bind !== "lan") {
    const fix = "remove it, or set lan; only the proxy's ports are open on the host";
    faults.push({ path: "gateway.bind", message: `${gateway.bind} cannot be reached in a container; ${fix}` });
  }
  if (section(gateway.tls).enabled === true) {
    faults.push({ path: "gateway.tls", message: "is not used in containers: the proxy has the certificate; use proxy.tls" });
  }
  if (proxy.server === "caddy") {
    faults.push({ path: "proxy.server", message: "caddy is for target vm; remove it, or set nginx" });
  }
  const files = section(section(proxy.tls).files);
  if (typeof files.certificate === "object" && "path" in section(files.certificate) !== "path" in section(files.key)) {
    faults.push({ path: "proxy.tls.files", message: "certificate and key must both be paths on the host, or neither of them" });
  }
  return faults;
}

function checkProviders({ sections, secretKeys }: Written): Fault[] {
  const providers = Object.entries(providersOf(sections));
  const faults: Fault[] = [];
  if (providers.length === 0 && section(sections.demo).enabled !== true) {
    const fix = "add one, or let a demonstration answer: demo.enabled: true";
    faults.push({ path: "models.providers", message: `no model server is configured; ${fix}` });
  }
  for (const [id, provider] of providers) {
    const path = `models.providers.${id}.apiKey`;
    const { apiKey } = section(provider);
    if (typeof apiKey === "string") faults.push({ path, message: `is a key in clear; ${moveTo(`apiKey-${id}`)}` });
    else if (apiKey && secretKeys.includes(`apiKey-${id}`)) {
      faults.push({ path, message: `there is a secret apiKey-${id} too; keep one of them` });
    }
  }
  return faults;
}

function checkSecretKeys({ sections, secretKeys }: Written): Fault[] {
  const faults: Fault[] = [];
  const providers = Object.keys(providersOf(sections));
  const tokens = (Array.isArray(sections.tokens) ? sections.tokens : []).map(section);
  const ids = tokens.map(({ id }) => String(id));
  for (const key of secretKeys) {
    const [kind, id] = [key.split("-", 1)[0], key.slice(key.indexOf("-") + 1)];
    const remove = `or remove it: npm run config -- rm ${key}`;
    if (kind === "apiKey" && !providers.includes(id)) {
      faults.push({ path: key, message: `there is no models.providers.${id}${nearest(id, providers)}; add it, ${remove}` });
    }
    if ((kind === "token" || kind === "previousToken") && !ids.includes(id)) {
      faults.push({ path: key, message: `tokens has no entry with the id ${id}${nearest(id, ids)}; add it, ${remove}` });
    }
  }
  const previousToken = section(section(sections.rotation).previousToken);
  const hasOld = previousToken.expiresAt !== undefined;
  if (typeof previousToken.token === "string") {
    faults.push({ path: "rotation.previousToken.token", message: `is a token in clear; ${moveTo("previousGatewayToken")}` });
  } else if (hasOld && !previousToken.token && !secretKeys.includes("previousGatewayToken")) {
    const fix = "the token itself is missing: npm run config -- set --secret previousGatewayToken";
    faults.push({ path: "rotation.previousToken", message: fix });
  }
  if (!hasOld && secretKeys.includes("previousGatewayToken")) {
    const fix =
      "say until when it is let in: rotation.previousToken.expiresAt, or remove it: npm run config -- rm previousGatewayToken";
    faults.push({ path: "previousGatewayToken", message: fix });
  }
  for (const [index, token] of tokens.entries()) {
    const old = section(token.previous);
    const oldKey = `previousToken-${token.id}`;
    if (typeof old.token === "string") {
      faults.push({ path: `tokens.${index}.previous.token`, message: `is a token in clear; ${moveTo(oldKey)}` });
    } else if (token.previous && !old.token && !secretKeys.includes(oldKey)) {
      const fix = `the token itself is missing: npm run config -- set --secret ${oldKey}`;
      faults.push({ path: `tokens.${index}.previous`, message: fix });
    } else if (!token.previous && secretKeys.includes(oldKey)) {
      const fix = `say until when it is let in: tokens.${index}.previous.expiresAt, or remove it: npm run config -- rm ${oldKey}`;
      faults.push({ path: oldKey, message: fix });
    }
    const path = `tokens.${index}.token`;
    if (typeof token.token === "string") faults.push({ path, message: `is a token in clear; ${moveTo(`token-${token.id}`)}` });
    else if (!token.token && !secretKeys.includes(`token-${token.id}`)) {
      faults.push({ path, message: `the token itself is missing: npm run config -- set --secret token-${token.id}` });
    }
  }
  return faults;
}

const checkReferences = ({ sections, secretKeys }: Written): Fault[] => referenceFaults(sections, secretKeys);

function checkAuth({ sections }: Written): Fault[] {
  const gateway = section(sections.gateway);
  const auth = section(gateway.auth);
  const faults: Fault[] = [];
  for (const name of ["token", "password"]) {
    if (typeof auth[name] === "string") {
      faults.push({ path: `gateway.auth.${name}`, message: `is in the stack file in clear; ${moveTo("gatewayToken")}` });
    }
  }
  if (gateway.bind === "custom" && !gateway.customBindHost) {
    faults.push({ path: "gateway.customBindHost", message: "is missing: gateway.bind is custom, so name the address here" });
  }
  if (auth.mode === "none" && gateway.bind !== undefined && !["loopback", "auto"].includes(String(gateway.bind))) {
    const fix = "leave gateway.auth.mode out, or set gateway.bind: loopback";
    faults.push({ path: "gateway.auth.mode", message: `none would let everybody in who reaches this machine; ${fix}` });
  }
  return faults;
}

function checkDefaultModel({ sections }: Written): Fault[] {
  const models = section(sections.models);
  const chosen = models.default;
  if (typeof chosen !== "string") return [];
  const faults: Fault[] = [];
  if ("model" in section(section(sections.agents).defaults)) {
    faults.push({ path: "models.default", message: "agents.defaults.model says the same; keep one of them" });
  }
  const providers = providersOf(sections);
  const names = Object.keys(providers);
  const [provider] = chosen.split("/");
  // Ids of models may hold a slash themselves (Qwen/Qwen3), and a provider without a list serves what it likes.
  const lists = Object.values(providers).map((entry) => section(entry).models);
  const served = lists.flatMap((list) => (Array.isArray(list) ? list : [])).map((model) => section(model).id ?? model);
  const open = lists.some((list) => !Array.isArray(list) || list.length === 0);
  if (chosen.includes("/") && provider && names.length > 0 && !names.includes(provider) && !served.includes(chosen) && !open) {
    const meant = nearest(provider, names);
    faults.push({
      path: "models.default",
      message: `there is no provider "${provider}"${meant || `; providers: ${names.join(", ")}`}`,
    });
  }
  return faults;
}

function moveTo(key: string): string {
  return `remove the line and store it encrypted: npm run config -- set --secret ${key}`;
}

function providersOf(sections: { [section: string]: unknown }): { [id: string]: unknown } {
  return section(section(sections.models).providers);
}

function section(value: unknown): { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
