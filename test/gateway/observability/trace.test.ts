// Trace context in and out, and spans as a collector receives them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readTrace } from "../../../gateway/observability/trace-context.ts";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway } from "../../support/gateway.ts";
import { type Collector, type ReceivedSpan, startCollector } from "../../support/otlp-collector.ts";
import { startWithFallback } from "../../support/two-upstreams.ts";

let a: FakeUpstream;
let b: FakeUpstream;
let collector: Collector;
before(async () => {
  [a, b, collector] = await Promise.all([startFakeUpstream(), startFakeUpstream(), startCollector()]);
});
after(() => Promise.all([a.close(), b.close(), collector.close()]));

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentId = "00f067aa0ba902b7";
const given = (flags = "01"): string => `00-${traceId}-${parentId}-${flags}`;
const shape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]$/;

async function sentTo(upstream: FakeUpstream): Promise<{ trace: string; span: string; headers: Record<string, string> }> {
  const headers = (await upstream.ledger()).at(-1)?.headers ?? {};
  const [, trace = "", span = ""] = shape.exec(headers.traceparent ?? "") ?? [];
  return { trace, span, headers };
}

const logOf = (gateway: TestGateway): string =>
  gateway.lines.findLast((line) => line.includes('"route":"/v1/chat/completions"')) ?? "";

test("without spans: the trace goes on to the upstream with a span of its own, and into the log", async () => {
  await a.script([{}]);
  const gateway = await startGateway(fakeConfig(a.baseUrl));
  try {
    const ask = async (headers: Record<string, string>): Promise<void> => {
      await (await chat(gateway.url, { model: "fake-model" }, { ...bearer, ...headers })).text();
    };
    await ask({ traceparent: given(), tracestate: "vendor=1,other=2", "x-request-id": "mine-1" });
    const passed = await sentTo(a);
    assert.equal(passed.trace, traceId);
    assert.notEqual(passed.span, parentId);
    assert.match(passed.headers.traceparent ?? "", /-01$/);
    assert.equal(passed.headers.tracestate, "vendor=1,other=2");
    assert.equal(passed.headers["x-request-id"], "mine-1");
    assert.match(logOf(gateway), new RegExp(`"request_id":"mine-1".*"trace_id":"${traceId}"`));

    await ask({});
    const fresh = await sentTo(a);
    assert.match(fresh.trace, /^[0-9a-f]{32}$/);
    assert.match(fresh.headers.traceparent ?? "", /-00$/, "nobody records it");
    assert.ok(logOf(gateway).includes(`"trace_id":"${fresh.trace}"`));

    await ask({ traceparent: "00-xyz", tracestate: "vendor=1" });
    const repaired = await sentTo(a);
    assert.match(repaired.trace, /^[0-9a-f]{32}$/);
    assert.equal(repaired.headers.tracestate, undefined);
  } finally {
    await gateway.close();
  }
});

test("the request's id is in answers, failures, the upstream's call and the log", async () => {
  await a.script([{}, { status: 500 }]);
  const gateway = await startGateway(fakeConfig(a.baseUrl));
  try {
    for (const id of ["fine", "failed"]) {
      const response = await chat(gateway.url, { model: "fake-model" }, { ...bearer, "x-request-id": id });
      await response.text();
      assert.equal(response.headers.get("x-request-id"), id);
      assert.equal((await sentTo(a)).headers["x-request-id"], id);
      assert.ok(logOf(gateway).includes(`"request_id":"${id}"`));
    }
    const nowhere = await fetch(`${gateway.url}/nowhere`, { headers: { "x-request-id": "lost" } });
    await nowhere.text();
    assert.equal(nowhere.headers.get("x-request-id"), "lost");
    const odd = await chat(gateway.url, { model: "fake-model" }, { ...bearer, "x-request-id": 'a"b' });
    await odd.text();
    assert.match(odd.headers.get("x-request-id") ?? "", /^[0-9a-f]{32}$/);
  } finally {
    await gateway.close();
  }
});

test("trace contexts that are none begin a new trace", () => {
  const wrong = [
    `ff-${traceId}-${parentId}-01`,
    `00-${"0".repeat(32)}-${parentId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${traceId}-${parentId}`,
    "",
  ];
  for (const traceparent of wrong) {
    const trace = readTrace({ traceparent, tracestate: "a=1" }, 0);
    assert.notEqual(trace.traceId, traceId, traceparent);
    assert.deepEqual([trace.parentId, trace.sampled, trace.state], [undefined, false, undefined]);
  }
  assert.equal(readTrace({ traceparent: `01-${traceId}-${parentId}-01-more` }, 0).parentId, parentId);
  assert.equal(readTrace({ traceparent: given("00") }, 1).sampled, false, "the caller decided");
  assert.equal(readTrace({ traceparent: given("01") }, 0).sampled, true);
  assert.equal(readTrace({ traceparent: given(), tracestate: "x".repeat(600) }, 0).state, undefined);
  const sampled = Array.from({ length: 4000 }, () => readTrace({}, 0.25)).filter((trace) => trace.sampled).length;
  assert.ok(sampled > 800 && sampled < 1200, `${sampled} of 4000`);
  assert.equal(new Set(Array.from({ length: 4000 }, () => readTrace({}, 0).traceId)).size, 4000);
});

const tracing = (more: object = {}) => ({
  enabled: true,
  endpoint: collector.url,
  headers: { "x-collector-key": "collector-secret-123" },
  serviceName: "gateway-under-test",
  ...more,
});

test("a span of the request, and one of each upstream that was asked, by the GenAI conventions", async () => {
  await Promise.all([a.script([{ status: 500 }]), b.script([{}])]);
  const gateway = await startWithFallback(a.baseUrl, b, {
    tracing: tracing(),
    routing: { fallbacks: { "a/fake-model": ["b/fake-model"] } },
  });
  const begun = collector.spans().length;
  try {
    const secretText = "the question that nobody else may read";
    const body = { model: "a/fake-model", stream: true, messages: [{ role: "user", content: secretText }] };
    const headers = { ...bearer, traceparent: given(), tracestate: "vendor=1", "x-request-id": "traced-1" };
    await (await chat(gateway.url, body, headers)).text();
    const spans = (await collector.until(begun + 3)).slice(begun);
    const [server] = spans.filter(({ kind }) => kind === 2);
    const [failed, answered] = spans.filter(({ kind }) => kind === 3);
    assert.ok(server && failed && answered);

    assert.deepEqual([server.traceId, server.parentSpanId, server.traceState], [traceId, parentId, "vendor=1"]);
    assert.equal(server.name, "POST /v1/chat/completions");
    assert.equal(server.attributes["http.response.status_code"], 200);
    assert.equal(server.attributes["openclaw.request_id"], "traced-1");

    for (const span of [failed, answered]) assert.deepEqual([span.traceId, span.parentSpanId], [traceId, server.spanId]);
    assert.equal(failed.spanId, (await sentTo(a)).span, "the upstream was told this span");
    assert.equal(answered.spanId, (await sentTo(b)).span);
    assert.deepEqual([failed.attributes["error.type"], failed.status.code], ["upstream_failed", 2]);

    const { attributes } = answered;
    const wanted = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "fake-model",
      "gen_ai.response.model": "fake-model",
      "gen_ai.response.id": "chatcmpl-fake",
      "gen_ai.usage.input_tokens": 7,
      "gen_ai.usage.output_tokens": 5,
      "openclaw.provider": "b",
      "openclaw.outcome": "ok",
      "server.address": "127.0.0.1",
      "server.port": b.port,
    };
    for (const [name, value] of Object.entries(wanted)) assert.equal(attributes[name], value, name);
    assert.equal(answered.name, "chat fake-model");
    assert.equal(answered.status.code ?? 0, 0);
    assert.ok(nanos(answered.endTimeUnixNano) >= nanos(answered.startTimeUnixNano));
    assert.ok(nanos(server.startTimeUnixNano) <= nanos(failed.startTimeUnixNano) + 2_000_000n);

    assert.equal(collector.resources.at(-1)?.["service.name"], "gateway-under-test");
    assert.equal(collector.headers.at(-1)?.["x-collector-key"], "collector-secret-123");
    for (const hidden of [secretText, "Hello", "collector-secret-123", bearer.authorization.slice(7)])
      assert.ok(!collector.text().includes(hidden), `spans hold ${hidden}`);
  } finally {
    await gateway.close();
  }
});

const nanos = (text: string): bigint => BigInt(text);

test("what is not sampled is not sent, and the upstream is told so; the last spans are sent at the end", async () => {
  await a.script([{}]);
  const gateway = await startGateway(fakeConfig(a.baseUrl, { tracing: tracing() }));
  const begun = collector.spans().length;
  await (await chat(gateway.url, { model: "fake-model" }, { ...bearer, traceparent: given("00") })).text();
  assert.match((await sentTo(a)).headers.traceparent ?? "", /-00$/);
  await (await chat(gateway.url, { model: "fake-model" }, { ...bearer, "x-request-id": "own-trace" })).text();
  assert.match((await sentTo(a)).headers.traceparent ?? "", /-01$/);
  await gateway.close();
  const spans: readonly ReceivedSpan[] = collector.spans().slice(begun);
  assert.deepEqual(spans.map(({ kind }) => kind).toSorted(), [2, 3]);
  assert.ok(spans.every(({ attributes }) => attributes["openclaw.request_id"] === "own-trace"));
  assert.equal(spans.find(({ kind }) => kind === 2)?.parentSpanId ?? "", "");
});

test("a collector that is not there stops nobody and is said once, without its answer or its key", async () => {
  await a.script([{}]);
  const gateway = await startGateway(fakeConfig(a.baseUrl, { tracing: tracing({ endpoint: "http://127.0.0.1:1/v1/traces" }) }));
  try {
    for (let call = 0; call < 3; call += 1) {
      const response = await chat(gateway.url, { model: "fake-model" });
      await response.text();
      assert.equal(response.status, 200);
    }
    await gateway.app.finish();
    const said = gateway.lines.filter((line) => line.includes("spans_not_sent"));
    assert.equal(said.length, 1);
    assert.ok(!gateway.lines.join("").includes("collector-secret-123"));
  } finally {
    await gateway.close();
  }
});
