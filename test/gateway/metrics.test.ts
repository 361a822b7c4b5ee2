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

test("a bound label set counts into the series of its labels, and is shown once it was counted", () => {
  const registry = createRegistry();
  const requests = registry.counter("requests_total", "Requests", ["model", "outcome"]);
  const active = registry.gauge("active", "Active", ["model"]);
  const bound = requests.at("a", "ok");
  const gauge = active.at("a");
  assert.doesNotMatch([...registry.render()].join(""), /\{/);
  bound.add();
  requests.add(2, "a", "ok");
  bound.add(3);
  gauge.set(7);
  gauge.add(-1);
  active.add(1, "a");
  const text = [...registry.render()].join("");
  assert.match(text, /^requests_total\{model="a",outcome="ok"\} 6$/m);
  assert.match(text, /^active\{model="a"\} 7$/m);
});

test("beyond the bound on label sets a bound one counts into other, and one bound before stays what it is", () => {
  const registry = createRegistry();
  const requests = registry.counter("requests_total", "Requests", ["model"]);
  const before = requests.at("first");
  before.add();
  for (let index = 0; index < 2100; index += 1) requests.at(`model-${index}`).add();
  before.add();
  const text = [...registry.render()].join("");
  assert.match(text, /^requests_total\{model="first"\} 2$/m);
  assert.match(text, /^requests_total\{model="other"\} 101$/m);
  assert.equal(text.match(/^requests_total\{/gm)?.length, 2001);
});

test("a value is counted into the first bucket that is not below it", () => {
  for (const buckets of [[], [1], [0.005, 0.1, 1, 2.5, 10], Array.from({ length: 37 }, (_, index) => index / 3)]) {
    const registry = createRegistry();
    const seconds = registry.histogram("seconds", "Seconds", buckets, ["model"]);
    const bound = seconds.at("a");
    const values = [...buckets, ...buckets.map((limit) => limit + 1e-9), -1, 0, 1e9, Number.POSITIVE_INFINITY];
    for (const [index, value] of values.entries()) {
      if (index % 2 === 0) bound.observe(value);
      else seconds.observe(value, "a");
    }
    const text = [...registry.render()].join("");
    for (const limit of buckets) {
      const line = `seconds_bucket{model="a",le="${limit}"} ${values.filter((value) => value <= limit).length}\n`;
      assert.ok(text.includes(line), line);
    }
    assert.ok(text.includes(`seconds_bucket{model="a",le="+Inf"} ${values.length}\n`));
  }
});
