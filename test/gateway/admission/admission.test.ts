// Places and the queue before them: bounded, fair, by priority, left by who leaves, and honest about how long it takes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { routeOf, startAdmission } from "../../support/admission.ts";
import { vllmMetrics } from "../../support/vllm-metrics.ts";

const serviceMs = 5000;

test("no more than allowed are under way; who waits goes when a place is free", () => {
  const { clock, send } = startAdmission({ admission: { upstreams: { a: { maxConcurrent: 2 } } } });
  const requests = Array.from({ length: 4 }, () => send({ takesMs: serviceMs }));
  assert.deepEqual(
    requests.map(({ sentAt }) => sentAt),
    [0, 0, undefined, undefined],
  );
  clock.advance(serviceMs);
  assert.deepEqual(
    requests.map(({ sentAt }) => sentAt),
    [0, 0, serviceMs, serviceMs],
  );
});

test("a token with 100 queued requests delays another's first by at most two service times", () => {
  for (const places of [1, 2, 8]) {
    const { clock, send } = startAdmission({
      admission: { upstreams: { a: { maxConcurrent: places } }, queue: { maxWaitMs: 3_600_000 } },
    });
    for (let index = 0; index < 100 + places; index += 1) send({ caller: "busy", takesMs: serviceMs });
    clock.advance(serviceMs * 3.5);
    const other = send({ caller: "other", takesMs: serviceMs });
    clock.advance(2 * serviceMs);
    assert.ok(other.sentAt !== undefined && other.sentAt - other.askedAt <= 2 * serviceMs, `waited until ${other.sentAt}`);
  }
});

test("the queue is bounded in length and in time, and says 429 with Retry-After beyond that", () => {
  const { clock, send, metrics } = startAdmission({
    admission: { upstreams: { a: { maxConcurrent: 1 } }, queue: { maxLength: 2, maxWaitMs: 3000 } },
  });
  send();
  const first = send();
  const second = send();
  const third = send();
  assert.equal(third.error?.code, "overloaded");
  assert.equal(third.error?.status, 429);
  assert.ok(Number(third.error?.retryAfter) >= 1);
  const statuses = () => [first, second].map(({ error }) => error?.status);
  clock.advance(2999);
  assert.deepEqual(statuses(), [undefined, undefined]);
  clock.advance(1);
  assert.deepEqual(statuses(), [429, 429]);
  const text = [...metrics.registry.render()].join("");
  assert.match(text, /openclaw_queue_rejected_total\{reason="full",priority="normal"\} 1\n/);
  assert.match(text, /openclaw_queue_rejected_total\{reason="timeout",priority="normal"\} 2\n/);
  assert.match(text, /openclaw_queue_lane_size\{lane="normal"\} 0\n/);
  assert.match(text, /openclaw_queue_wait_seconds_count\{priority="normal",outcome="timeout"\} 2\n/);
});

test("a queued client that leaves is never sent, and its place in the queue is free", () => {
  const { clock, send } = startAdmission({ admission: { upstreams: { a: { maxConcurrent: 1 } }, queue: { maxLength: 1 } } });
  send({ takesMs: serviceMs });
  const gone = send({ takesMs: serviceMs });
  gone.leave();
  const next = send({ takesMs: serviceMs });
  clock.advance(serviceMs * 3);
  assert.equal(gone.sentAt, undefined);
  assert.equal(gone.error, undefined, "it is told nothing either");
  assert.equal(next.sentAt, serviceMs);
});

test("Retry-After is within 30 % of what a request in that place of the queue really waits", () => {
  for (const [places, queued, spread] of [
    [1, 6, 0],
    [2, 10, 0],
    [4, 30, 0.2],
    [8, 100, 0.5],
  ] as const) {
    let seed = 42;
    const took = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return serviceMs * (1 - spread + (2 * spread * seed) / 2 ** 31);
    };
    const { clock, send, admission, settings } = startAdmission({
      admission: { upstreams: { a: { maxConcurrent: places } }, queue: { maxLength: queued, maxWaitMs: 80_000_000 } },
    });
    // It has been busy for a while, with one request after the other; the last one that does not fit is refused.
    let refused = send();
    refused.place?.leave(undefined);
    for (let step = 0; step < 60; step += 1) {
      do refused = send({ takesMs: took() });
      while (refused.error === undefined);
      clock.advance(serviceMs / 7);
    }
    do refused = send({ takesMs: took() });
    while (refused.error === undefined);
    // The truth: with room for one more it is let in at the same moment.
    const { admission: before } = settings;
    admission.configure({ ...settings, admission: { ...before, queue: { ...before.queue, maxLength: queued + 1 } } });
    const last = send({ takesMs: took() });
    clock.advance(serviceMs * (queued + 10));
    const truth = (last.sentAt ?? Number.NaN) - last.askedAt;
    const said = Number(refused.error?.retryAfterMs);
    assert.ok(Math.abs(said - truth) <= 0.3 * truth, `${places} places, ${queued} queued: said ${said}, was ${truth}`);
  }
});

test("a priority header may lower what the token has, never raise it, and must be one", () => {
  const { clock, send } = startAdmission({
    admission: { upstreams: { a: { maxConcurrent: 1 } } },
    tokens: [
      { id: "fast", token: "t", priority: "interactive" },
      { id: "slow", token: "u", priority: "batch" },
    ],
  });
  send({ takesMs: serviceMs });
  const slow = send({ caller: "slow", priority: "interactive", takesMs: serviceMs });
  const lowered = send({ caller: "fast", priority: "batch", takesMs: serviceMs });
  const normal = send({ caller: "x", takesMs: serviceMs });
  const fast = send({ caller: "fast", takesMs: serviceMs });
  assert.equal(send({ caller: "x", priority: "urgent" }).error?.code, "invalid_request");
  clock.advance(serviceMs * 6);
  const order = [slow, lowered, normal, fast].map(({ sentAt }) => (sentAt ?? 0) / serviceMs);
  assert.deepEqual(order.slice(2).sort(), [1, 2].sort(), "the higher ones go before both of batch");
  assert.ok(Math.min(order[0] ?? 0, order[1] ?? 0) >= 2);
});

test("an engine that says it is full is full; the least loaded of those waited for is taken", async () => {
  const { clock, pages, send, admission, settings } = startAdmission({
    admission: { pollMs: 1000, upstreams: { a: { metrics: true, maxWaiting: 2 }, b: { metrics: true, maxWaiting: 2 } } },
  });
  const states = { a: { model: "m", running: 8, waiting: 3, kv: 0.5 }, b: { model: "m", running: 4, waiting: 5, kv: 0.5 } };
  pages.set("a", () => vllmMetrics(states.a));
  pages.set("b", () => vllmMetrics(states.b));
  const look = async (): Promise<void> => {
    clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await look();
  const routes = [routeOf("a"), routeOf("b")];
  const request = send({ routes });
  assert.equal(request.sentAt, undefined, "both have more waiting than they may");
  const { a, b } = settings.admission.upstreams;
  assert.ok(a && b);
  const more = { a: { ...a, maxWaiting: 20 }, b: { ...b, maxWaiting: 20 } };
  admission.configure({ ...settings, admission: { ...settings.admission, upstreams: more } });
  assert.equal(request.route?.provider.id, "b", "of two that have a place the one with less to do");
  assert.equal(admission.load(routeOf("b"), 0), 10, "with the call that it just got");
  Object.assign(states.b, { waiting: 0, kv: 0.99 });
  Object.assign(states.a, { waiting: 21 });
  await look();
  await look();
  assert.equal(send({ routes }).sentAt, undefined, "its cache is full");
  clock.advance(10_000);
  pages.clear();
  await look();
  clock.advance(3001);
  assert.notEqual(send({ routes }).sentAt, undefined, "what it said long ago does not count");
  admission.close();
});

test("a reload keeps what is under way and what waits, and puts new limits in force", () => {
  const { clock, send, admission, settings } = startAdmission({ admission: { upstreams: { a: { maxConcurrent: 1 } } } });
  send({ takesMs: serviceMs });
  const waiting = send({ takesMs: serviceMs });
  const { a } = settings.admission.upstreams;
  assert.ok(a);
  admission.configure({ ...settings, admission: { ...settings.admission, upstreams: { a: { ...a, maxConcurrent: 2 } } } });
  assert.equal(waiting.sentAt, 0, "one more may go at once");
  const third = send({ takesMs: serviceMs });
  assert.equal(third.sentAt, undefined, "the two under way are known");
  admission.configure({ ...settings, admission: { ...settings.admission, upstreams: {} } });
  assert.equal(third.sentAt, 0);
  clock.advance(serviceMs);
});
