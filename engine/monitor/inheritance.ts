/** What a resource takes over from its parent where it does not say itself: protection, deletion, providers. */
import type { RegisterResourceRequest, TransformResourceOptions } from "@pulumi/pulumi/proto/resource_pb.js";
import { parseUrn, type Urn } from "../resource.ts";
import type { Goal } from "../source.ts";
import { packageOf } from "./requests.ts";

/** Package name to provider reference. */
export type ProviderMap = ReadonlyMap<string, string>;

interface StringMap {
  get(key: string): string | undefined;
  forEach(each: (value: string, key: string) => void): void;
}

export interface Inheritance {
  /** Fills what the request leaves open from the parent's goal. */
  apply(request: RegisterResourceRequest, parent: Urn | undefined): void;
  /** The provider that is asked for: the request's own, one of its `providers`, one of the parent component's; or "". */
  resolve(provider: string, providers: StringMap | undefined, parent: Urn | undefined, pkg: string): string;
  /** The `providers` of a component: its own and, for a component within a component, the parent's. */
  providersOf(custom: boolean, parent: Urn | undefined, options: TransformResourceOptions): ProviderMap;
  remember(urn: Urn, goal: Goal, providers: ProviderMap): void;
}

type Heritage = Pick<Goal, "deletedWith" | "protect" | "retainOnDelete" | "provider">;

export function createInheritance(): Inheritance {
  const heritages = new Map<Urn, Heritage>();
  const componentProviders = new Map<Urn, ProviderMap>();

  return {
    apply(request, parent) {
      const heritage = parent === undefined ? undefined : heritages.get(parent);
      if (!heritage) return;
      if (!request.getDeletedwith() && heritage.deletedWith) request.setDeletedwith(heritage.deletedWith);
      if (!request.hasProtect() && heritage.protect !== undefined) request.setProtect(heritage.protect);
      if (!request.hasRetainondelete() && heritage.retainOnDelete !== undefined) {
        request.setRetainondelete(heritage.retainOnDelete);
      }
      if (!request.getProvider() && heritage.provider) {
        const providerName = parseUrn(heritage.provider).type.split(":").at(-1);
        if (!request.getCustom() || providerName === packageOf(request.getType())) request.setProvider(heritage.provider);
      }
    },
    resolve(provider, providers, parent, pkg) {
      if (provider) return provider;
      const inherited = parent === undefined ? undefined : componentProviders.get(parent)?.get(pkg);
      return providers?.get(pkg) ?? inherited ?? "";
    },
    providersOf(custom, parent, options) {
      const result = new Map<string, string>();
      if (custom) return result;
      options.getProvidersMap().forEach((reference, name) => {
        result.set(name, reference);
      });
      const inherited = parent === undefined ? undefined : componentProviders.get(parent);
      for (const [name, reference] of inherited ?? []) if (!result.has(name)) result.set(name, reference);
      return result;
    },
    remember(urn, goal, providers) {
      const { deletedWith, protect, retainOnDelete, provider } = goal;
      if (deletedWith || protect !== undefined || retainOnDelete !== undefined || provider) {
        heritages.set(urn, { deletedWith, protect, retainOnDelete, provider });
      }
      if (!goal.custom) componentProviders.set(urn, providers);
    },
  };
}
