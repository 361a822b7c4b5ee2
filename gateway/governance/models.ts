// Which models a token may ask for.
import { nearest } from "../config/nearest.ts";
import type { StackConfig } from "../config/stack.ts";
import { GatewayError } from "../errors.ts";
import type { ListedModel, Route, Router } from "../models/router.ts";
import { policyOf } from "./policy.ts";

/**
 * The same whether there is such a model or not: a token is not told of models that it may not ask for. Names that are near
 * are of those that it may use.
 */
export function modelRefusal(stack: StackConfig, router: Router, tokenId: string, asked: string | undefined): GatewayError {
  const names = visibleModels(stack, router, tokenId).flatMap((listed) => {
    const { model } = namesOf(listed);
    return model === undefined ? [listed.id] : [listed.id, model];
  });
  const near = asked === undefined ? undefined : nearest(asked, names);
  // What is allowed may be refused all the same, where a name leads to several.
  const full = names.filter((name) => name.includes("/") && asked !== undefined && name.endsWith(`/${asked}`));
  const hint = full.length > 0 ? full.slice(0, 5).map(quote).join(" or ") : near && quote(near);
  return new GatewayError(
    "model_not_found",
    `The token ${tokenId} may not use this model, or it does not exist here: /v1/models lists those that it may use.${hint ? ` Did you mean ${hint}?` : ""}`,
    { param: "model" },
  );
}

const quote = (name: string): string => JSON.stringify(name);

/** What a name leads to. The router's errors name the nearest models: they are for those who may ask for all. */
export function resolveModel(stack: StackConfig, router: Router, tokenId: string, name: string): Route {
  try {
    return router.resolve(name);
  } catch (error) {
    throw policyOf(stack, tokenId)?.models ? modelRefusal(stack, router, tokenId, name) : error;
  }
}

interface Names {
  /** "provider/model", or a pool's id: what the router lists it as. */
  readonly listed: string;
  /** The id as the upstream knows it; undefined for a pool. */
  readonly model: string | undefined;
}

export function mayAsk(models: readonly string[], router: Router, { provider, model, pool }: Route): boolean {
  return allows(models, router, pool ? { listed: pool.id, model: undefined } : { listed: `${provider.id}/${model}`, model });
}

/** What this token is shown of the models. */
export function visibleModels(stack: StackConfig, router: Router, tokenId: string | undefined): readonly ListedModel[] {
  const all = router.list();
  const models = tokenId === undefined ? undefined : policyOf(stack, tokenId)?.models;
  return models ? all.filter((listed) => allows(models, router, namesOf(listed))) : all;
}

export function isVisible(stack: StackConfig, router: Router, tokenId: string | undefined, listed: ListedModel): boolean {
  const models = tokenId === undefined ? undefined : policyOf(stack, tokenId)?.models;
  return !models || allows(models, router, namesOf(listed));
}

const namesOf = ({ id, provider }: ListedModel): Names => {
  const prefix = `${provider}/`;
  return { listed: id, model: id.startsWith(prefix) ? id.slice(prefix.length) : undefined };
};

/** A name without * may also be an alias or a short form: it allows what it leads to. */
function allows(models: readonly string[], router: Router, { listed, model }: Names): boolean {
  return models.some((name) => {
    if (name.includes("*")) return matches(name, listed) || (model !== undefined && matches(name, model));
    return name === listed || name === model || router.find(name)?.id === listed;
  });
}

/** `*` stands for any text, slashes included. Without backtracking: names come from callers. */
function matches(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop() ?? "";
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
