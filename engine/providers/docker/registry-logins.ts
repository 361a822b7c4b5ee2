/** Names and passwords for image registries, as the Provider resource gives them. */
import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { PropertyMap } from "../../values.ts";
import { boolean, string } from "./fields.ts";
import { UserError } from "./resource.ts";

export interface Login {
  username?: string;
  password?: string;
  auth?: string;
  email?: string;
  serveraddress?: string;
  identitytoken?: string;
  registrytoken?: string;
}

export interface RegistryLogins {
  /** By the name of the host, as images name it. */
  readonly byHost: ReadonlyMap<string, Login>;
}

const hub = "registry-1.docker.io";
const hubNames = new Set(["docker.io", "index.docker.io", hub]);

const configSchema = z.object({
  auths: z.record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() })).default({}),
});

export function registryLogins(entries: PropertyMap[], env: { [name: string]: string | undefined }): RegistryLogins {
  const byHost = new Map<string, Login>();
  for (const entry of entries) {
    const address = string(entry.address);
    const host = hostOf(address);
    const serveraddress = `${address.startsWith("http://") ? "http" : "https"}://${host}`;
    byHost.set(host, { ...loginOf(entry, host, env), serveraddress });
  }
  return { byHost };
}

function loginOf(entry: PropertyMap, host: string, env: { [name: string]: string | undefined }): Login {
  if (boolean(entry.authDisabled)) return { username: "username", password: "password" };
  const username = string(entry.username) || (env.DOCKER_REGISTRY_USER ?? "");
  const password = string(entry.password) || (env.DOCKER_REGISTRY_PASS ?? "");
  if (username !== "" && password !== "") return { username, password };
  const content = string(entry.configFileContent) || fileContent(string(entry.configFile) || defaultFile(env));
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch {
    // The file holds passwords, and Node's words would quote it.
    throw new UserError(`Error loading registry auth config: the configuration for ${host} is not JSON`);
  }
  const { auths } = configSchema.parse(parsed);
  const found = Object.entries(auths).find(([address]) => hostOf(address) === host)?.[1];
  if (!found) throw new UserError(`Error loading registry auth config: couldn't find registry config for '${host}' in file`);
  const [name = "", ...rest] = Buffer.from(found.auth ?? "", "base64")
    .toString("utf8")
    .split(":");
  return { username: name, password: rest.join(":"), ...(found.identitytoken ? { identitytoken: found.identitytoken } : {}) };
}

function defaultFile(env: { [name: string]: string | undefined }): string {
  const folder = env.DOCKER_CONFIG;
  if (!folder) return join(homedir(), ".docker", "config.json");
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? join(folder, "config.json") : folder;
}

function fileContent(path: string): string {
  const file = path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    return UserError.after("Error loading registry auth config: could not open the configuration file")(error);
  }
}

function hostOf(address: string): string {
  const host = address.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return hubNames.has(host) ? hub : host;
}

/** The host in an image's name, as the docker command tells it from the first folder. */
export function registryOf(image: string): string {
  const slash = image.indexOf("/");
  const first = slash < 0 ? "" : image.slice(0, slash);
  return /[.:]/.test(first) || first === "localhost" ? hostOf(first) : hub;
}

export function authHeader(login: Login | undefined): { [name: string]: string } {
  return { "x-registry-auth": encoded(login ?? {}) };
}

/** Base64 for URLs with its padding: without it the daemon takes the last bytes for missing, and asks the registry without a login. */
function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** The keys under which a build looks for a login: Docker's own registry is known by an old address. */
export function allLogins({ byHost }: RegistryLogins, more: PropertyMap[]): { [name: string]: string } {
  const all: { [host: string]: Login } = {};
  for (const [host, login] of byHost) all[host === hub ? "https://index.docker.io/v1/" : host] = login;
  for (const entry of more) {
    all[string(entry.hostName)] = {
      username: string(entry.userName),
      password: string(entry.password),
      auth: string(entry.auth),
      email: string(entry.email),
      serveraddress: string(entry.serverAddress),
      identitytoken: string(entry.identityToken),
      registrytoken: string(entry.registryToken),
    };
  }
  if (Object.keys(all).length === 0) return {};
  return { "x-registry-config": encoded(all) };
}

export function loginSecrets({ byHost }: RegistryLogins): string[] {
  return [...byHost.values()].flatMap(({ password, identitytoken }) => [password ?? "", identitytoken ?? ""]);
}
