// The headers in which an answer says what is left of the limits: OpenAI's, Anthropic's, and the IETF's draft.
import type { ClientApi } from "../models/provider.ts";
import type { Taken } from "../store/allowances.ts";
import type { Policy } from "./policy.ts";

/**
 * https://platform.openai.com/docs/guides/rate-limits (x-ratelimit-*), https://docs.anthropic.com/en/api/rate-limits
 * (anthropic-ratelimit-*), draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy).
 */
export function writeLimitHeaders(
  headers: Record<string, string>,
  api: ClientApi,
  policy: Policy,
  requests: Taken | undefined,
  tokens: Taken | undefined,
  nowMs: number,
): void {
  const anthropic = api === "messages" || api === "count-tokens";
  let now = "";
  const write = (name: "requests" | "tokens", limit: number, taken: Taken): void => {
    const left = String(Math.max(0, Math.floor(taken.remaining)));
    if (anthropic) {
      headers[`anthropic-ratelimit-${name}-limit`] = String(limit);
      headers[`anthropic-ratelimit-${name}-remaining`] = left;
      headers[`anthropic-ratelimit-${name}-reset`] = new Date(nowMs + taken.resetMs).toISOString();
    } else {
      headers[`x-ratelimit-limit-${name}`] = String(limit);
      headers[`x-ratelimit-remaining-${name}`] = left;
      headers[`x-ratelimit-reset-${name}`] = duration(taken.resetMs);
    }
    now += `${now === "" ? "" : ", "}"${name}";r=${left};t=${Math.ceil(taken.resetMs / 1000)}`;
  };
  if (requests && policy.requests) write("requests", policy.requests.rule.limit, requests);
  if (tokens && policy.tokens) write("tokens", policy.tokens.rule.limit, tokens);
  if (now === "") return;
  headers["ratelimit-policy"] = policy.header;
  headers.ratelimit = now;
}

/** As OpenAI writes it: 20ms, 1.5s, 6m0s. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.ceil((ms - minutes * 60_000) / 100) / 10;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
