/** Providers that are loaded while the program starts: the engine has nothing else to do then. */
import type { ClosableProviderHost, ProviderHostOptions } from "../plugins.ts";

export interface LateProviders {
  host: ClosableProviderHost;
  /** Begins to load; without it the first provider that is asked for does. */
  start(): void;
}

export function createLateProviders(options: ProviderHostOptions): LateProviders {
  let loading: Promise<ClosableProviderHost> | undefined;
  const get = (): Promise<ClosableProviderHost> => {
    loading ??= import("../plugins.ts").then(({ createProviderHost }) => createProviderHost(options));
    return loading;
  };
  return {
    host: {
      load: async (...request) => (await get()).load(...request),
      close: async () => {
        await (await loading?.catch(() => undefined))?.close();
      },
    },
    start: () => {
      // An error shows when a provider is asked for.
      get().catch(() => {});
    },
  };
}
