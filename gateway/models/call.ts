// Places one call at the provider that the router chose, and keeps its books: latency, first token, tokens, outcome.
import { type ErrorCode, GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { costOf } from "./cost.ts";
import { createMetering } from "./metering.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import { createTail, readUsage, soundUsage, type Usage } from "./usage.ts";

export interface CallRecord {
  /** lost: another upstream that was asked too answered first. */
  readonly outcome: "ok" | "cancelled" | "lost" | ErrorCode;
  readonly durationMs: number;
  readonly firstByteMs: number | undefined;
  /** Undefined where nothing was delivered, or nothing was counted. */
  readonly usage: Usage | undefined;
  /** The upstream did not say, or not to the end: counted from what it delivered. */
  readonly estimated?: boolean;
  /** By the model's price in the config, in its currency; undefined where it has none. */
  readonly cost?: number | undefined;
  /** The answer was bought for another request, at this time or before: its usage is no cost of this one. */
  readonly cached?: true;
  /** What the upstream was sent as its trace context. */
  readonly traceparent?: string | undefined;
}

export interface PlacedCall extends CallHandle {
  abort(outcome?: "cancelled" | "lost"): void;
}

export function placeCall(
  route: Route,
  call: ModelCall,
  sink: CallSink,
  metrics: Metrics,
  onRecord: (record: CallRecord) => void,
): PlacedCall {
  const { provider, model } = route;
  const begun = performance.now();
  // Anthropic says at the beginning of a stream what was read.
  const tail = createTail(call.api === "messages" ? 2048 : 0);
  const metering = createMetering(provider, call);
  let firstByteMs: number | undefined;
  let pieces = 0;
  let lastPieceMs = 0;
  let over = false;
  /** Asked once more, since the connection was stale. */
  let again = false;
  let told: Usage | undefined;
  metrics.llmActive.add(1, provider.id);

  function finish(outcome: CallRecord["outcome"]): void {
    if (over) return;
    over = true;
    const durationMs = performance.now() - begun;
    const said = told ?? readUsage(tail.text());
    const metered = metering.finish(outcome === "ok", said && soundUsage(said));
    const usage = metered?.usage;
    const estimated = metered?.estimated ?? false;
    const cost = usage && costOf(route, usage);
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
      if (estimated) metrics.llmTokensEstimated.add(usage.input + usage.output, provider.id, model);
    }
    if (cost) metrics.llmCost.add(cost, provider.id, model);
    onRecord({ outcome, durationMs, firstByteMs, usage, estimated, cost, traceparent: call.traceparent });
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
      metering.push(chunk);
      return sink.data(chunk);
    },
    usage(usage) {
      told = usage;
    },
    end() {
      finish("ok");
      sink.end();
    },
    fail(error) {
      if (error.stale && !again && !over && firstByteMs === undefined) {
        again = true;
        metrics.staleRetries.add(1, provider.id);
        const spentMs = (call.spentMs ?? 0) + performance.now() - begun;
        try {
          handle = provider.call({ ...call, fresh: true, spentMs }, watched);
          return;
        } catch {
          // Told as what it was before: a connection that broke.
        }
      }
      finish(error.code);
      const unlisted = error.code === "upstream_rejected" && error.status === 404 ? provider.unlisted?.(model) : undefined;
      sink.fail(unlisted === undefined ? error : new GatewayError("model_not_found", unlisted, { param: "model" }));
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
    abort(outcome = "cancelled") {
      finish(outcome);
      handle.abort();
    },
  };
}
