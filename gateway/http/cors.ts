// Browsers from other origins: only those that the config lists may call, and they read only what they are shown. https://fetch.spec.whatwg.org/#http-cors-protocol
import type { IncomingHttpHeaders } from "node:http";

/** What a browser may send beside the simple headers: what clients of the APIs send. */
const allowedHeaders =
  "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access, openai-beta, openai-organization, openai-project, idempotency-key, traceparent, tracestate, x-request-id";
const exposedHeaders =
  "x-request-id, retry-after, x-openclaw-provider, x-openclaw-model, x-openclaw-tries, x-openclaw-note, x-openclaw-cache, x-openclaw-error, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/** Headers of the answer to a request from `origin`; undefined: a browser keeps the answer from that page. */
export function corsHeaders(
  { origin, "access-control-request-headers": asked }: IncomingHttpHeaders,
  allowedOrigins: readonly string[],
): Record<string, string> | undefined {
  if (origin === undefined || allowedOrigins.length === 0) return undefined;
  const isAllowed = allowedOrigins.some((allowed) => allowed === "*" || allowed.replace(/\/$/, "") === origin);
  if (!isAllowed) return { vary: "Origin" };
  return {
    // Tokens travel in headers, never in cookies: credentials need not be allowed, and so are not.
    "access-control-allow-origin": origin,
    "access-control-expose-headers": exposedHeaders,
    vary: "Origin",
    // SDKs add headers of their own (x-stainless-…): names alone give nothing away.
    ...(asked === undefined ? {} : { "access-control-allow-headers": safeNames(asked) }),
  };
}

const safeNames = (asked: string): string => {
  const names = asked.split(",").map((name) => name.trim().toLowerCase());
  const known = allowedHeaders.split(", ");
  return (
    names.filter((name) => known.includes(name) || /^x-(?:stainless|openclaw)-[a-z0-9-]+$/.test(name)).join(", ") ||
    known.join(", ")
  );
};

/** A browser's question before the request itself; it carries no token. */
export const isPreflight = (method: string, headers: IncomingHttpHeaders): boolean =>
  method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;

export const preflightHeaders = {
  "access-control-allow-methods": "GET, POST, DELETE",
  "access-control-max-age": "600",
} as const;
