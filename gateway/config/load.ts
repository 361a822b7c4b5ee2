// From file and environment to a checked config: read, move older keys, check the shape, check the rules, read the secrets.
import { dirname } from "node:path";
import { ConfigError, type Fault, type Path, showPath } from "./faults.ts";
import { migrate } from "./migrate.ts";
import { type Environment, findPlaces } from "./places.ts";
import { type ReadResult, readConfigFile, type Source } from "./read.ts";
import { checkRules, isUnconfigured, stackOf } from "./rules.ts";
import { type Config, configSchema, type StackConfig } from "./schema.ts";
import { createSecrets, type Secrets } from "./secrets.ts";
import { openTls, type TlsFiles } from "./tls-files.ts";

export interface LoadOptions {
  readonly env: Environment;
  /** `--config`; else OPENCLAW_CONFIG_PATH, else the state folder's openclaw.json. */
  readonly path?: string | undefined;
  /** Start with the demonstration where nothing is configured. */
  readonly allowUnconfigured?: boolean | undefined;
  /** Check the file alone: references are not read, since the machine that checks may not have them. */
  readonly withoutSecrets?: boolean | undefined;
  /** What another process has read already: the file itself is not read. */
  readonly read?: ReadResult | undefined;
}

export interface Loaded {
  readonly path: string;
  readonly stateDir: string;
  readonly config: Config;
  /** Our block of the config. */
  readonly stack: StackConfig;
  readonly secrets: Secrets;
  /** sha256 of the file's bytes, in hex; empty where there is no file. */
  readonly hash: string;
  /** What was read from an older place, what is accepted but not in force. */
  readonly notes: readonly string[];
  /** The config and what it includes. */
  readonly files: readonly string[];
  readonly unconfigured: boolean;
  /** The file as it was read, so that another process can load the same. */
  readonly read: ReadResult;
  /** Where the gateway serves HTTPS itself. */
  readonly tls: TlsFiles | undefined;
  /** The environment that it was read with. */
  readonly env: Environment;
}

/** Throws ConfigError with every fault of the file. */
export async function loadConfig(options: LoadOptions): Promise<Loaded> {
  const { env } = options;
  const places = findPlaces(env, options.path);
  const path = places.configPath;
  const allowUnconfigured = options.allowUnconfigured || /^(1|true|yes|on)$/i.test(env.OPENCLAW_ALLOW_UNCONFIGURED ?? "");
  const read = options.read ?? (await readConfigFile(path, env));
  const fail = async (faults: readonly Fault[]): Promise<never> => {
    throw new ConfigError(path, await placed(faults, read.sources), read.hash);
  };
  if (!read.exists && !allowUnconfigured) return fail([unconfigured(`${path} does not exist`)]);
  if (read.faults.some((fault) => fault.path.length === 0)) return fail(read.faults);

  const migrated = migrate(read.value, env);
  const atOrigin = (fault: Fault): Fault => {
    const { path: from, origin } = migrated.origin(fault.path);
    return { ...fault, path: from, origin: fault.origin ?? origin };
  };
  const parsed = configSchema.safeParse(migrated.value, { reportInput: false });
  const early = [...read.faults, ...migrated.faults];
  if (!parsed.success) {
    const { explain } = await import("./explain.ts");
    const shape = explain(parsed.error.issues, migrated.value, configSchema).map(atOrigin);
    // One fault a place: an unset variable leaves an empty text behind, which is no second fault.
    return fail([...early, ...shape.filter((fault) => !early.some((other) => showPath(other.path) === showPath(fault.path)))]);
  }
  const config = parsed.data;
  const { secrets, faults: secretFaults } = await createSecrets(options.withoutSecrets ? {} : config, {
    providers: config.secrets.providers,
    env,
    home: places.home,
    folder: dirname(path),
  });
  const { tls, faults: tlsFaults } = options.withoutSecrets ? { faults: [] } : openTls(config);
  const faults = [...early, ...[...checkRules(config), ...secretFaults, ...tlsFaults].map(atOrigin)];
  const nothing = isUnconfigured(config);
  if (nothing && !allowUnconfigured) faults.push(unconfigured("no model provider is configured"));
  if (faults.length > 0) return fail(faults);
  return {
    path,
    stateDir: places.stateDir,
    config,
    stack: stackOf(config),
    secrets,
    hash: read.hash,
    notes: [...migrated.notes, ...budgetsInVain(config), ...notInForce(config)],
    files: read.exists ? [...new Set([path, ...read.sources.map((source) => source.file)])] : [path],
    unconfigured: nothing,
    read,
    env,
    tls,
  };
}

const unconfigured = (problem: string): Fault => ({
  path: [],
  problem,
  fix:
    'Add a provider under models.providers: { local: { baseUrl: "http://127.0.0.1:11434/v1", models: [{ id: "…" }] } }, ' +
    "or start with --allow-unconfigured (OPENCLAW_ALLOW_UNCONFIGURED=1) for the demonstration.",
});

/** Settings that this version reads and checks without acting on them: said, never passed over. */
function notInForce(config: Config): string[] {
  const stack = stackOf(config);
  const set: [string, unknown][] = [
    ["tasks", stack.tasks],
    ["nodes", stack.nodes],
    ["websocket", stack.websocket],
    ["logging.file", stack.logging.file],
  ];
  const accepted = [
    ...set.filter(([, value]) => value !== undefined).map(([name]) => `openclaw-stack ${name}`),
    ...(config.channels && Object.keys(config.channels).length > 0 ? ["channels"] : []),
    ...(config.cron?.enabled ? ["cron"] : []),
  ];
  return accepted.length > 0 ? [`checked, but not in force in this version: ${accepted.join(", ")}`] : [];
}

/** A budget is counted by prices: without any it holds nobody back. */
function budgetsInVain(config: Config): string[] {
  const tokens = stackOf(config).tokens.filter((token) => token.budget);
  const hasPrice = Object.values(config.models.providers).some(
    (provider) => "models" in provider && provider.models.some((model) => model.cost),
  );
  if (tokens.length === 0 || hasPrice) return [];
  const ids = tokens.map((token) => token.id).join(", ");
  return [`the budget of ${ids} holds nobody back: no model has a price (models.providers.<id>.models[].cost)`];
}

/** Adds file, line and column to each fault. */
async function placed(faults: readonly Fault[], sources: readonly Source[]): Promise<Fault[]> {
  const { locate } = await import("./locate.ts");
  return Promise.all(
    faults.map(async (fault) => {
      if (fault.line !== undefined || fault.path.length === 0 || fault.origin) return fault;
      const covering = sources
        .filter((source) => startsWith(fault.path, source.mount))
        .sort((a, b) => b.mount.length - a.mount.length);
      for (const source of covering) {
        const relative = fault.path.slice(source.mount.length);
        const position = await locate(source.file, source.text, relative);
        if (position) return { ...fault, file: source.file, ...position };
      }
      return fault;
    }),
  );
}

const startsWith = (path: Path, prefix: Path): boolean => prefix.every((part, index) => path[index] === part);
