// One request of a client as log, metrics and traces know it: counted and told once, however it ends.
import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { stackOf } from "../config/rules.ts";
import type { TraceContext } from "../observability/trace-context.ts";
import type { Caller } from "./auth.ts";
import type { GatewayContext } from "./context.ts";

export interface AccessFields {
  provider?: string;
  model?: string;
  stream?: boolean;
  tries?: number;
  cache?: string;
  llm_tokens?: number;
  ttft_ms?: number;
  error_code?: string;
}

export interface Visit {
  readonly id: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Who calls; null on routes that ask nobody. */
  readonly caller: Caller | null;
  /** The client's, also behind trusted proxies. */
  readonly address: string;
  readonly trace: TraceContext;
  /** Extra fields of this request's line in the access log. */
  readonly accessFields: AccessFields;
}

export function requestId(headers: IncomingHttpHeaders): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID();
}

const quiet = new Set(["/healthz", "/readyz", "/metrics", "/startupz"]);

/** On `close` also streams that were taken over have ended. */
export function observe(context: GatewayContext, visit: Visit, route: string, response: ServerResponse): void {
  const begun = performance.now();
  context.lifecycle.enter(response);
  let isOver = false;
  // Not `once`, whose wrappers each request would pay for.
  response.on("close", () => {
    if (isOver) return;
    isOver = true;
    context.lifecycle.leave(response);
    const durationMs = performance.now() - begun;
    const { accessFields } = visit;
    const cut = !response.writableFinished;
    const status = cut && (!response.headersSent || accessFields.error_code === undefined) ? 499 : response.statusCode;
    const gone = cut && status === 499;
    context.metrics.httpRequests.add(1, route, String(status));
    context.metrics.httpDuration.observe(durationMs / 1000, route);
    context.tracing?.request({
      trace: visit.trace,
      requestId: visit.id,
      method: visit.method,
      route,
      status,
      durationMs,
      tokenId: visit.caller?.id,
      errorType: gone ? "client_gone" : accessFields.error_code,
    });
    if (!stackOf(context.runtime().config).logging.accessLog) return;
    const message = `${visit.method} ${route} ${status}`;
    context.log.of("http")[quiet.has(route) ? "debug" : "info"]("request", message, {
      request_id: visit.id,
      method: visit.method,
      route,
      status,
      duration_ms: Math.round(durationMs * 10) / 10,
      remote: visit.address,
      token_id: visit.caller?.id,
      trace_id: visit.trace.traceId,
      provider: accessFields.provider,
      model: accessFields.model,
      stream: accessFields.stream,
      tries: accessFields.tries,
      cache: accessFields.cache,
      ttft_ms: accessFields.ttft_ms,
      llm_tokens: accessFields.llm_tokens,
      error_code: gone ? "client_gone" : accessFields.error_code,
    });
  });
}
