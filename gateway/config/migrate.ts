// Older and tutorial places of settings: read here, moved to their present place, and noted once in the log.
import { type Fault, isPlain, type Path, type Plain, showPath } from "./faults.ts";
import type { Environment } from "./places.ts";

export interface Migrated {
  readonly value: Plain;
  readonly notes: readonly string[];
  readonly faults: readonly Fault[];
  /** The place in the file that a present path came from, or the variable. */
  origin(path: Path): { path: Path; origin?: string };
}

const own: Path = ["plugins", "entries", "openclaw-stack", "config"];
const ours = (...path: string[]): Path => [...own, ...path];

/** Settings that only moved: [older place, present place, conversion]. */
const moves: readonly [string, Path, ((value: unknown) => unknown)?][] = [
  ["models.default", ["agents", "defaults", "model", "primary"]],
  ["memorySearch", ["memory", "search"]],
  ["agents.defaults.memorySearch", ["memory", "search"]],
  ["gateway.auth.tokens", ours("tokens")],
  ["gateway.tokens", ours("tokens")],
  ["gateway.rateLimit", ours("rateLimit")],
  ["gateway.websocketPath", ours("websocket", "path")],
  ["gateway.pingInterval", ours("websocket", "pingIntervalMs"), milliseconds],
  ["gateway.pingTimeout", ours("websocket", "pingTimeoutMs"), milliseconds],
  ["gateway.maxMessageSize", ours("websocket", "maxMessageBytes")],
  ["gateway.websocket", ours("websocket")],
  ["gateway.workers", ours("workers")],
  ["websocket", ours("websocket")],
  ["tasks.defaultTimeout", ours("tasks", "defaultTimeoutSeconds")],
  ["tasks.queueTimeout", ours("tasks", "queueTimeoutSeconds")],
  ["tasks.longTaskWarning", ours("tasks", "longTaskWarningSeconds")],
  ["tasks", ours("tasks")],
  ["worker.concurrency", ours("tasks", "concurrency")],
  ["scheduler.interval", ours("tasks", "schedulerIntervalSeconds")],
  ["api.timeout", ours("timeouts", "totalMs"), milliseconds],
  ["reconnect.maxRetries", ours("nodes", "reconnect", "maxRetries")],
  ["nodes", ours("nodes")],
  ["cache", ours("cache")],
  ["cluster", ours("cluster")],
  ["workers", ours("workers")],
  ["metrics", ours("metrics")],
  ["logging.format", ours("logging", "format")],
  ["logging.output", ours("logging", "output")],
  ["logging.redactSensitive", ours("logging", "redactSensitive")],
];

/** For the settings reference: older place, present place. */
export const migratedPlaces: readonly (readonly [string, string])[] = [
  ...moves.map(([from, to]) => [from, showPath(to)] as const),
  ["logging.file { path, … }", showPath(ours("logging", "file"))],
  ["agents.list[]", "agents.entries"],
  ["gateway.bind with an address, gateway.host", "gateway.bind, gateway.customBindHost, gateway.port"],
  ["models.providers.<id>.models[] as texts", "models.providers.<id>.models[].id"],
  ["models.providers.<id>.models[].alias", "agents.defaults.models.<id>.alias"],
];

const variables: readonly [string, Path, ((value: string) => unknown)?][] = [
  ["OPENCLAW_GATEWAY_PORT", ["gateway", "port"], (text) => (/^\d+$/.test(text) ? Number(text) : text)],
  ["OPENCLAW_GATEWAY_BIND", ["gateway", "bind"]],
  ["OPENCLAW_GATEWAY_HOST", ["gateway", "bind"]],
  ["OPENCLAW_LOG_LEVEL", ["logging", "level"]],
  ["LOG_LEVEL", ["logging", "level"]],
  ["OPENCLAW_CLUSTER_MODE", ours("cluster", "mode")],
  ["OPENCLAW_REDIS_URL", ours("cluster", "redisUrl")],
  ["OPENCLAW_NODE_ID", ours("cluster", "nodeId")],
];
/** These give a secret only where the file gives none: a file's reference can be rotated without a restart. */
const secretVariables: readonly [string, Path][] = [
  ["OPENCLAW_GATEWAY_TOKEN", ["gateway", "auth", "token"]],
  ["OPENCLAW_AUTH_TOKEN", ["gateway", "auth", "token"]],
  ["OPENCLAW_GATEWAY_PASSWORD", ["gateway", "auth", "password"]],
];

export function migrate(input: Plain, env: Environment): Migrated {
  const value = structuredClone(input);
  const notes: string[] = [];
  const faults: Fault[] = [];
  const origins: { to: Path; path: Path; origin?: string }[] = [];

  const move = (from: Path, to: Path, convert: (value: unknown) => unknown = (same) => same): void => {
    const old = get(value, from);
    if (old === undefined) return;
    if (isPlain(old) && Object.keys(old).length === 0 && from.length < 3) remove(value, from);
    else if (get(value, to) !== undefined && !(isPlain(old) && isPlain(get(value, to)))) {
      faults.push({
        path: from,
        problem: `is set here and as ${showPath(to)}`,
        fix: "Keep the second one: this is its older place.",
      });
      remove(value, from);
    } else {
      remove(value, from);
      const present = get(value, to);
      set(value, to, isPlain(old) && isPlain(present) ? { ...old, ...present } : convert(old));
      notes.push(`${showPath(from)} is read as ${showPath(to)}`);
      origins.push({ to, path: from });
    }
  };

  for (const [name, to, convert] of variables) {
    const text = env[name];
    if (!text) continue;
    // A model or cluster section may be missing altogether: set() makes it.
    set(value, to, convert ? convert(text) : text);
    origins.push({ to, path: to, origin: `environment variable ${name}` });
  }
  for (const [name, to] of secretVariables) {
    const text = env[name];
    if (!text || get(value, to) !== undefined) continue;
    set(value, to, text);
    origins.push({ to, path: to, origin: `environment variable ${name}` });
  }
  if (/(^|,)openclaw:\*/.test(env.DEBUG ?? "") && !get(value, ["logging", "level"])) set(value, ["logging", "level"], "debug");

  const model = get(value, ["agents", "defaults", "model"]);
  if (typeof model === "string" && get(value, ["models", "default"]) !== undefined) {
    faults.push({
      path: ["models", "default"],
      problem: "is set here and as agents.defaults.model",
      fix: "Keep the second one: this is its older place.",
    });
    remove(value, ["models", "default"]);
  }
  migrateLogFile(value, notes, origins);
  for (const [from, to, convert] of moves) move(from.split("."), to, convert);
  removeEmpty(value, ["worker", "scheduler", "api", "reconnect"]);
  migrateAgentList(value, notes, origins);
  migrateBind(value, notes, origins);
  migrateProviders(value, notes, origins);

  return {
    value,
    notes,
    faults,
    origin(path) {
      const from = origins.findLast((entry) => entry.to.every((part, index) => path[index] === part));
      if (!from) return { path };
      return { path: [...from.path, ...path.slice(from.to.length)], ...(from.origin ? { origin: from.origin } : {}) };
    },
  };
}

type Origins = { to: Path; path: Path; origin?: string }[];

/** Tutorials write a rotating file as an object where upstream has a name. */
function migrateLogFile(value: Plain, notes: string[], origins: Origins): void {
  const from = ["logging", "file"];
  const file = get(value, from);
  if (!isPlain(file)) return;
  remove(value, from);
  set(value, ours("logging", "file"), file);
  notes.push(`logging.file is read as ${showPath(ours("logging", "file"))}`);
  origins.push({ to: ours("logging", "file"), path: from });
}

function migrateAgentList(value: Plain, notes: string[], origins: Origins): void {
  const list = get(value, ["agents", "list"]);
  if (!Array.isArray(list)) return;
  remove(value, ["agents", "list"]);
  for (const [index, agent] of list.entries()) {
    if (!isPlain(agent) || typeof agent.id !== "string") {
      // Left where it was, so that the schema names it.
      set(value, ["agents", "list"], list);
      return;
    }
    const { id, ...rest } = agent;
    set(value, ["agents", "entries", id], rest);
    origins.push({ to: ["agents", "entries", id], path: ["agents", "list", index] });
  }
  notes.push("agents.list[] is read as agents.entries");
}

const named = new Set(["loopback", "lan", "auto", "custom", "tailnet"]);

/** bind was an address, with or without a port. */
function migrateBind(value: Plain, notes: string[], origins: Origins): void {
  const host = get(value, ["gateway", "host"]);
  if (typeof host === "string" && get(value, ["gateway", "bind"]) === undefined) {
    remove(value, ["gateway", "host"]);
    set(value, ["gateway", "bind"], host);
    origins.push({ to: ["gateway", "bind"], path: ["gateway", "host"] });
  }
  const bind = get(value, ["gateway", "bind"]);
  if (typeof bind !== "string" || named.has(bind)) return;
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+|localhost|::1?|\*))(?::(\d+))?$/.exec(bind);
  const address = match?.[1] ?? match?.[2];
  if (!address) return;
  if (["0.0.0.0", "::", "*"].includes(address)) set(value, ["gateway", "bind"], "lan");
  else if (["127.0.0.1", "::1", "localhost"].includes(address)) set(value, ["gateway", "bind"], "loopback");
  else {
    set(value, ["gateway", "bind"], "custom");
    set(value, ["gateway", "customBindHost"], address);
  }
  if (match?.[3] && get(value, ["gateway", "port"]) === undefined) set(value, ["gateway", "port"], Number(match[3]));
  notes.push(`gateway.bind with an address is read as bind: ${JSON.stringify(get(value, ["gateway", "bind"]))}`);
}

/** Models as plain ids, aliases inside of models, and providers that do not say what they speak. */
function migrateProviders(value: Plain, notes: string[], origins: Origins): void {
  const providers = get(value, ["models", "providers"]);
  if (!isPlain(providers)) return;
  for (const [id, provider] of Object.entries(providers)) {
    if (!isPlain(provider)) continue;
    const at: Path = ["models", "providers", id];
    if (provider.api === undefined) provider.api = "openai-completions";
    if (!Array.isArray(provider.models)) continue;
    if (provider.models.some((model) => typeof model === "string"))
      notes.push(`${showPath([...at, "models"])}: ids are read as objects`);
    provider.models = provider.models.map((model: unknown) => {
      if (typeof model === "string") return { id: model };
      if (!isPlain(model) || typeof model.alias !== "string" || typeof model.id !== "string") return model;
      const { alias, ...rest } = model;
      const to: Path = ["agents", "defaults", "models", `${id}/${model.id}`, "alias"];
      set(value, to, alias);
      origins.push({ to, path: at });
      notes.push(`${showPath([...at, "models"])}: alias is read as agents.defaults.models[…].alias`);
      return rest;
    });
  }
}

/** Tutorials give times in seconds or milliseconds without saying so; nobody means a timeout of 300 ms or of 8 hours. */
function milliseconds(value: unknown): unknown {
  return typeof value === "number" && value < 1000 ? value * 1000 : value;
}

function removeEmpty(value: Plain, keys: readonly string[]): void {
  for (const key of keys) {
    const section = value[key];
    if (isPlain(section) && Object.keys(section).length === 0) delete value[key];
  }
}

export function get(node: unknown, path: Path): unknown {
  let current = node;
  for (const part of path) {
    if (Array.isArray(current) && typeof part === "number") {
      current = current[part];
      continue;
    }
    if (!isPlain(current) || !Object.hasOwn(current, part)) return undefined;
    current = current[part];
  }
  return current;
}

function set(node: Plain, path: Path, value: unknown): void {
  let current = node;
  for (const part of path.slice(0, -1)) {
    const next = current[part];
    if (isPlain(next)) current = next;
    else {
      const made: Plain = {};
      current[part] = made;
      current = made;
    }
  }
  const last = path.at(-1);
  if (last !== undefined) current[last] = value;
}

function remove(node: Plain, path: Path): void {
  const parent = get(node, path.slice(0, -1));
  const last = path.at(-1);
  if (isPlain(parent) && last !== undefined) delete parent[last];
}
