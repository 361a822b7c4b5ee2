// Every metric of the gateway, declared once.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createRegistry } from "./registry.ts";

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const fine = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(version: string) {
  const registry = createRegistry();
  const { counter, gauge, histogram } = registry;
  const metrics = {
    registry,
    ...sharedMetrics(registry),
    ...keptMetrics(registry),
    connections: counter("openclaw_gateway_connections_total", "Connections that clients opened"),
    connectionsActive: gauge("openclaw_gateway_connections_active", "Connections of clients that are open"),
    connectionsFailed: counter(
      "openclaw_gateway_connections_failed_total",
      "Connections and requests refused before they were served",
      ["reason"],
    ),
    httpRequests: counter("openclaw_http_requests_total", "Requests answered, by route and status", ["route", "status"]),
    httpDuration: histogram(
      "openclaw_http_request_duration_seconds",
      "From the request's headers to the end of the answer",
      seconds,
      ["route"],
    ),
    overhead: histogram(
      "openclaw_gateway_overhead_seconds",
      "Time that the gateway itself spent before it asked the upstream",
      fine,
    ),
    llmRequests: counter("openclaw_llm_requests_total", "Calls of models, by outcome", ["provider", "model", "outcome"]),
    llmTokens: counter(
      "openclaw_llm_tokens_total",
      "Tokens that upstreams reported, or that were estimated where they did not",
      ["provider", "model", "direction"],
    ),
    llmTokensEstimated: counter("openclaw_llm_tokens_estimated_total", "Of these, the estimated ones", ["provider", "model"]),
    llmCost: counter("openclaw_llm_cost_total", "Cost by the prices in the config, in their currency", ["provider", "model"]),
    llmLatency: histogram("openclaw_llm_latency_seconds", "Whole calls of models", seconds, ["provider", "model"]),
    modelCallDuration: histogram("openclaw_model_call_duration_seconds", "Whole calls of models, by provider", seconds, [
      "provider",
    ]),
    firstToken: histogram(
      "openclaw_llm_time_to_first_token_seconds",
      "From the call to the first bytes of the answer",
      seconds,
      ["provider", "model"],
    ),
    llmActive: gauge("openclaw_llm_requests_active", "Calls of models under way", ["provider"]),
    cancellations: counter("openclaw_llm_cancellations_total", "Calls given up because the client left", ["provider"]),
    failovers: counter("openclaw_model_failover_total", "Calls that went on to another upstream", ["reason"]),
    failoverSeconds: histogram(
      "openclaw_model_failover_seconds",
      "From the request to the asking of another upstream, by why the one before was left",
      seconds,
      ["reason"],
    ),
    hedges: counter("openclaw_model_hedges_total", "Calls made on top of one that took long, by whom they asked", ["provider"]),
    hedgeWins: counter("openclaw_model_hedge_wins_total", "Such calls that answered first", ["provider"]),
    staleRetries: counter(
      "openclaw_upstream_stale_connections_total",
      "Calls sent again over a new connection, because the one that was kept was gone",
      ["provider"],
    ),
    tries: histogram("openclaw_llm_tries", "Upstreams asked for one answer", [1, 2, 3, 4, 6, 8]),
    interToken: histogram(
      "openclaw_llm_inter_token_seconds",
      "Mean time between two pieces of a stream, one value a stream",
      fine,
      ["provider", "model"],
    ),
    cacheRequests: counter(
      "openclaw_cache_requests_total",
      "Requests while the cache is on: hit, miss, bypass, or coalesced with one under way",
      ["result"],
    ),
    idempotentRequests: counter(
      "openclaw_idempotent_requests_total",
      "Requests with an idempotency key: first, replayed, joined (waits for the first) or conflict",
      ["result"],
    ),
    upstreamRunning: gauge("openclaw_upstream_running", "Requests that run in the engine, by its own figures", [
      "provider",
      "model",
    ]),
    upstreamWaiting: gauge("openclaw_upstream_waiting", "Requests that wait in the engine, by its own figures", [
      "provider",
      "model",
    ]),
    upstreamKv: gauge("openclaw_upstream_kv", "Share of the engine's KV cache that is in use, by its own figures", [
      "provider",
      "model",
    ]),
    queueLength: gauge("openclaw_queue_lane_size", "Requests that wait for an upstream that has a place, by priority", [
      "lane",
    ]),
    queueWait: histogram(
      "openclaw_queue_wait_seconds",
      "Time in that queue, by what ended it: served, timeout, left",
      seconds,
      ["priority", "outcome"],
    ),
    queueRejected: counter(
      "openclaw_queue_rejected_total",
      "Requests refused because every upstream was full: full (queue), timeout, quota",
      ["reason", "priority"],
    ),
    breakerState: gauge("openclaw_upstream_breaker_state", "0 closed, 1 half-open, 2 open; as of its last call", [
      "provider",
      "model",
    ]),
    breakerOpened: counter("openclaw_upstream_breaker_opened_total", "Times that an upstream was left alone, by reason", [
      "provider",
      "model",
      "reason",
    ]),
    upstreamUp: gauge("openclaw_upstream_up", "1 when the provider answered the last look at it", ["provider"]),
    configReloads: counter("openclaw_config_reloads_total", "Changes of the config, by what came of them", ["result"]),
    configGeneration: gauge("openclaw_config_generation", "Grows with each config that was applied"),
    configValid: gauge("openclaw_config_valid", "0 while the file on disk is invalid and an older config is in force"),
    restartPending: gauge("openclaw_config_restart_pending", "1 while a changed setting waits for a restart"),
    secretReloads: counter("openclaw_secret_reloads_total", "Changes of secret files, by what came of them", ["result"]),
    limitsRejected: counter(
      "openclaw_limits_rejected_total",
      "Requests refused by a limit: requests, tokens, concurrent, budget, model, address or lockout",
      ["reason", "token"],
    ),
    budgetLeft: gauge("openclaw_budget_left", "What a token may still spend in its present window, in its currency", ["token"]),
    lockouts: counter("openclaw_auth_lockouts_total", "Addresses locked out after too many wrong tokens"),
    draining: gauge("openclaw_gateway_draining", "1 while the gateway finishes its last requests"),
  };
  gauge("openclaw_build_info", "Always 1", ["version"]).set(1, version);
  processMetrics(gauge);
  return metrics;
}

/** Of what there is once for all processes. */
function sharedMetrics({ counter, gauge }: ReturnType<typeof createRegistry>) {
  return {
    usageRecords: counter("openclaw_usage_records_total", "Records of usage, by what became of them", ["result"]),
    stateOwner: gauge("openclaw_state_owner", "1 while this process is the writer of the state folder"),
    redisUp: gauge("openclaw_redis_up", "1 while the shared Redis answers"),
    redisLost: counter("openclaw_redis_lost_total", "Times that the shared Redis was lost"),
  };
}

/** Of answers that a process keeps. */
function keptMetrics({ counter, gauge }: ReturnType<typeof createRegistry>) {
  return {
    keptBytes: gauge("openclaw_cache_bytes", "Memory taken by kept answers", ["store"]),
    keptEntries: gauge("openclaw_cache_entries", "Answers kept in memory", ["store"]),
    evictions: counter("openclaw_cache_evictions_total", "Kept answers that went: expired, or for want of room", [
      "store",
      "reason",
    ]),
  };
}

/** What the primary of several workers knows itself. */
export function createPrimaryMetrics() {
  const registry = createRegistry();
  const { counter, gauge } = registry;
  processMetrics(gauge);
  return {
    registry,
    ...sharedMetrics(registry),
    ...keptMetrics(registry),
    workers: gauge("openclaw_workers", "Processes that serve requests, by state", ["state"]),
    workerCrashes: counter("openclaw_worker_crashes_total", "Workers that ended unasked and were replaced"),
  };
}

function processMetrics(gauge: ReturnType<typeof createRegistry>["gauge"]): void {
  gauge("process_start_time_seconds", "Start of the process").set(Math.round((Date.now() - process.uptime() * 1000) / 1000));
  gauge("process_cpu_seconds_total", "Processor time used", [], () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  gauge("process_resident_memory_bytes", "Memory in use", [], () => process.memoryUsage.rss());
  gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use", [], () => process.memoryUsage().heapUsed);
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  gauge("nodejs_eventloop_lag_p99_seconds", "Delay of the event loop since the last scrape", [], () => {
    const value = delay.percentile(99) / 1e9;
    delay.reset();
    return Number.isFinite(value) ? value : 0;
  });
}
