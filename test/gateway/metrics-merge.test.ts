// Figures of several processes as those of one gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "../../gateway/observability/metrics.ts";
import {
  addedGauges,
  lowestGauges,
  mergeFigures,
  onlyCounters,
  parseFigures,
  renderFigures,
} from "../../gateway/observability/metrics-merge.ts";
import { createRegistry } from "../../gateway/observability/registry.ts";

function figures(requests: number, active: number, valid: number, observed: number) {
  const registry = createRegistry();
  registry.counter("openclaw_llm_requests_total", "Calls", ["model"]).add(requests, 'a "b" } 5');
  registry.gauge("openclaw_llm_requests_active", "Under way").set(active);
  registry.gauge("openclaw_config_valid", "Valid").set(valid);
  registry.gauge("openclaw_config_generation", "Generation").set(requests);
  registry.gauge("process_resident_memory_bytes", "Memory").set(requests);
  registry.gauge("nodejs_x", "Labelled", ["space"]).set(1, "old");
  registry.histogram("openclaw_llm_latency_seconds", "Latency", [0.1, 1]).observe(observed);
  return parseFigures([...registry.render()].join(""));
}

test("counters and histograms are added up, gauges by what they mean, a process's own are named after it", () => {
  const merged = mergeFigures([
    { by: "0", families: figures(3, 2, 1, 0.05) },
    { by: "1", families: figures(5, 4, 0, 0.5) },
  ]);
  const text = [...renderFigures(merged)].join("");
  for (const line of [
    "# TYPE openclaw_llm_requests_total counter",
    'openclaw_llm_requests_total{model="a \\"b\\" } 5"} 8',
    "openclaw_llm_requests_active 6",
    "openclaw_config_valid 0",
    "openclaw_config_generation 5",
    'process_resident_memory_bytes{worker="0"} 3',
    'process_resident_memory_bytes{worker="1"} 5',
    'nodejs_x{space="old",worker="1"} 1',
    'openclaw_llm_latency_seconds_bucket{le="0.1"} 1',
    'openclaw_llm_latency_seconds_bucket{le="+Inf"} 2',
    "openclaw_llm_latency_seconds_count 2",
  ])
    assert.ok(text.split("\n").includes(line), `${line} is not in\n${text}`);
  assert.equal(text.match(/# TYPE/g)?.length, 7);
  assert.deepEqual(parseFigures(text), merged, "what is rendered reads the same");
});

test("what a process that is gone has counted stays; what it had under way does not", () => {
  const gone = onlyCounters(figures(3, 2, 1, 0.05));
  const merged = mergeFigures([
    { by: "1", families: figures(5, 4, 1, 0.5) },
    { by: "", families: gone },
  ]);
  const text = [...renderFigures(merged)].join("");
  assert.match(text, /openclaw_llm_requests_total\{.*\} 8\n/);
  assert.match(text, /openclaw_llm_requests_active 4\n/);
});

test("the rules for gauges name gauges that there are", () => {
  const declared = parseFigures([...createMetrics("0").registry.render()].join(""));
  for (const name of [...addedGauges, ...lowestGauges]) assert.equal(declared.get(name)?.type, "gauge", name);
});
