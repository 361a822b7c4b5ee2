// Whole answers that are kept, and the stores that keep them.

import type { Route } from "../router.ts";
import type { Usage } from "../usage.ts";
import type { ModelWork } from "../work.ts";
import type { Claims } from "./claims.ts";

export interface Answer {
  readonly contentType: string;
  readonly body: Buffer;
  readonly provider: string;
  readonly model: string;
  readonly usage: Usage | undefined;
  /** The usage was counted here, since the upstream did not say. */
  readonly estimated?: boolean;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
  /** Set when the answer is a failure that would come again: its code and HTTP status. */
  readonly failure?: {
    readonly code: string;
    readonly status: number;
    readonly message: string;
    readonly param: string | null;
  };
  /** What the request was, where its key does not say it. */
  readonly print?: string;
}

export interface Bounds {
  readonly ttlSeconds: number;
  readonly maxBytes: number;
  readonly maxEntries: number;
}

/** A promise never rejects: a store that cannot be asked has nothing. */
export interface AnswerStore {
  get(key: string, bounds: Bounds): Answer | undefined | Promise<Answer | undefined>;
  set(key: string, answer: Answer, bounds: Bounds): void;
  clear(): void;
  /** Of a store that several processes share. */
  readonly claims?: Claims;
}

/** Who gave a kept answer, as this config knows it: the one asked for, a member of its pool, or a fallback. */
export function routeOf(answer: Pick<Answer, "provider" | "model">, { route, runtime }: ModelWork): Route {
  const isIt = ({ provider, model }: Route): boolean => provider.id === answer.provider && model === answer.model;
  for (const one of [route, ...runtime.router.fallbacksOf(route)]) {
    if (isIt(one)) return one;
    const member = one.pool?.members.find((candidate) => isIt(candidate.route));
    if (member) return member.route;
  }
  return route;
}

/** Asked for, or an equal of it: not a fallback, which would stay in the place of what is better. */
export function isAskedFor({ provider, model }: Route, { route }: ModelWork): boolean {
  if (provider.id === route.provider.id && model === route.model) return true;
  return (
    route.pool?.members.some((member) => member.route.provider.id === provider.id && member.route.model === model) ?? false
  );
}
