/** Pure: settings to openclaw.json, in upstream's current form, with references in the place of secrets. */
import { join } from "node:path";
import { pluginId, stackSchema } from "../../gateway/config/schema.ts";
import type { CheckedSettings } from "../settings.ts";
import { replaceReferences } from "../settings-references.ts";

export interface RenderedConfig {
  /** Fits the gateway's config schema. */
  config: { [section: string]: unknown };
  /** File name below the secrets folder -> name of the setting whose value it holds. */
  secretFiles: { [file: string]: string };
}

/** @param secretsDirectory where the gateway will find the files */
export function renderOpenclawConfig(settings: Omit<CheckedSettings, "target">, secretsDirectory: string): RenderedConfig {
  const { written } = settings;
  const secretFiles: { [file: string]: string } = {};
  const secretProviders: { [name: string]: object } = {};
  /** Declares the file of a secret and returns the reference to it. */
  const refer = (key: string): object => {
    const name = fileName(key, secretFiles);
    secretFiles[name] = key;
    secretProviders[name] = { source: "file", path: join(secretsDirectory, name), mode: "singleValue" };
    return { source: "file", provider: name, id: "value" };
  };

  const gateway = {
    ...section(written.gateway),
    port: settings.gateway.port,
    bind: settings.gateway.bind,
    mode: settings.gateway.mode,
    auth: renderAuth(settings, refer),
  };
  const providers = Object.fromEntries(
    Object.entries(settings.models.providers).map(([id, provider]) => [id, renderProvider(id, provider, settings, refer)]),
  );
  const config = {
    gateway,
    ...(Object.keys(providers).length > 0 ? { models: { mode: "replace", providers } } : {}),
    ...renderAgents(settings),
    ...pick(written, ["memory", "channels", "cron", "tools"]),
    ...(settings.logging.level ? { logging: { level: settings.logging.level } } : {}),
    ...renderOwnBlock(settings, refer),
  };
  const referred = section(replaceReferences(config, refer));
  // Last, because rendering the rest is what fills it.
  const secrets = Object.keys(secretProviders).length > 0 ? { secrets: { providers: secretProviders } } : {};
  return { config: { ...referred, ...secrets }, secretFiles };
}

function renderAuth(settings: Omit<CheckedSettings, "target">, refer: (key: string) => object): object {
  const auth = section(section(settings.written.gateway).auth);
  const mode = settings.gateway.auth.mode ?? "token";
  if (mode === "token") return { ...auth, mode, token: auth.token ?? refer("gatewayToken") };
  if (mode === "password") return { ...auth, mode, password: auth.password ?? refer("gatewayToken") };
  return { ...auth, mode };
}

function renderProvider(
  id: string,
  provider: object,
  settings: Omit<CheckedSettings, "target">,
  refer: (key: string) => object,
): object {
  const own = section(section(section(settings.written.models).providers)[id]);
  const key = `apiKey-${id}`;
  return {
    ...own,
    api: "api" in provider ? provider.api : undefined,
    // Upstream wants objects with a name.
    ...("models" in provider && Array.isArray(provider.models)
      ? { models: provider.models.map((model: { id: string; name?: string }) => ({ name: model.id, ...model })) }
      : {}),
    ...(settings.secrets[key] ? { apiKey: refer(key) } : {}),
  };
}

function renderAgents(settings: Omit<CheckedSettings, "target">): object {
  const agents = section(settings.written.agents);
  const model = defaultModel(settings);
  if (!model) return Object.keys(agents).length > 0 ? { agents } : {};
  return { agents: { ...agents, defaults: { ...section(agents.defaults), model } } };
}

function defaultModel(settings: Omit<CheckedSettings, "target">): object | undefined {
  const { default: chosen, fallbacks, providers } = settings.models;
  const defaults = section(section(settings.written.agents).defaults);
  if ("model" in defaults) return undefined;
  const [first] = Object.entries(providers);
  const firstModel = first && "models" in first[1] ? first[1].models[0]?.id : undefined;
  const primary = chosen ?? (first && firstModel ? `${first[0]}/${firstModel}` : undefined);
  return primary ? { primary, ...(fallbacks?.length ? { fallbacks } : {}) } : undefined;
}

/** What upstream lacks lies in the block of our plug-in. */
function renderOwnBlock(settings: Omit<CheckedSettings, "target">, refer: (key: string) => object): object {
  const own = pick(settings.written, Object.keys(stackSchema.shape));
  const { level: _, ...logging } = section(settings.written.logging);
  if (Object.keys(logging).length > 0) own.logging = logging;
  else delete own.logging;
  const withSecret = (entry: { [key: string]: unknown }, key: string): { [key: string]: unknown } =>
    settings.secrets[key] ? { ...entry, token: refer(key) } : entry;
  if (Array.isArray(own.tokens)) {
    own.tokens = own.tokens.map(section).map((token) => {
      const previous = token.previous ? { previous: withSecret(section(token.previous), `previousToken-${token.id}`) } : {};
      return { ...withSecret(token, `token-${token.id}`), ...previous };
    });
  }
  const rotation = section(own.rotation);
  if (rotation.previousToken) {
    own.rotation = { ...rotation, previousToken: withSecret(section(rotation.previousToken), "previousGatewayToken") };
  }
  return Object.keys(own).length > 0 ? { plugins: { entries: { [pluginId]: { config: own } } } } : {};
}

/** Names of secret providers are lower case (upstream's rule), and are file names too. */
function fileName(key: string, taken: { [file: string]: string }): string {
  const base = key
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "-")
    .slice(0, 60);
  let name = base;
  for (let n = 2; name in taken && taken[name] !== key; n++) name = `${base}-${n}`;
  return name;
}

function section(value: unknown): { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function pick(from: { [key: string]: unknown }, keys: string[]): { [key: string]: unknown } {
  return Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]]));
}
