// Which upstream is asked next for one request: the model's own, the least loaded of a pool, then the fallbacks; what is broken is skipped.
import type { Place } from "./gate.ts";
import type { Health } from "./health.ts";
import type { Member, Pool, Route } from "./router.ts";
import type { Upstreams } from "./upstreams.ts";

/** What ties requests to one upstream of a pool. */
export interface Affinity {
  readonly sessionKey: string | undefined;
  /** The beginning of the conversation; computed only where a pool asks for it. */
  prompt(): string | undefined;
}

/** An upstream with a place at it, or those of a model that are all full: one may wait for any of them. */
export type Choice = { readonly route: Route; readonly place: Place } | { readonly full: readonly Route[] };

export interface Candidates {
  /** Undefined: no other upstream may be asked. Each is given once; one that is full is not given. */
  choose(enter: (route: Route) => Place | undefined): Choice | undefined;
  /** One that is up, works and has a place: for a call that is only made on top of another one. */
  chooseSpare(enter: (route: Route) => Place | undefined): Choice | undefined;
  /** These were waited for: one that had its turn, or all of them in vain. */
  given(routes: readonly Route[]): void;
  /** This one may be given once more: what failed there was not the upstream. */
  giveBack(route: Route): void;
  /** Until one of them may be asked again. */
  waitMs(): number;
}

interface Deps {
  readonly upstreams: Upstreams;
  readonly health: Pick<Health, "of">;
  readonly balancer: Balancer;
  readonly lastResort: boolean;
  /** While an upstream is full its fallbacks answer; false: they are for failures, and one waits. */
  readonly spill?: boolean;
  /** Whether it is full will be known in a moment: no fallback answers meanwhile. */
  readonly isAsking?: (route: Route) => boolean;
}

/** Where there is one upstream and no other: what most requests are for. */
export class SingleCandidate implements Candidates {
  readonly #route: Route;
  readonly #upstreams: Upstreams;
  readonly #health: Deps["health"];
  readonly #lastResort: boolean;
  #isGiven = false;

  constructor(route: Route, upstreams: Upstreams, health: Deps["health"], lastResort: boolean) {
    this.#route = route;
    this.#upstreams = upstreams;
    this.#health = health;
    this.#lastResort = lastResort;
  }

  choose(enter: (route: Route) => Place | undefined): Choice | undefined {
    return this.#isGiven || (!this.#lastResort && this.waitMs() > 0) ? undefined : this.#pick(enter);
  }

  chooseSpare(enter: (route: Route) => Place | undefined): Choice | undefined {
    const isUp = (): boolean => this.#health.of(this.#route.provider.id).state !== "down";
    return this.#isGiven || this.waitMs() > 0 || !isUp() ? undefined : this.#pick(enter);
  }

  given(_: readonly Route[]): void {
    this.#isGiven = true;
  }

  giveBack(_: Route): void {
    this.#isGiven = false;
  }

  waitMs(): number {
    return this.#upstreams.waitMs(this.#route);
  }

  #pick(enter: (route: Route) => Place | undefined): Choice {
    const route = this.#route;
    const place = enter(route);
    if (!place) return { full: [route] };
    this.#isGiven = true;
    return { route, place };
  }
}

export function createCandidates(route: Route, fallbacks: readonly Route[], affinity: Affinity, deps: Deps): Candidates {
  const { upstreams, health, balancer } = deps;
  const groups = [route, ...fallbacks].map(({ pool, ...own }) => ({
    pool,
    members: pool?.members ?? [{ route: own, weight: 1 }],
  }));
  const given = new Set<string>();
  const isLeft = ({ route: { provider, model } }: Member): boolean => !given.has(`${provider.id}/${model}`);

  /** The note is about the name that the client used. */
  function noted(members: readonly Member[], { route: chosen }: Member): Route {
    return members === groups[0]?.members && route.note !== undefined ? { ...chosen, note: route.note } : chosen;
  }

  function pick(isOpen: (member: Member) => boolean, enter: (route: Route) => Place | undefined): Choice | undefined {
    const full: Route[] = [];
    for (const { pool, members } of groups) {
      let open = members.filter((member) => isLeft(member) && isOpen(member));
      while (open.length > 0) {
        const chosen = pool && open.length > 1 ? balancer.choose(pool, open, affinity) : open[0];
        if (!chosen) break;
        const place = enter(chosen.route);
        if (place) {
          given.add(`${chosen.route.provider.id}/${chosen.route.model}`);
          if (pool) balancer.took(pool, chosen);
          return { route: noted(members, chosen), place };
        }
        full.push(noted(members, chosen));
        open = open.filter((member) => member !== chosen);
      }
      if (full.length > 0 && (!deps.spill || (deps.isAsking && full.some(deps.isAsking)))) break;
    }
    return full.length > 0 ? { full } : undefined;
  }

  const mayGo = (member: Member): boolean => upstreams.waitMs(member.route) === 0;
  const isUp = (member: Member): boolean => health.of(member.route.provider.id).state !== "down";
  const waitMs = (): number =>
    Math.min(...groups.flatMap(({ members }) => members.map((member) => upstreams.waitMs(member.route))));

  return {
    choose(enter) {
      const found = pick((member) => mayGo(member) && isUp(member), enter) ?? pick(mayGo, enter);
      if (found || given.size > 0 || !deps.lastResort) return found;
      const soonest = waitMs();
      return pick((member) => upstreams.waitMs(member.route) <= soonest, enter);
    },
    chooseSpare: (enter) => pick((member) => mayGo(member) && isUp(member), enter),
    given(routes) {
      for (const { provider, model } of routes) given.add(`${provider.id}/${model}`);
    },
    giveBack({ provider, model }) {
      given.delete(`${provider.id}/${model}`);
    },
    waitMs,
  };
}

export interface Balancer {
  choose(pool: Pool, open: readonly Member[], affinity: Affinity): Member | undefined;
  /** What was chosen had a place: whose turn is next moves on. */
  took(pool: Pool, member: Member): void;
}

/** A tied request leaves a member that has this much more to do than the others on average. */
const stickyLoadFactor = 1.25;

export function createBalancer(upstreams: Pick<Upstreams, "active">): Balancer {
  /** Virtual time of each member: who had less of its share goes first among the equally loaded. */
  const passes = new Map<string, number>();
  const keyOf = (pool: Pool, { route }: Member): string => `${pool.id}\0${route.provider.id}/${route.model}`;

  return {
    choose(pool, open, affinity) {
      const key =
        pool.sticky === "none"
          ? undefined
          : (affinity.sessionKey ?? (pool.sticky === "prompt" ? affinity.prompt() : undefined));
      const load = ({ route, weight }: Member): number => (upstreams.active(route) + 1) / weight;
      if (key !== undefined) {
        const tied = highest(open, (member) => affinityScore(key, member));
        const total = open.reduce((sum, { route }) => sum + upstreams.active(route), 0) + 1;
        const weights = open.reduce((sum, { weight }) => sum + weight, 0);
        if (tied && load(tied) <= Math.max(1, (stickyLoadFactor * total) / weights) + 1 / tied.weight) return tied;
      }
      const least = Math.min(...open.map(load));
      const passOf = (member: Member): number => passes.get(keyOf(pool, member)) ?? 0;
      return highest(
        open.filter((member) => load(member) === least),
        (member) => -passOf(member),
      );
    },
    took(pool, member) {
      // One that was away does not catch up on what it missed.
      const pass = Math.max(passes.get(pool.id) ?? 0, passes.get(keyOf(pool, member)) ?? 0);
      passes.set(pool.id, pass);
      passes.set(keyOf(pool, member), pass + 1 / member.weight);
    },
  };
}

/** Rendezvous hashing: when a member goes, only what was tied to it moves. */
function affinityScore(key: string, { route, weight }: Member): number {
  const uniform = (hash(`${route.provider.id}/${route.model}\0${key}`) + 0.5) / 2 ** 32;
  return -weight / Math.log(uniform);
}

/** FNV-1a, with a last mix so that near texts end up far apart. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function highest(members: readonly Member[], score: (member: Member) => number): Member | undefined {
  let best: Member | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const member of members) {
    const value = score(member);
    if (value > bestScore) [best, bestScore] = [member, value];
  }
  return best;
}
