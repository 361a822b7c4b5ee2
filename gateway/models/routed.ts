// The innermost layer of a model call: chooses the upstreams and asks one after the other.
import type { Metrics } from "../observability/metrics.ts";
import { childTraceparent } from "../observability/trace-context.ts";
import { checkPriority, priorityHeader } from "./admission/priority.ts";
import { conversationStart, withModel } from "./body.ts";
import { type Affinity, createCandidates, SingleCandidate } from "./candidates.ts";
import { callWithFailover } from "./failover.ts";
import { isFormApi, withFormModel } from "./form.ts";
import type { Gate } from "./gate.ts";
import { createHedging } from "./hedge.ts";
import { ableToRead } from "./modality.ts";
import type { ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import type { Upstreams } from "./upstreams.ts";
import type { ModelWork, Serve } from "./work.ts";

/** With this header, whatever its value but "0", one upstream is asked and no other. */
const noFallbackHeader = "x-openclaw-no-fallback";

export function createRouted(upstreams: Upstreams, metrics: Metrics, gate: Gate): Serve {
  const hedging = createHedging();
  return (work, sink) => {
    const { runtime, route, headers } = work;
    checkPriority(headers[priorityHeader]);
    const { routing, timeouts } = runtime.stack;
    const forbidden = headers[noFallbackHeader];
    const mayFallBack = forbidden === undefined || forbidden === "0";
    const routes = ableToRead(mayFallBack ? runtime.router.chainOf(route) : [route], work);
    const [first = route] = routes;
    const { lastResort } = routing.breaker;
    const isSingle = routes.length === 1 && first.pool === undefined;
    const candidates = isSingle
      ? new SingleCandidate(first, upstreams, runtime.health, lastResort)
      : createCandidates(first, routes.slice(1), affinityOf(work), {
          upstreams,
          health: runtime.health,
          balancer: runtime.balancer,
          lastResort,
          spill: runtime.stack.admission.whenFull === "fallback",
          isAsking: gate.isAsking,
        });
    return callWithFailover(
      {
        work,
        candidates,
        gate,
        upstreams,
        metrics,
        maxTries: mayFallBack ? routing.maxTries : 1,
        totalMs: timeouts.totalMs,
        hedge: mayFallBack ? hedging.planFor(work) : undefined,
        callFor,
      },
      sink,
    );
  };
}

function affinityOf({ api, body, headers }: ModelWork): Affinity {
  const sessionKey = headers["x-openclaw-session-key"];
  return {
    sessionKey: typeof sessionKey === "string" && sessionKey !== "" ? sessionKey : undefined,
    prompt: () => (isFormApi(api) ? undefined : conversationStart(body)),
  };
}

function callFor(
  { api, asked, body, stream, requestId, trace, headers }: ModelWork,
  { model }: Route,
  spentMs: number,
): ModelCall {
  const form = isFormApi(api);
  const contentType = form ? (headers["content-type"] ?? "") : undefined;
  return {
    api,
    model,
    body: asked === model ? body : contentType === undefined ? withModel(body, model) : withFormModel(body, contentType, model),
    stream,
    contentType,
    requestId,
    traceparent: childTraceparent(trace),
    tracestate: trace.state,
    apiHeaders: apiHeaders(headers),
    spentMs,
  };
}

const apiHeaderNames = ["anthropic-version", "anthropic-beta", "openai-beta"];

/** What chooses versions and trial features of an API; never credentials. */
function apiHeaders(headers: ModelWork["headers"]): Record<string, string> | undefined {
  let found: Record<string, string> | undefined;
  for (const name of apiHeaderNames) {
    const value = headers[name];
    if (typeof value !== "string") continue;
    found ??= {};
    found[name] = value;
  }
  return found;
}
