// The exposition text: whole and in order however many label sets there are, written in pieces that others can run between.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRegistry } from "../../gateway/observability/registry.ts";
import { bearer, fakeConfig, startGateway } from "../support/gateway.ts";

test("a label set is one piece, and the pieces together are the text", () => {
  const registry = createRegistry();
  const requests = registry.counter("requests_total", "Requests", ["model"]);
  const seconds = registry.histogram("seconds", "Seconds", [0.1, 1], ["model"]);
  for (let index = 0; index < 2000; index += 1) {
    requests.add(index, `model-${index}`);
    seconds.observe(0.5, `model-${index}`);
    seconds.observe(5, `model-${index}`);
  }
  const pieces = [...registry.render()];
  assert.ok(pieces.length > 10, `${pieces.length} pieces`);
  for (const piece of pieces) {
    assert.ok(piece.length < 32_768);
    assert.ok(piece.endsWith("\n"));
  }
  const lines = pieces.join("").trimEnd().split("\n");
  assert.equal(lines.length, 2 + 2000 + 2 + 2000 * 5);
  assert.equal(lines.filter((line) => line.startsWith("# TYPE")).length, 2);
  const at = lines.indexOf('seconds_bucket{model="model-1999",le="0.1"} 0');
  assert.deepEqual(lines.slice(at + 1, at + 5), [
    'seconds_bucket{model="model-1999",le="1"} 1',
    'seconds_bucket{model="model-1999",le="+Inf"} 2',
    'seconds_sum{model="model-1999"} 5.5',
    'seconds_count{model="model-1999"} 2',
  ]);
});

test("a scrape of many label sets lets other requests through before it is done", async () => {
  const gateway = await startGateway(fakeConfig("http://127.0.0.1:9/v1"));
  try {
    const { metrics } = gateway.app.context;
    for (let index = 0; index < 2000; index += 1) {
      metrics.llmRequests.add(1, "fake", `model-${index}`, "ok");
      for (const histogram of [metrics.llmLatency, metrics.firstToken, metrics.interToken])
        histogram.observe(1, "fake", `model-${index}`);
    }
    const order: string[] = [];
    const scrape = fetch(`${gateway.url}/metrics`, { headers: bearer }).then(async (answer) => {
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      assert.ok(answer.headers.get("x-request-id"));
      const text = await answer.text();
      order.push("scrape");
      return text;
    });
    while (!order.includes("scrape") && order.length < 5) {
      await (await fetch(`${gateway.url}/healthz`)).arrayBuffer();
      order.push("health");
    }
    const text = await scrape;
    assert.equal(order[0], "health");
    assert.equal(text.match(/^openclaw_llm_latency_seconds_count\{/gm)?.length, 2000);
    assert.equal(text.match(/^openclaw_llm_requests_total\{/gm)?.length, 2000);
  } finally {
    await gateway.close();
  }
});
