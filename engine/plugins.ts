/** Where the engine gets its providers from: an official plug-in where it is installed, otherwise an embedded one. */
import { createGuardian, type Guardian } from "./guardian.ts";
import { type EngineServer, startEngineServer } from "./monitor/engine-service.ts";
import { findPlugin } from "./plugin-files.ts";
import { attachPlugin, startPlugin } from "./plugin-process.ts";
import { commandVersion, createCommandProvider } from "./providers/command/provider.ts";
import { createDockerProvider, dockerVersion } from "./providers/docker/provider.ts";
import {
  type HandshakeRequest,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ProviderLog,
} from "./providers/provider.ts";
import { createRandomProvider, randomVersion } from "./providers/random/provider.ts";

export interface ProviderHostOptions {
  /** Where the program runs; commands and plug-ins run there too. */
  programDirectory: string;
  /** Plug-ins get it as PULUMI_PROJECT. */
  project?: string;
  env?: { [name: string]: string | undefined };
}

export interface ClosableProviderHost extends ProviderHost {
  /** Ends every provider and every process that one started. Never throws. */
  close(): Promise<void>;
}

interface EmbeddedDeps {
  programDirectory: string;
  guardian: Guardian;
  log(entry: ProviderLog): void;
}

/** A new embedded provider is one line here. */
const embedded: { [pkg: string]: { version: string; create(deps: EmbeddedDeps): Provider } } = {
  command: { version: commandVersion, create: createCommandProvider },
  docker: { version: dockerVersion, create: createDockerProvider },
  random: { version: randomVersion, create: createRandomProvider },
};

/** The packages that need no plug-in, with the version that each is equal to. */
export const embeddedPackages: { [pkg: string]: string } = Object.fromEntries(
  Object.entries(embedded).map(([pkg, { version }]) => [pkg, version]),
);

export function createProviderHost({
  programDirectory,
  project,
  env = process.env,
}: ProviderHostOptions): ClosableProviderHost {
  const guardian = createGuardian();
  const providers = new Set<Provider>();
  const servers = new Set<EngineServer>();

  async function loadPlugin(
    pkg: string,
    version: string | undefined,
    log: (entry: ProviderLog) => void,
  ): Promise<Provider | undefined> {
    const port = attachPort(pkg, env.PULUMI_DEBUG_PROVIDERS);
    const plugin = port === undefined ? findPlugin(pkg, version, env) : undefined;
    if (port === undefined && !plugin) return undefined;
    // Each plug-in logs to a server of its own, so that its lines find the provider that they belong to.
    const server = await startEngineServer(log);
    servers.add(server);
    const engineAddress = server.address;
    if (port !== undefined) return withHandshake(await attachPlugin(pkg, port, engineAddress), { engineAddress });
    if (!plugin) return undefined;
    const pluginEnv = { ...env, ...(project ? { PULUMI_PROJECT: project } : {}) };
    const provider = await startPlugin(plugin, { engineAddress, programDirectory, guardian, env: pluginEnv, log });
    return withHandshake(provider, { engineAddress, rootDirectory: plugin.directory, programDirectory: plugin.directory });
  }

  return {
    async load(pkg, version, log) {
      const plugin = await loadPlugin(pkg, version, log);
      const provider = plugin ?? embedded[pkg]?.create({ programDirectory, guardian, log });
      if (!provider) throw new ProviderError("unavailable", missingText(pkg, version));
      providers.add(provider);
      return provider;
    },
    async close() {
      await Promise.allSettled([...providers].map((provider) => provider.close()));
      for (const server of servers) server.close();
      guardian.close();
    },
  };
}

function missingText(pkg: string, version: string | undefined): string {
  const builtIn = Object.keys(embedded).join(", ");
  return (
    `The package ${pkg} needs its plug-in, which is not installed; built in are ${builtIn}. ` +
    `Install it: pulumi plugin install resource ${pkg} ${version ?? "VERSION"}`
  );
}

/** The engine's side of the handshake does not know where the plug-in lies or where it is to log. */
function withHandshake(provider: Provider, more: HandshakeRequest): Provider {
  return { ...provider, handshake: async (request) => (await provider.handshake?.({ ...request, ...more })) ?? {} };
}

/** PULUMI_DEBUG_PROVIDERS=aws:12345,gcp:678 makes the engine use a provider that somebody started in a debugger. */
function attachPort(pkg: string, variable: string | undefined): number | undefined {
  for (const entry of (variable ?? "").split(",")) {
    const [name, port = ""] = entry.trim().split(":");
    if (name !== pkg) continue;
    if (!/^\d{1,5}$/.test(port)) {
      throw new ProviderError(
        "unavailable",
        `PULUMI_DEBUG_PROVIDERS: "${entry}" must be a package and a port, as in ${pkg}:12345`,
      );
    }
    return Number(port);
  }
  return undefined;
}
