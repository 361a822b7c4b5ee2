/** Default providers: the first resource or function of a package and version registers one, all others share it. */
import type { DeploymentOptions } from "../deployment.ts";
import type { Goal, RegistrationSink } from "../source.ts";
import { isMap, type PropertyMap, secret } from "../values.ts";
import { invalid, providerType, RequestError } from "./requests.ts";

/** What a request says about the provider that it needs. */
export interface ProviderRequest {
  pkg: string;
  version: string;
  pluginDownloadURL: string;
  /** Platform to hex digest. */
  checksums: { [platform: string]: string };
}

export interface DefaultProviders {
  /** The reference `<urn>::<id>`; `what` and `token` name who asks, where default providers are disabled. */
  resolve(request: ProviderRequest, what: string, token: string): Promise<string>;
}

export function createDefaultProviders(options: DeploymentOptions, sink: RegistrationSink): DefaultProviders {
  const known = new Map<string, Promise<string>>();

  async function register(request: ProviderRequest): Promise<string> {
    const { urn, id } = await sink.registerResource(defaultProviderGoal(options, request));
    if (!id) throw new RequestError(`default provider for package ${request.pkg} has no ID`);
    return `${urn}::${id}`;
  }

  return {
    async resolve(request, what, token) {
      if (isDenied(options, request.pkg)) {
        throw new RequestError(`Default provider for '${what}' disabled. '${token}' must use an explicit provider.`);
      }
      const url = request.pluginDownloadURL.replace(/\/$/, "");
      const key = `${request.pkg}-${request.version}-${url}`;
      let reference = known.get(key);
      if (!reference) {
        reference = register({ ...request, pluginDownloadURL: url });
        known.set(key, reference);
      }
      return await reference;
    },
  };
}

function defaultProviderGoal(options: DeploymentOptions, request: ProviderRequest): Goal {
  const properties = packageConfig(options, request.pkg);
  describePlugin(properties, request);
  return {
    type: providerType(request.pkg),
    name: defaultName(request),
    custom: true,
    properties,
    dependencies: [],
    propertyDependencies: {},
    ignoreChanges: [],
    replaceOnChanges: [],
    hideDiff: [],
    additionalSecretOutputs: [],
    aliases: [],
    replaceWith: [],
  };
}

/** Writes version, download URL and checksums into a provider's inputs, where the CLI keeps them. */
export function describePlugin(inputs: PropertyMap, request: Omit<ProviderRequest, "pkg">): void {
  if (request.version) {
    inputs.__internal ??= {};
    inputs.version = checkVersion(request.version);
  }
  const url = request.pluginDownloadURL.replace(/\/$/, "");
  if (url) internal(inputs).pluginDownloadURL = url;
  if (Object.keys(request.checksums).length > 0) internal(inputs).pluginChecksums = { ...request.checksums };
}

export function internal(inputs: PropertyMap): PropertyMap {
  if (isMap(inputs.__internal)) return inputs.__internal;
  const made: PropertyMap = {};
  inputs.__internal = made;
  return made;
}

/** Version, download URL and checksums as options of a resource or a function call give them. */
export function pluginOf(options: {
  getVersion(): string;
  getPluginDownloadUrl(): string;
  getPluginChecksumsMap(): { forEach(each: (checksum: Uint8Array | string, platform: string) => void): void };
}): Omit<ProviderRequest, "pkg"> {
  const checksums: ProviderRequest["checksums"] = {};
  options.getPluginChecksumsMap().forEach((checksum, platform) => {
    checksums[platform] = (typeof checksum === "string" ? Buffer.from(checksum, "base64") : Buffer.from(checksum)).toString(
      "hex",
    );
  });
  return { version: options.getVersion(), pluginDownloadURL: options.getPluginDownloadUrl(), checksums };
}

const semver = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$/;

export function checkVersion(version: string): string {
  if (!semver.test(version)) throw invalid(`the provider version '${version}' is not a version such as 1.2.3`);
  return version;
}

function defaultName(request: ProviderRequest): string {
  let name = "default";
  if (request.version) {
    const [, major, minor, patch, pre, build] = semver.exec(checkVersion(request.version)) ?? [];
    name += `_${major}_${minor}_${patch}`;
    for (const more of [pre, build]) if (more) name += `_${more.split(".").join("_")}`;
  }
  if (request.pluginDownloadURL) name += `_${request.pluginDownloadURL.replace(/[^A-Za-z0-9_.-]/g, "_")}`;
  return name;
}

/** A stack's config `<pkg>:<name>` becomes the default provider's inputs. */
function packageConfig(options: DeploymentOptions, pkg: string): PropertyMap {
  const result: PropertyMap = {};
  const secrets = new Set(options.configSecretKeys);
  for (const [key, value] of Object.entries(options.config)) {
    const colon = key.indexOf(":");
    if (key.slice(0, colon) !== pkg) continue;
    result[key.slice(colon + 1)] = secrets.has(key) ? secret(value) : value;
  }
  return result;
}

function isDenied(options: DeploymentOptions, pkg: string): boolean {
  const setting = options.config["pulumi:disable-default-providers"];
  if (pkg === "pulumi" || !setting) return false;
  let names: unknown;
  try {
    names = JSON.parse(setting);
  } catch {
    names = undefined;
  }
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw new RequestError("the config value pulumi:disable-default-providers must be a list of package names");
  }
  return names.some((name) => name.trim() === "*" || name.trim() === pkg);
}
