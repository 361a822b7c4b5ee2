// Which provider answers for a model's name: exact provider/id, exact served id, alias, then a unique suffix or short name.
import { isShortFor } from "../config/model-names.ts";
import { nearest } from "../config/nearest.ts";
import type { PoolConfig, Routing } from "../config/routing.ts";
import { GatewayError } from "../errors.ts";
import type { ModelEntry, Provider } from "./provider.ts";

export interface Route {
  readonly provider: Provider;
  /** The id as the upstream knows it. */
  readonly model: string;
  /** Set when the name was completed: the client is told in a header, the log once. */
  readonly note?: string;
  /** Set when a pool was asked for: any of its members may answer, and this is the first of them. */
  readonly pool?: Pool;
}

export interface Pool {
  readonly id: string;
  readonly sticky: PoolConfig["sticky"];
  readonly members: readonly Member[];
}

export interface Member {
  readonly route: Route;
  readonly weight: number;
}

export interface Router {
  /** Throws GatewayError `model_not_found` or `model_ambiguous`, which name the nearest. */
  resolve(name: string): Route;
  /** What answers when a request names no model: the configured default, else the only model there is. */
  readonly defaultRoute: Route | undefined;
  /** Of the default model. */
  readonly fallbacks: readonly Route[];
  /** What is asked, in this order, when this one fails. */
  fallbacksOf(route: Route): readonly Route[];
  /** The route itself and its fallbacks. */
  chainOf(route: Route): readonly Route[];
  list(): readonly ListedModel[];
  find(name: string): ListedModel | undefined;
  /** Ids that a provider was just seen to serve: they can be asked for too. */
  learn(providerId: string, served: readonly string[]): void;
}

export interface ListedModel extends ModelEntry {
  readonly provider: string;
}

interface Options {
  readonly providers: readonly Provider[];
  readonly primary: string | undefined;
  readonly fallbacks: readonly string[];
  /** alias -> "provider/id". */
  readonly aliases: ReadonlyMap<string, string>;
  readonly routing?: Pick<Routing, "pools" | "fallbacks">;
  /** A fallback leads nowhere, by all that is known of the providers. Once for each name. */
  readonly onUnknown?: (name: string) => void;
}

const maxResolved = 1000;
const none: readonly Route[] = [];

export function createRouter(options: Options): Router {
  const { providers, aliases } = options;
  const served = new Map<string, readonly string[]>();
  /** What the config lists is what is offered; a provider without a list offers what it serves. */
  const idsOf = (provider: Provider): string[] =>
    provider.models.length > 0 ? provider.models.map((model) => model.id) : [...new Set(served.get(provider.id))];
  const all = (): Route[] => providers.flatMap((provider) => idsOf(provider).map((model) => ({ provider, model })));
  const fullName = (route: Route): string => `${route.provider.id}/${route.model}`;

  const pools = options.routing?.pools ?? {};

  function poolRoute(id: string): Route | undefined {
    const config = Object.hasOwn(pools, id) ? pools[id] : undefined;
    if (!config) return undefined;
    const members = config.members.flatMap((member): Member[] => {
      const { model, weight } = typeof member === "string" ? { model: member, weight: 1 } : member;
      const route = memberRoute(model);
      return route ? [{ route, weight }] : [];
    });
    const first = members[0]?.route;
    return first && { ...first, pool: { id, sticky: config.sticky, members } };
  }

  /** Members are said in full, so their names lead nowhere else. */
  function memberRoute(name: string): Route | undefined {
    const provider = providers.find(({ id }) => name.startsWith(`${id}/`));
    if (!provider) return undefined;
    const model = name.slice(provider.id.length + 1);
    const ids = idsOf(provider);
    const [longer, second] = ids.includes(model) ? [] : ids.filter((id) => isShortFor(model, provider.id, id));
    return asServed({ provider, model: longer !== undefined && second === undefined ? longer : model });
  }

  /** An id that several providers serve is meant as their pool where they have one. */
  function poolOf(routes: readonly Route[]): Route | undefined {
    if (routes.length < 2) return undefined;
    for (const id of Object.keys(pools)) {
      const route = poolRoute(id);
      const names = route?.pool?.members.map((member) => fullName(member.route)) ?? [];
      if (routes.every((one) => names.includes(fullName(asServed(one))))) return route;
    }
    return undefined;
  }

  function only(found: Route[], name: string): Route | undefined {
    if (found.length < 2) return found[0];
    const pool = poolOf(found);
    if (pool) return pool;
    throw new GatewayError(
      "model_ambiguous",
      `The model ${quote(name)} is offered more than once: ask for ${list(found.map(fullName))}.`,
      { param: "model" },
    );
  }

  /** An id that the upstream lists in a longer form is asked for in that form ("llama3.2" is served as "llama3.2:latest"). */
  function asServed(route: Route): Route {
    const ids = served.get(route.provider.id) ?? [];
    if (ids.length === 0 || ids.includes(route.model)) return route;
    const [longer, second] = ids.filter((model) => isShortFor(route.model, route.provider.id, model));
    // Asked for all the same: some lists leave out aliases that their server knows.
    if (longer === undefined || second !== undefined)
      return { note: `${quote(route.model)} is not in the list of ${route.provider.id}`, ...route };
    return { ...route, model: longer, note: `${quote(route.model)} is served as ${quote(longer)}` };
  }

  /** What names led to, until a provider's list changes; names that lead nowhere are looked up each time. */
  const resolved = new Map<string, Route>();
  const fallbacksByName = new Map<string, readonly Route[]>();
  let chains = new WeakMap<Route, readonly Route[]>();
  const told = new Set<string>();

  function resolve(name: string): Route {
    const known = resolved.get(name);
    if (known) return known;
    const route = asServed(lookUp(name));
    // Names come from clients: an open provider takes any.
    if (resolved.size < maxResolved) resolved.set(name, route);
    return route;
  }

  function lookUp(name: string): Route {
    const routes = all();
    const exact =
      routes.find((route) => fullName(route) === name) ??
      poolRoute(name) ??
      only(
        routes.filter((route) => route.model === name),
        name,
      );
    if (exact) return exact;
    const alias = aliases.get(name);
    if (alias !== undefined && alias !== name) return lookUp(alias);
    const short = only(
      routes.filter((route) => isShortFor(name, route.provider.id, route.model)),
      name,
    );
    if (short) return { ...short, note: `${quote(name)} is taken for ${fullName(short)}` };
    const open = openProvider(name);
    if (open) return open;
    const known = [...routes.map(fullName), ...Object.keys(pools), ...aliases.keys()];
    const near = nearest(name, [...known, ...routes.map((route) => route.model)]);
    const hint = near ? ` Did you mean ${quote(near)}?` : known.length > 0 ? ` There is ${list(known.slice(0, 10))}.` : "";
    throw new GatewayError("model_not_found", `The model ${quote(name)} does not exist here.${hint}`, { param: "model" });
  }

  /** A provider without a list of models, whose own list is not known either, is asked for whatever comes after its name. */
  function openProvider(name: string): Route | undefined {
    for (const provider of providers) {
      const prefix = `${provider.id}/`;
      if (name.startsWith(prefix) && name.length > prefix.length && idsOf(provider).length === 0) {
        return { provider, model: name.slice(prefix.length) };
      }
    }
    return undefined;
  }

  const tryResolve = (name: string): Route | undefined => {
    try {
      return resolve(name);
    } catch {
      return undefined;
    }
  };

  function defaultRoute(): Route | undefined {
    if (options.primary !== undefined) return tryResolve(options.primary);
    const [first, second] = all();
    return first && !second ? asServed(first) : undefined;
  }
  /** A fallback that leads nowhere is told of once: until a provider was looked at, that may be for want of its list. */
  const resolveAll = (names: readonly string[]): Route[] =>
    names.flatMap((name) => {
      const route = tryResolve(name);
      if (!route && !told.has(name) && providers.every(({ id, models }) => models.length > 0 || served.has(id))) {
        told.add(name);
        options.onUnknown?.(name);
      }
      return route ?? [];
    });
  const askedName = (route: Route): string => route.pool?.id ?? fullName(route);

  function fallbacksOf(route: Route): readonly Route[] {
    const name = askedName(route);
    const known = fallbacksByName.get(name);
    if (known) return known;
    const found = findFallbacks(name);
    if (fallbacksByName.size < maxResolved) fallbacksByName.set(name, found);
    return found;
  }

  function chainOf(route: Route): readonly Route[] {
    const known = chains.get(route);
    if (known) return known;
    const made = [route, ...fallbacksOf(route)];
    chains.set(route, made);
    return made;
  }

  function findFallbacks(name: string): readonly Route[] {
    const own = Object.entries(options.routing?.fallbacks ?? {}).find(([key]) => {
      if (key === name) return true;
      const meant = tryResolve(key);
      return meant !== undefined && askedName(meant) === name;
    });
    if (own) return resolveAll(own[1]);
    if (options.fallbacks.length === 0) return none;
    const main = defaultRoute();
    return main && askedName(main) === name ? resolveAll(options.fallbacks) : none;
  }

  const listed = (route: Route): ListedModel => {
    const entry = route.provider.models.find((model) => model.id === route.model);
    return { ...entry, id: askedName(route), provider: route.pool ? "pool" : route.provider.id };
  };

  return {
    resolve,
    get defaultRoute() {
      return defaultRoute();
    },
    get fallbacks() {
      return resolveAll(options.fallbacks);
    },
    fallbacksOf,
    chainOf,
    list: () => [
      ...providers.flatMap((provider) => idsOf(provider).map((model) => listed({ provider, model }))),
      ...Object.keys(pools).flatMap((id) => {
        const route = poolRoute(id);
        return route ? [listed(route)] : [];
      }),
    ],
    find(name) {
      const route = tryResolve(name);
      return route && listed(route);
    },
    learn: (providerId, ids) => {
      served.set(providerId, ids);
      resolved.clear();
      fallbacksByName.clear();
      chains = new WeakMap();
    },
  };
}

const quote = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
const list = (names: readonly string[]): string => names.map(quote).join(", ");
