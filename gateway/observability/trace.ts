// OpenTelemetry spans of model requests and of the upstreams asked for them; the packages are loaded only where this is on.
// https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and https://opentelemetry.io/docs/specs/semconv/http/http-spans/
import type { Attributes } from "@opentelemetry/api";
import type { TracingSettings } from "../config/tracing.ts";
import { spanIdOf, type TraceContext } from "./trace-context.ts";

export interface RequestSpan {
  readonly trace: TraceContext;
  readonly requestId: string;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
  readonly tokenId: string | undefined;
  readonly errorType: string | undefined;
}

/** One upstream that was asked. */
export interface CallSpan {
  readonly trace: TraceContext;
  /** What the upstream was sent: names the span. */
  readonly traceparent: string;
  readonly requestId: string;
  readonly operation: string;
  readonly provider: string;
  /** The provider's kind: tells whose API it is. */
  readonly kind: string;
  readonly model: string;
  readonly responseModel: string | undefined;
  readonly responseId: string | undefined;
  readonly stream: boolean;
  readonly address: URL | undefined;
  readonly durationMs: number;
  readonly firstByteMs: number | undefined;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly outcome: string;
}

export interface Tracing {
  readonly sampleRatio: number;
  /** Told when it is over; what was asked and answered is never part of it. */
  request(span: RequestSpan): void;
  call(span: CallSpan): void;
  /** Sends what waits. Does not reject, and takes `limitMs` at most. */
  close(limitMs: number): Promise<void>;
}

interface Deps {
  readonly version: string;
  /** Asked at each sending, so that a changed secret takes effect. */
  headers(): Record<string, string>;
  /** Spans cannot be sent; not more often than once a minute. */
  onProblem(message: string): void;
}

const problemEveryMs = 60_000;
const server = 1;
const client = 2;

export async function createTracing(settings: TracingSettings, deps: Deps): Promise<Tracing> {
  const otel = await import("./otel.ts");
  let closed = false;
  let toldAt = Number.NEGATIVE_INFINITY;
  const problem = (message: string): void => {
    if (performance.now() - toldAt < problemEveryMs) return;
    toldAt = performance.now();
    deps.onProblem(message);
  };
  const quiet = (): void => {};
  // Answers of the collector may hold anything: only that it failed is said.
  const failed = (): void => problem("spans cannot be sent to tracing.endpoint");
  otel.diag.setLogger({ error: failed, warn: failed, info: quiet, debug: quiet, verbose: quiet }, otel.DiagLogLevel.WARN);

  /** Ids were chosen when the request came: upstreams have seen them. */
  let next = { traceId: "", spanId: "" };
  const provider = new otel.BasicTracerProvider({
    resource: otel.resourceFromAttributes({ "service.name": settings.serviceName, "service.version": deps.version }),
    // Whether a trace is recorded was decided at its beginning.
    sampler: new otel.AlwaysOnSampler(),
    idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
    spanProcessors: [
      new otel.BatchSpanProcessor(
        new otel.OTLPTraceExporter({ url: settings.endpoint, headers: async () => deps.headers(), timeoutMillis: 10_000 }),
        { scheduledDelayMillis: 1000 },
      ),
    ],
  });
  const tracer = provider.getTracer("openclaw-stack", deps.version);

  function put(
    name: string,
    kind: typeof server | typeof client,
    trace: TraceContext,
    [spanId, parentId]: readonly [string, string | undefined],
    durationMs: number,
    attributes: Attributes,
    isError: boolean,
  ): void {
    const endTime = Date.now();
    next = { traceId: trace.traceId, spanId };
    const traceState = trace.state === undefined ? {} : { traceState: otel.createTraceState(trace.state) };
    const parent = parentId && {
      traceId: trace.traceId,
      spanId: parentId,
      traceFlags: 1,
      isRemote: kind === server,
      ...traceState,
    };
    const around = parent ? otel.trace.setSpanContext(otel.ROOT_CONTEXT, parent) : otel.ROOT_CONTEXT;
    const span = tracer.startSpan(name, { kind, attributes, startTime: endTime - durationMs }, around);
    if (isError) span.setStatus({ code: otel.SpanStatusCode.ERROR });
    span.end(endTime);
  }

  return {
    sampleRatio: settings.sampleRatio,
    request({ trace, requestId, method, route, status, durationMs, tokenId, errorType }) {
      if (!trace.sampled || !route.startsWith("/v1/")) return;
      const attributes = {
        "http.request.method": method,
        "http.route": route,
        "url.path": route,
        "url.scheme": "http",
        "http.response.status_code": status,
        "openclaw.request_id": requestId,
        ...(tokenId === undefined ? {} : { "openclaw.token_id": tokenId }),
        ...(errorType === undefined && status < 500 ? {} : { "error.type": errorType ?? String(status) }),
      };
      put(`${method} ${route}`, server, trace, [trace.spanId, trace.parentId], durationMs, attributes, status >= 500);
    },
    call(span) {
      const { trace, operation, model, outcome, durationMs } = span;
      if (!trace.sampled) return;
      const isError = outcome !== "ok" && outcome !== "cancelled" && outcome !== "lost";
      put(
        `${operation} ${model}`,
        client,
        trace,
        [spanIdOf(span.traceparent), trace.spanId],
        durationMs,
        callAttributes(span, isError),
        isError,
      );
    },
    async close(limitMs) {
      if (closed) return;
      closed = true;
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, limitMs);
      await Promise.race([provider.shutdown().catch(failed), limit.promise]);
      clearTimeout(timer);
    },
  };
}

function callAttributes(span: CallSpan, isError: boolean): Attributes {
  const { address, inputTokens, outputTokens, responseModel, responseId, firstByteMs } = span;
  const port = address && (address.port || (address.protocol === "https:" ? "443" : "80"));
  return {
    "gen_ai.operation.name": span.operation,
    // Kinds are named after whose API they speak.
    "gen_ai.provider.name": span.kind.split("-")[0] ?? span.kind,
    "gen_ai.request.model": span.model,
    "openclaw.provider": span.provider,
    "openclaw.request_id": span.requestId,
    "openclaw.outcome": span.outcome,
    "openclaw.stream": span.stream,
    ...(responseModel === undefined ? {} : { "gen_ai.response.model": responseModel }),
    ...(responseId === undefined ? {} : { "gen_ai.response.id": responseId }),
    ...(inputTokens === undefined ? {} : { "gen_ai.usage.input_tokens": inputTokens }),
    ...(outputTokens === undefined ? {} : { "gen_ai.usage.output_tokens": outputTokens }),
    ...(firstByteMs === undefined ? {} : { "openclaw.time_to_first_token_ms": Math.round(firstByteMs * 10) / 10 }),
    ...(address ? { "server.address": address.hostname, "server.port": Number(port) } : {}),
    ...(isError ? { "error.type": span.outcome } : {}),
  };
}
