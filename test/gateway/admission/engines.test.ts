// An engine's figures: read from the text it really sends, used while fresh, and brought up to now by the gateway's own calls.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEngineReader } from "../../../gateway/models/admission/engine-metrics.ts";
import { createEngine } from "../../../gateway/models/admission/engines.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { vllmMetrics } from "../../support/vllm-metrics.ts";

function read(text: string, step = text.length) {
  const reader = createEngineReader();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
  return Object.fromEntries(reader.end());
}

test("the three figures are found among the others, however the text is cut", () => {
  const text = vllmMetrics({ model: "Qwen/Qwen3.5-35B", running: 24, waiting: 72, kv: 0.34 });
  const wanted = { "Qwen/Qwen3.5-35B": { running: 24, waiting: 72, kv: 0.34 } };
  for (const step of [text.length, 1, 7, 4096]) assert.deepEqual(read(text, step), wanted);
  assert.deepEqual(read(text.trimEnd()), wanted, "without the last line end");
  assert.deepEqual(read(text.replaceAll("\n", "\r\n")), wanted, "with the other line ends");
});

test("several engines of one server are summed; reasons are not counted twice; quotes in names", () => {
  const text = vllmMetrics({ model: 'a "quoted" \\name', running: 5, waiting: 3, kv: 0.5, engines: 2 });
  assert.deepEqual(read(text), { 'a "quoted" \\name': { running: 5, waiting: 3, kv: 0.5 } });
});

test("the older name of the cache's figure is read too", () => {
  assert.deepEqual(read(vllmMetrics({ model: "m", running: 1, waiting: 0, kv: 0.25, old: true })), {
    m: { running: 1, waiting: 0, kv: 0.25 },
  });
});

test("what is no vLLM gives nothing, and no endless line is kept", () => {
  assert.deepEqual(read("<!doctype html>\n<p>hello"), {});
  assert.deepEqual(read("vllm:num_requests_running NaN\nvllm:num_requests_waiting{} x\n"), {});
  assert.deepEqual(read(`vllm:${"x".repeat(1_000_000)}`, 1000), {});
});

function setUp() {
  const clock = manualClock();
  const state = { model: "m", running: 0, waiting: 0, kv: 0.1 };
  let active = 0;
  let fails = false;
  const engine = createEngine({
    clock,
    pollMs: 1000,
    read: async () => {
      if (fails) throw new Error("no page");
      return Buffer.from(vllmMetrics(state));
    },
    active: () => active,
    onLook: () => {},
  });
  return {
    clock,
    engine,
    state,
    call: (count: number) => {
      active += count;
    },
    fail: () => {
      fails = true;
    },
  };
}

test("load is what the engine said and what was done since", async () => {
  const { engine, state, call } = setUp();
  assert.equal(engine.load("m"), undefined, "unknown before the first look");
  call(3);
  Object.assign(state, { running: 10, waiting: 2 });
  await engine.look();
  assert.equal(engine.load("m"), 12, "others' requests and those under way here are in it");
  call(4);
  assert.equal(engine.load("m"), 16);
  call(-6);
  assert.equal(engine.load("m"), 10);
  assert.equal(engine.load("an adapter that the engine does not name"), 10, "by the whole engine");
  engine.close();
});

test("figures older than three looks are unknown", async () => {
  const { engine, clock, state, fail } = setUp();
  state.running = 5;
  await engine.look();
  fail();
  clock.advance(2900);
  assert.equal(engine.load("m"), 5);
  clock.advance(200);
  assert.equal(engine.load("m"), undefined);
  assert.equal(engine.waitingWithOneMore("m"), undefined);
  engine.close();
});

test("how many fit is learned while others wait, and learned again when more do", async () => {
  const { engine, state, call } = setUp();
  Object.assign(state, { running: 30, waiting: 0 });
  await engine.look();
  assert.equal(engine.waitingWithOneMore("m"), 0, "nobody knows how many fit");
  Object.assign(state, { running: 32, waiting: 4 });
  await engine.look();
  assert.equal(engine.waitingWithOneMore("m"), 5);
  Object.assign(state, { running: 30, waiting: 0 });
  await engine.look();
  assert.equal(engine.waitingWithOneMore("m"), 0);
  call(4);
  assert.equal(engine.waitingWithOneMore("m"), 3, "known before the next look");
  call(-4);
  Object.assign(state, { running: 36, waiting: 0 });
  await engine.look();
  assert.equal(engine.waitingWithOneMore("m"), 0, "smaller requests: more fit");
  engine.close();
});
