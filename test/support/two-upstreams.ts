// A gateway in front of two upstreams of the same model: "a", which a test breaks, and "b", which is asked next.
import assert from "node:assert/strict";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import type { FakeUpstream } from "./fake-upstream.ts";
import { bearer, startGateway, type TestGateway, token } from "./gateway.ts";

export type Stack = NonNullable<NonNullable<NonNullable<ConfigInput["plugins"]>["entries"]>["openclaw-stack"]>["config"];

export const shortTimeouts = { connectMs: 200, headersMs: 200, firstTokenMs: 200, betweenTokensMs: 200, totalMs: 10_000 };

export function startWithFallback(
  aUrl: string,
  b: Pick<FakeUpstream, "baseUrl">,
  stack: Stack = {},
  aSeconds?: number,
): Promise<TestGateway> {
  const models = [{ id: "fake-model" }];
  return startGateway({
    gateway: { auth: { token } },
    models: {
      providers: {
        a: { api: "openai-completions", baseUrl: aUrl, models, ...(aSeconds ? { timeoutSeconds: aSeconds } : {}) },
        b: { api: "openai-completions", baseUrl: b.baseUrl, models },
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            timeouts: shortTimeouts,
            routing: { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 2, openMs: 60_000 } },
            ...stack,
          },
        },
      },
    },
  });
}

export interface ShownUpstream {
  readonly upstream: string;
  readonly breaker: string;
  readonly failures: number;
  readonly active: number;
  readonly reason?: string;
  readonly openForMs?: number;
}

/** What /readyz tells an authorised caller. */
export async function upstreamsOf(gateway: TestGateway): Promise<ShownUpstream[]> {
  const body: unknown = await (await fetch(`${gateway.url}/readyz`, { headers: bearer })).json();
  const list: unknown = Reflect.get(Object(body), "upstreams");
  assert.ok(Array.isArray(list), "readiness shows upstreams");
  return list;
}

export async function metricsOf(gateway: Pick<TestGateway, "url">): Promise<string> {
  return (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
}
