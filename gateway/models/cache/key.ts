// What makes two requests the same: the API, the model that the name leads to, the bytes, and whose request it is.
import { createHash } from "node:crypto";
import { withModel } from "../body.ts";
import type { ModelWork } from "../work.ts";

/** Headers that change what is answered. */
const telling = ["anthropic-version", "anthropic-beta", "openai-beta", "x-openclaw-no-fallback"];

/**
 * Bytes, not meanings: another order of fields is another request. Only the model's name is made the same, since one model
 * has several. `caller` is empty where answers are shared on purpose.
 */
export function requestKey({ api, asked, route, body, headers }: ModelWork, caller: string): string {
  const hash = createHash("sha256");
  const model = route.pool ? `pool ${route.pool.id}` : `${route.provider.id}/${route.model}`;
  hash.update(JSON.stringify([caller, api, model, ...telling.map((name) => headers[name] ?? null)]));
  hash.update("\0");
  hash.update(asked === route.model ? body : withModel(body, route.model));
  return hash.digest("base64url");
}

/** A client's own key means something to its token alone. */
export function idempotencyStoreKey(keptFor: string, given: string): string {
  return createHash("sha256")
    .update(JSON.stringify([keptFor, given]))
    .digest("base64url");
}

export function fingerprint({ api, body }: ModelWork): string {
  return createHash("sha256").update(api).update("\0").update(body).digest("base64url");
}
