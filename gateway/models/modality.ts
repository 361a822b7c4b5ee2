// Images go only to models that declare that they read them (models.providers.<id>.models[].input).
import { GatewayError } from "../errors.ts";
import { parseBody } from "./body.ts";
import type { Route } from "./router.ts";
import { isJson, jsonOf, listOf } from "./translate/json.ts";
import type { ModelWork } from "./work.ts";

/** Those of the routes that read what the request holds. Throws a GatewayError where there is none. */
export function ableToRead(routes: readonly Route[], { body, api, isWordsOnly }: ModelWork): readonly Route[] {
  if (isWordsOnly === true || !routes.some(isBlind) || !holdsImage(body)) return routes;
  const able = routes.flatMap((route) => {
    if (!route.pool) return isBlind(route) ? [] : [route];
    const members = route.pool.members.filter((member) => !isBlind(member.route));
    return members.length > 0 ? [{ ...route, ...members[0]?.route, pool: { ...route.pool, members } }] : [];
  });
  if (able.length > 0) return able;
  const [first] = routes;
  const name = first?.pool?.id ?? first?.model ?? "";
  throw new GatewayError(
    "invalid_request",
    `The model ${name} does not read images: ask one that does, or declare it (models.providers.${first?.provider.id}.models[].input: ["text", "image"]).`,
    { param: api === "responses" ? "input" : "messages" },
  );
}

/** Of models that no config describes nothing is known: their provider decides. */
function isBlind({ provider, model, pool }: Route): boolean {
  if (pool) return pool.members.some((member) => isBlind(member.route));
  const entry = provider.models.find(({ id }) => id === model);
  return entry !== undefined && !entry.input?.includes("image");
}

const imageTypes: readonly unknown[] = ["image_url", "input_image", "image"];

/** Content parts of all client APIs are objects in lists, and say their type. Only bodies that hold the word are parsed. */
function holdsImage(body: Buffer): boolean {
  if (!body.includes('"image') && !body.includes('"input_image')) return false;
  const isImage = (value: unknown): boolean =>
    Array.isArray(value) &&
    value.some((entry) => (isJson(entry) && imageTypes.includes(entry.type)) || isImage(jsonOf(entry).content));
  const asked = jsonOf(parseBody(body));
  return [...listOf(asked.messages), ...listOf(asked.input)].some((value) => {
    const message = jsonOf(value);
    return isImage(message.content) || isImage(message.output);
  });
}
