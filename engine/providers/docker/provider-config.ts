/** The settings of docker's Provider resource: which daemon, how it is reached, and logins for registries. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import type { CheckFailure } from "../provider.ts";
import type { DaemonOptions } from "./api.ts";
import { maps, string, strings } from "./fields.ts";

type Env = { [name: string]: string | undefined };

const known = new Set([
  "caMaterial",
  "certMaterial",
  "certPath",
  "context",
  "disableDockerDaemonCheck",
  "host",
  "keyMaterial",
  "registryAuth",
  "sshOpts",
]);
const engineOwn = new Set(["version", "pluginDownloadURL"]);

/** Lists and objects in a provider's settings come as JSON. */
export function decoded(value: Value | undefined): Value {
  if (typeof value !== "string" || value === unknown || !/^\s*[[{]/.test(value)) return value ?? null;
  try {
    const parsed: Value = JSON.parse(value);
    return parsed;
  } catch {
    return value;
  }
}

export function checkSettings(settings: PropertyMap, name: string): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const fail = (reason: string, path: string) => {
    failures.push({ reason: `could not validate provider configuration: ${reason}. Examine values at '${name}.${path}'.` });
  };
  for (const [key, raw] of Object.entries(settings)) {
    const value = decoded(raw);
    if (engineOwn.has(key) || key.startsWith("__") || value === unknown || value === null) continue;
    if (!known.has(key)) fail("Invalid or unknown key", key);
    else if (key === "sshOpts") {
      if (!Array.isArray(value)) fail("Expected a list of strings", key);
    } else if (key === "registryAuth") checkLogins(value, fail);
    else if (key === "disableDockerDaemonCheck") {
      if (typeof value !== "boolean" && value !== "true" && value !== "false") fail("Expected a boolean", key);
    } else if (typeof value !== "string") fail("Expected a string", key);
  }
  const host = settings.host;
  if (typeof host === "string" && host !== unknown && !/^(unix|tcp|http|https|ssh):\/\/./.test(host)) {
    fail("The address of a daemon is unix:///path, tcp://name:port or ssh://user@name", "host");
  }
  const cert = settings.certMaterial ?? null;
  const key = settings.keyMaterial ?? null;
  if ((cert === null) !== (key === null)) {
    fail("cert_material, and key_material must be specified", cert === null ? "certMaterial" : "keyMaterial");
  }
  return failures;
}

function checkLogins(value: Value, fail: (reason: string, path: string) => void): void {
  if (!Array.isArray(value)) {
    fail("Expected a list of objects", "registryAuth");
    return;
  }
  for (const [index, entry] of value.entries()) {
    if (!isMap(entry)) fail("Expected an object", `registryAuth[${index}]`);
    else if ((entry.address ?? "") === "") fail("Missing required property 'address'", `registryAuth[${index}].address`);
  }
}

export function daemonOptions(settings: PropertyMap, env: Env): DaemonOptions {
  const setting = (name: string, variable: string) => string(settings[name]) || (env[variable] ?? "");
  const context = setting("context", "DOCKER_CONTEXT");
  const host = context ? contextHost(context) : setting("host", "DOCKER_HOST") || "unix:///var/run/docker.sock";
  const sshText = decoded(settings.sshOpts);
  const sshOptions = Array.isArray(sshText) ? strings(sshText) : (env.DOCKER_SSH_OPTS ?? "").split(/\s+/).filter(Boolean);
  const [ca, cert, key] = [
    setting("caMaterial", "DOCKER_CA_MATERIAL"),
    setting("certMaterial", "DOCKER_CERT_MATERIAL"),
    setting("keyMaterial", "DOCKER_KEY_MATERIAL"),
  ];
  const folder = setting("certPath", "DOCKER_CERT_PATH");
  if (cert !== "" || key !== "") {
    if (cert === "" || key === "") throw new Error("cert_material, and key_material must be specified");
    if (folder !== "") throw new Error("cert_path must not be specified");
    return { host, sshOptions, tls: { ...(ca ? { ca } : {}), cert, key } };
  }
  if (folder !== "") {
    const file = (name: string) => readFileSync(join(folder.replace(/^~(?=\/)/, homedir()), name), "utf8");
    return { host, sshOptions, tls: { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") } };
  }
  return { host, sshOptions, ...(ca !== "" && host.startsWith("tcp://") ? { tls: { ca } } : {}) };
}

/** A context of the docker command lies under the hash of its name. */
function contextHost(name: string): string {
  if (name === "default") return "unix:///var/run/docker.sock";
  const folder = join(homedir(), ".docker", "contexts", "meta");
  const hash = createHash("sha256").update(name).digest("hex");
  const meta: Value = JSON.parse(readFileSync(join(folder, hash, "meta.json"), "utf8"));
  const endpoints = isMap(meta) && isMap(meta.Endpoints) ? meta.Endpoints : {};
  const endpoint = isMap(endpoints.docker) ? string(endpoints.docker.Host) : "";
  if (endpoint === "") throw new Error(`context '${name}' not found`);
  return endpoint;
}

export function loginEntries(settings: PropertyMap): PropertyMap[] {
  return maps(decoded(settings.registryAuth));
}
