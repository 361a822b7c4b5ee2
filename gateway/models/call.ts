// Places one call at the provider that the router chose, and keeps its books: latency, first token, tokens, outcome.
import { type ErrorCode, GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { BoundCounter, BoundGauge, BoundHistogram } from "../observability/registry.ts";
import { costOf } from "./cost.ts";
import { createMetering, type Metering } from "./metering.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import { soundUsage, Tail, type Usage } from "./usage.ts";

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

/** Where what becomes of a call is told: `onRecord` once. */
export interface PlacedSink extends CallSink {
  onRecord(record: CallRecord): void;
}

export class PlacedCall implements CallSink, CallHandle {
  readonly #route: Route;
  readonly #call: ModelCall;
  readonly #sink: PlacedSink;
  readonly #figures: UpstreamFigures;
  readonly #metering: Metering;
  /** Anthropic says at the beginning of a stream what was read. */
  readonly #tail: Tail;
  readonly #begun = performance.now();
  #handle: CallHandle | undefined;
  #firstByteMs: number | undefined;
  #pieces = 0;
  #lastPieceMs = 0;
  #over = false;
  /** Asked once more, since the connection was stale. */
  #again = false;
  #told: Usage | undefined;

  constructor(route: Route, call: ModelCall, sink: PlacedSink, metrics: Metrics) {
    this.#route = route;
    this.#call = call;
    this.#sink = sink;
    this.#figures = figuresOf(metrics, route);
    this.#metering = createMetering(route.provider, call);
    this.#tail = new Tail(call.api === "messages" ? headOfMessages : 0);
    this.#figures.active.add(1);
  }

  /** Throws a GatewayError where it could not be placed; the record was told then. */
  start(): void {
    const { provider } = this.#route;
    try {
      this.#handle = provider.call(this.#call, this);
    } catch (error) {
      this.#finish("internal");
      throw error instanceof GatewayError
        ? error
        : new GatewayError("internal", `provider ${provider.id} could not be called`, { cause: error });
    }
  }

  head(type: string, length: number | undefined): void {
    this.#sink.head(type, length);
  }

  data(chunk: Buffer): boolean {
    if (this.#firstByteMs === undefined) {
      this.#firstByteMs = performance.now() - this.#begun;
      this.#figures.firstToken.observe(this.#firstByteMs / 1000);
    }
    if (this.#call.stream) {
      this.#pieces += 1;
      this.#lastPieceMs = performance.now() - this.#begun;
    }
    this.#tail.push(chunk);
    this.#metering.push(chunk);
    return this.#sink.data(chunk);
  }

  usage(usage: Usage): void {
    this.#told = usage;
  }

  end(): void {
    this.#finish("ok");
    this.#sink.end();
  }

  fail(error: GatewayError): void {
    const { provider, model } = this.#route;
    if (error.stale && !this.#again && !this.#over && this.#firstByteMs === undefined) {
      this.#again = true;
      this.#figures.metrics.staleRetries.add(1, provider.id);
      const spentMs = (this.#call.spentMs ?? 0) + performance.now() - this.#begun;
      try {
        this.#handle = provider.call({ ...this.#call, fresh: true, spentMs }, this);
        return;
      } catch {
        // Told as what it was before: a connection that broke.
      }
    }
    this.#finish(error.code);
    const unlisted = error.code === "upstream_rejected" && error.status === 404 ? provider.unlisted?.(model) : undefined;
    this.#sink.fail(unlisted === undefined ? error : new GatewayError("model_not_found", unlisted, { param: "model" }));
  }

  resume(): void {
    this.#handle?.resume();
  }

  abort(outcome: "cancelled" | "lost" = "cancelled"): void {
    this.#finish(outcome);
    this.#handle?.abort();
  }

  #finish(outcome: CallRecord["outcome"]): void {
    if (this.#over) return;
    this.#over = true;
    const figures = this.#figures;
    const durationMs = performance.now() - this.#begun;
    const firstByteMs = this.#firstByteMs;
    const said = this.#told ?? this.#tail.usage();
    const metered = this.#metering.finish(outcome === "ok", said && soundUsage(said));
    const usage = metered?.usage;
    const estimated = metered?.estimated ?? false;
    const cost = usage && costOf(this.#route, usage);
    figures.active.add(-1);
    figures.ended(outcome).add(1);
    figures.latency.observe(durationMs / 1000);
    figures.duration.observe(durationMs / 1000);
    if (this.#pieces > 1 && firstByteMs !== undefined)
      figures.interToken.observe((this.#lastPieceMs - firstByteMs) / (this.#pieces - 1) / 1000);
    if (outcome === "cancelled") figures.metrics.cancellations.add(1, this.#route.provider.id);
    if (usage) {
      figures.input.add(usage.input);
      figures.output.add(usage.output);
      if (estimated) figures.estimated.add(usage.input + usage.output);
    }
    if (cost) figures.cost.add(cost);
    this.#sink.onRecord({ outcome, durationMs, firstByteMs, usage, estimated, cost, traceparent: this.#call.traceparent });
  }
}

const headOfMessages = 2048;

/** The figures of one upstream, looked up once. */
class UpstreamFigures {
  readonly metrics: Metrics;
  readonly active: BoundGauge;
  readonly latency: BoundHistogram;
  readonly duration: BoundHistogram;
  readonly firstToken: BoundHistogram;
  readonly interToken: BoundHistogram;
  readonly input: BoundCounter;
  readonly output: BoundCounter;
  readonly estimated: BoundCounter;
  readonly cost: BoundCounter;
  readonly #provider: string;
  readonly #model: string;
  readonly #ended = new Map<string, BoundCounter>();

  constructor(metrics: Metrics, { provider: { id }, model }: Route) {
    this.metrics = metrics;
    this.#provider = id;
    this.#model = model;
    this.active = metrics.llmActive.at(id);
    this.latency = metrics.llmLatency.at(id, model);
    this.duration = metrics.modelCallDuration.at(id);
    this.firstToken = metrics.firstToken.at(id, model);
    this.interToken = metrics.interToken.at(id, model);
    this.input = metrics.llmTokens.at(id, model, "input");
    this.output = metrics.llmTokens.at(id, model, "output");
    this.estimated = metrics.llmTokensEstimated.at(id, model);
    this.cost = metrics.llmCost.at(id, model);
  }

  ended(outcome: CallRecord["outcome"]): BoundCounter {
    const known = this.#ended.get(outcome);
    if (known) return known;
    const made = this.metrics.llmRequests.at(this.#provider, this.#model, outcome);
    this.#ended.set(outcome, made);
    return made;
  }
}

const known = new WeakMap<Metrics, Map<string, Map<string, UpstreamFigures>>>();
/** Of a provider. Clients may choose names freely where one takes any: beyond this many they are looked up each time. */
const maxModels = 1000;

function figuresOf(metrics: Metrics, route: Route): UpstreamFigures {
  let providers = known.get(metrics);
  if (!providers) {
    providers = new Map();
    known.set(metrics, providers);
  }
  const { provider, model } = route;
  let models = providers.get(provider.id);
  if (!models) {
    models = new Map();
    providers.set(provider.id, models);
  }
  const found = models.get(model);
  if (found) return found;
  const made = new UpstreamFigures(metrics, route);
  if (models.size < maxModels) models.set(model, made);
  return made;
}
