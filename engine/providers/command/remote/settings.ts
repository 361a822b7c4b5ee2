/** The `connection` of a remote resource: its defaults and secret marks, what is wrong with it, and its settings as read. */
import { isMap, isUnknown, type PropertyMap, reveal, secret, unknown, type Value } from "../../../values.ts";
import { type CheckFailure, ProviderError } from "../../provider.ts";
import { bare, checkInputs, type Kind, missingInputs, secretTexts } from "../inputs.ts";

export interface HostSettings {
  host: string;
  port: number;
  user: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  agentSocketPath?: string;
  /** Failed attempts that are followed by another one; negative = no limit. */
  dialErrorLimit: number;
  /** 0 = no limit. */
  perDialTimeoutMs: number;
  hostKey: HostKey;
}

export interface ConnectionSettings extends HostSettings {
  /** The bastion that leads there. */
  proxy?: HostSettings;
}

export interface HostKey {
  /** As in the key's own bytes, e.g. `ssh-ed25519`. */
  type: string;
  bytes: Buffer;
}

const hostInputs: { [name: string]: Kind } = {
  host: "string",
  port: "float64",
  user: "string",
  password: "string",
  privateKey: "string",
  privateKeyPassword: "string",
  agentSocketPath: "string",
  dialErrorLimit: "float64",
  perDialTimeout: "float64",
  hostKey: "string",
};
const connectionInputs: { [name: string]: Kind } = { ...hostInputs, proxy: "object" };
const secretNames = ["password", "privateKey", "privateKeyPassword"];
const defaults: PropertyMap = { user: "root", port: 22, dialErrorLimit: 10, perDialTimeout: 15 };

/**
 * With defaults, and secret as a whole and in its secret parts. The official provider takes whatever key a host shows where
 * none is given; this one refuses: a password or a copied secret would go to whoever answers.
 */
export function checkConnection(given: Value): { connection: Value; failures: CheckFailure[] } {
  const value = reveal(given);
  if (isUnknown(value) || !isMap(value)) return { connection: given, failures: [] };
  const failures = checkHost(value, connectionInputs, "connection");
  const connection = completed(value);
  const proxy = reveal(value.proxy ?? null);
  if (isMap(proxy) && !isUnknown(proxy)) {
    failures.push(...checkHost(proxy, hostInputs, "connection.proxy"));
    connection.proxy = completed(proxy);
  }
  return failures.length > 0 ? { connection: given, failures } : { connection: secret(connection), failures: [] };
}

function checkHost(value: PropertyMap, kinds: { [name: string]: Kind }, path: string): CheckFailure[] {
  const owner = path === "connection" ? "remote.Connection" : "remote.ProxyConnection";
  const found = [...checkInputs(kinds, value, owner), ...missingInputs(["host"], value, owner)];
  const hostKey = bare(value.hostKey ?? null);
  if (hostKey === null || hostKey === "") found.push({ property: "hostKey", reason: missingHostKey(`${path}.hostKey`) });
  else if (typeof hostKey === "string" && hostKey !== unknown && !parseHostKey(hostKey)) {
    found.push({ property: "hostKey", reason: wrongHostKey(`${path}.hostKey`) });
  }
  return found.map(({ property, reason }) => ({ property: `${path}.${property}`, reason }));
}

function missingHostKey(path: string): string {
  return `${path} is missing: give the line that the host shows in /etc/ssh/ssh_host_ed25519_key.pub (or ssh-keyscan), without it anybody could answer in the host's place`;
}

function wrongHostKey(path: string): string {
  return `${path} is not a public key: failed to parse host key: ssh: no key found; it must look like "ssh-ed25519 AAAA…"`;
}

function completed(value: PropertyMap): PropertyMap {
  const result: PropertyMap = { ...defaults };
  for (const [name, item] of Object.entries(value)) {
    if (item === null) continue;
    result[name] = secretNames.includes(name) ? secret(item) : item;
  }
  return result;
}

/** Throws ProviderError where something that is needed is missing, as in a state that another provider made. */
export function readConnection(given: Value): ConnectionSettings {
  const value = bare(given);
  if (!isMap(value)) throw new ProviderError("failed", "connection is missing");
  const proxy = isMap(value.proxy) ? readHost(value.proxy, "connection.proxy") : undefined;
  return { ...readHost(value, "connection"), ...(proxy ? { proxy } : {}) };
}

function readHost(value: PropertyMap, path: string): HostSettings {
  const text = (name: string) => {
    const found = value[name];
    return typeof found === "string" ? found : undefined;
  };
  const number = (name: string, otherwise: number) => {
    const found = value[name];
    return typeof found === "number" ? Math.trunc(found) : otherwise;
  };
  const host = text("host");
  if (!host) throw new ProviderError("failed", `${path}.host is missing: give the host's name or address`);
  const hostKeyText = text("hostKey");
  if (!hostKeyText) throw new ProviderError("failed", missingHostKey(`${path}.hostKey`));
  const hostKey = parseHostKey(hostKeyText);
  if (!hostKey) throw new ProviderError("failed", wrongHostKey(`${path}.hostKey`));
  return {
    host,
    hostKey,
    port: number("port", 22),
    user: text("user") ?? "root",
    password: text("password"),
    privateKey: text("privateKey"),
    privateKeyPassword: text("privateKeyPassword"),
    agentSocketPath: text("agentSocketPath"),
    dialErrorLimit: number("dialErrorLimit", 10),
    perDialTimeoutMs: number("perDialTimeout", 15) * 1000,
  };
}

/** The first key in a text of authorized_keys lines; what stands before it in its line (options, names) is left out. */
export function parseHostKey(text: string): HostKey | undefined {
  for (const line of text.split("\n")) {
    if (line.trim().startsWith("#")) continue;
    const words = line.trim().split(/\s+/);
    for (const [index, type] of words.entries()) {
      const bytes = Buffer.from(words[index + 1] ?? "", "base64");
      const length = bytes.length > 4 ? bytes.readUInt32BE(0) : 0;
      if (length > 0 && bytes.toString("latin1", 4, 4 + length) === type) return { type, bytes };
    }
  }
  return undefined;
}

/** What messages must not show of a connection; names and addresses they may. */
export function connectionSecrets(given: Value): string[] {
  const value = reveal(given);
  if (!isMap(value)) return [];
  const proxy = reveal(value.proxy ?? null);
  const own = secretNames.flatMap((name) => secretTexts(value[name] ?? null, true));
  return isMap(proxy) ? [...own, ...connectionSecrets(proxy)] : own;
}
