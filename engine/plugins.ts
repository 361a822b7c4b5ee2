/** Where the engine gets its providers from: an official plug-in where it is installed, otherwise an embedded one. */
import { createGuardian, type Guardian } from "./guardian.ts";
import { createCommandProvider } from "./providers/command/provider.ts";
import { type Provider, ProviderError, type ProviderHost, type ProviderLog } from "./providers/provider.ts";
import { createRandomProvider } from "./providers/random/provider.ts";

export interface ProviderHostOptions {
  /** Where the program runs; commands and plug-ins run there too. */
  programDirectory: string;
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

const embedded: { [pkg: string]: (deps: EmbeddedDeps) => Provider } = {
  random: () => createRandomProvider(),
  command: (deps) => createCommandProvider(deps),
};

export const embeddedPackages = Object.keys(embedded);

export function createProviderHost({ programDirectory }: ProviderHostOptions): ClosableProviderHost {
  const guardian = createGuardian();
  const providers: Provider[] = [];
  return {
    async load(pkg, version, log) {
      const create = embedded[pkg];
      if (!create) {
        throw new ProviderError(
          "unavailable",
          `No plug-in for the package ${pkg} is installed, and the engine has none built in. Install it: pulumi plugin install resource ${pkg} ${version ?? "VERSION"}`,
        );
      }
      const provider = create({ programDirectory, guardian, log });
      providers.push(provider);
      return provider;
    },
    async close() {
      await Promise.allSettled(providers.map((provider) => provider.close()));
      guardian.close();
    },
  };
}
