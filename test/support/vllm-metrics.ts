// The text of a vLLM's /metrics, in the form that versions 0.10 to 0.32 give it: names, labels and order as prometheus_client writes them.
// Source: https://docs.vllm.ai/en/stable/usage/metrics/ and vllm/v1/metrics/loggers.py of the project's repository.

export interface VllmState {
  readonly model: string;
  readonly running: number;
  readonly waiting: number;
  readonly kv: number;
  /** Engines of one server (data parallel): the figures are written once for each, the load split between them. */
  readonly engines?: number;
  /** Before 0.10 the last figure had another name, and there was no engine label. */
  readonly old?: boolean;
}

const buckets = ["0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "+Inf"];

export function vllmMetrics({ model, running, waiting, kv, engines = 1, old = false }: VllmState): string {
  const all = Array.from({ length: engines }, (_, engine) => engine);
  const labels = (engine: number): string =>
    old ? `model_name="${escaped(model)}"` : `engine="${engine}",model_name="${escaped(model)}"`;
  const part = (total: number, engine: number): number => Math.floor(total / engines) + (engine < total % engines ? 1 : 0);
  const gauge = (name: string, help: string, value: (engine: number) => string, more = ""): string =>
    [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} gauge`,
      ...all.map((engine) => `${name}{${labels(engine)}${more}} ${value(engine)}`),
    ].join("\n");
  const histogram = (name: string, help: string): string =>
    [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} histogram`,
      ...all.flatMap((engine) => [
        ...buckets.map((le) => {
          const at = old ? `le="${le}",${labels(engine)}` : `engine="${engine}",le="${le}",model_name="${escaped(model)}"`;
          return `${name}_bucket{${at}} 3.0`;
        }),
        `${name}_count{${labels(engine)}} 3.0`,
        `${name}_sum{${labels(engine)}} 0.08`,
      ]),
    ].join("\n");
  return `${[
    "# HELP python_gc_objects_collected_total Objects collected during gc",
    "# TYPE python_gc_objects_collected_total counter",
    'python_gc_objects_collected_total{generation="0"} 11102.0',
    "# HELP process_resident_memory_bytes Resident memory size in bytes.",
    "# TYPE process_resident_memory_bytes gauge",
    "process_resident_memory_bytes 8.66488320e+08",
    gauge("vllm:num_requests_running", "Number of requests in model execution batches.", (engine) =>
      float(part(running, engine)),
    ),
    gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", (engine) => float(part(waiting, engine))),
    ...(old
      ? []
      : [
          gauge(
            "vllm:num_requests_waiting_by_reason",
            "Number of waiting requests by reason.",
            (engine) => float(part(waiting, engine)),
            ',reason="capacity"',
          ),
        ]),
    old
      ? gauge("vllm:gpu_cache_usage_perc", "GPU KV-cache usage. 1 means 100 percent usage.", () => String(kv))
      : gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", () => String(kv)),
    gauge("vllm:lora_requests_info", "Running stats on lora requests.", () => "1.7e+09"),
    "# HELP vllm:generation_tokens_total Number of generation tokens processed.",
    "# TYPE vllm:generation_tokens_total counter",
    ...all.map((engine) => `vllm:generation_tokens_total{${labels(engine)}} 27453.0`),
    histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds."),
    histogram("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds."),
    histogram("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds."),
  ].join("\n")}\n`;
}

const float = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));
const escaped = (text: string): string => text.replace(/\\/g, "\\\\").replace(/"/g, '\\"');
