// Places one call at the provider that the router chose, and keeps its books: latency, first token, tokens, outcome.
import { type ErrorCode, GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import { createTail, readUsage, type Usage } from "./usage.ts";

export interface CallRecord {
  readonly outcome: "ok" | "cancelled" | ErrorCode;
  readonly durationMs: number;
  readonly firstByteMs: number | undefined;
  readonly usage: Usage | undefined;
  /** The answer was bought for another request, at this time or before: its usage is no cost of this one. */
  readonly cached?: true;
  /** What the upstream was sent as its trace context. */
  readonly traceparent?: string | undefined;
}

export function placeCall(
  route: Route,
  call: ModelCall,
  sink: CallSink,
  metrics: Metrics,
  onRecord: (record: CallRecord) => void,
): CallHandle {
  const { provider, model } = route;
  const begun = performance.now();
  const tail = createTail();
  let firstByteMs: number | undefined;
  let pieces = 0;
  let lastPieceMs = 0;
  let over = false;
  metrics.llmActive.add(1, provider.id);

  function finish(outcome: CallRecord["outcome"]): void {
    if (over) return;
    over = true;
    const durationMs = performance.now() - begun;
    const usage = readUsage(tail.text());
    metrics.llmActive.add(-1, provider.id);
    metrics.llmRequests.add(1, provider.id, model, outcome);
    metrics.llmLatency.observe(durationMs / 1000, provider.id, model);
    metrics.modelCallDuration.observe(durationMs / 1000, provider.id);
    if (pieces > 1 && firstByteMs !== undefined)
      metrics.interToken.observe((lastPieceMs - firstByteMs) / (pieces - 1) / 1000, provider.id, model);
    if (outcome === "cancelled") metrics.cancellations.add(1, provider.id);
    if (usage) {
      metrics.llmTokens.add(usage.input, provider.id, model, "input");
      metrics.llmTokens.add(usage.output, provider.id, model, "output");
    }
    onRecord({ outcome, durationMs, firstByteMs, usage, traceparent: call.traceparent });
  }

  const watched: CallSink = {
    head: (type, length) => sink.head(type, length),
    data(chunk) {
      if (firstByteMs === undefined) {
        firstByteMs = performance.now() - begun;
        metrics.firstToken.observe(firstByteMs / 1000, provider.id, model);
      }
      if (call.stream) {
        pieces += 1;
        lastPieceMs = performance.now() - begun;
      }
      tail.push(chunk);
      return sink.data(chunk);
    },
    end() {
      finish("ok");
      sink.end();
    },
    fail(error) {
      finish(error.code);
      sink.fail(error);
    },
  };
  let handle: CallHandle;
  try {
    handle = provider.call(call, watched);
  } catch (error) {
    finish("internal");
    throw error instanceof GatewayError
      ? error
      : new GatewayError("internal", `provider ${provider.id} could not be called`, { cause: error });
  }
  return {
    resume: () => handle.resume(),
    abort() {
      finish("cancelled");
      handle.abort();
    },
  };
}
