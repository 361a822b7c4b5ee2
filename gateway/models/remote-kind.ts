// What the kinds of providers that are reached over HTTP have in common: options, address, key, models; a kind says how it speaks.
import * as z from "zod";
import { nearest } from "../config/nearest.ts";
import { remoteOptions } from "./options.ts";
import {
  type CallHandle,
  type CallSink,
  type ClientApi,
  clientApis,
  type ModelCall,
  type ModelEntry,
  type Provider,
  type ProviderDeps,
} from "./provider.ts";
import { bearerKey, type KeyHeaders, openRemote, type Remote, readModelList } from "./remote.ts";
import type { askForUsage } from "./stream-usage.ts";
import { callAs } from "./translate/call-as.ts";
import type { UpstreamForm } from "./translate/neutral.ts";

interface Dialect {
  /** APIs that pass as bytes, with their paths. */
  readonly native: { readonly [api in ClientApi]?: string };
  /** The API that all others are translated to, and its path. */
  readonly upstream: UpstreamForm;
  readonly path: string;
  /** The address of the API, from what users write; without it baseUrl as it is. */
  readonly baseUrl?: (written: string) => string;
  readonly keyHeaders?: KeyHeaders;
  readonly headers?: Readonly<Record<string, string>>;
  readonly list?: { readonly path: string; readonly read: (json: unknown) => readonly string[] };
  readonly passing?: typeof askForUsage;
  /** What is translated in a way of its own, by API. */
  readonly special?: (remote: Remote, models: readonly ModelEntry[]) => Special;
}

/** All but `api` is the same for these kinds. */
type RemoteConfig<Api extends string> = { readonly api: Api } & z.output<z.ZodObject<typeof remoteOptions>>;

type Special = { readonly [api in ClientApi]?: (call: ModelCall, sink: CallSink) => CallHandle };

export function remoteKind<const Api extends string>(api: Api, dialect: Dialect) {
  const { native, upstream, path, baseUrl = (written) => written, headers = {}, keyHeaders = bearerKey } = dialect;
  const list = dialect.list ?? { path: "/models", read: readModelList };
  return {
    options: z.strictObject({ api: z.literal(api), ...remoteOptions }),
    async create(id: string, settings: RemoteConfig<Api>, deps: ProviderDeps): Promise<Provider> {
      const { models } = settings;
      const remote = await openRemote(id, { ...settings, baseUrl: baseUrl(settings.baseUrl) }, deps, keyHeaders, headers);
      const special = dialect.special?.(remote, models) ?? {};
      let listed: readonly string[] = [];
      return {
        id,
        kind: api,
        models,
        apis: clientApis.filter((name) => name in native),
        call: callAs({ provider: id, models, native, upstream, path, special, passing: dialect.passing, send: remote.send }),
        async listServed(timeoutMs) {
          listed = await remote.list(list.path, list.read, timeoutMs);
          return listed;
        },
        unlisted(model) {
          if (listed.length === 0 || listed.includes(model)) return undefined;
          const near = nearest(model, listed);
          const some = listed.slice(0, 10).map((name) => JSON.stringify(name));
          return `provider ${id} does not serve ${JSON.stringify(model)}: ${near ? `did you mean ${JSON.stringify(near)}? ` : ""}It lists ${some.join(", ")}${listed.length > 10 ? " …" : ""}.`;
        },
        readPage: (address, timeoutMs) => remote.page(address, timeoutMs),
        close: () => remote.close(),
      };
    },
  };
}
