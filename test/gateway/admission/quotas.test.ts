// What was bought of a provider: never exceeded, spread over its keys, corrected by its own word, shared with other processes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { createMeter } from "../../../gateway/store/meter.ts";
import { type Request, routeOf, startAdmission } from "../../support/admission.ts";

const minute = 60_000;
const patient = { queue: { maxWaitMs: 80_000_000, maxLength: 10_000 } };

function most(requests: readonly Request[], windowMs = minute): number {
  const times = requests.flatMap(({ sentAt }) => sentAt ?? []).sort((a, b) => a - b);
  return Math.max(...times.map((time) => times.filter((one) => one >= time && one < time + windowMs).length));
}

test("60 a minute: what comes faster waits its turn, and no sliding minute holds more", () => {
  const { clock, send } = startAdmission({ admission: patient, quotas: { a: { requestsPerMinute: 60 } } });
  const requests: Request[] = [];
  for (let second = 0; second < 300; second += 1) {
    for (let index = 0; index < 3; index += 1) requests.push(send({ takesMs: 400 }));
    clock.advance(1000);
  }
  const sent = requests.filter(({ sentAt }) => sentAt !== undefined).length;
  assert.equal(most(requests), 60);
  assert.ok(sent >= 290, `${sent} in five minutes`);
});

test("several keys: each has its own quota, and all of them are used", () => {
  const { clock, send } = startAdmission({
    admission: patient,
    quotas: {
      a: {
        keys: [
          { id: "one", apiKey: "k1", requestsPerMinute: 10 },
          { id: "two", apiKey: "k2", requestsPerMinute: 30 },
        ],
      },
    },
  });
  const requests = Array.from({ length: 100 }, () => send({ takesMs: 100 }));
  clock.advance(1000);
  const of = (key: string): Request[] => requests.filter((request) => request.key === key);
  assert.deepEqual([of("k1").length, of("k2").length], [10, 30]);
  const order = requests.slice(0, 20).map(({ key }) => key);
  assert.ok(order.slice(0, 8).filter((key) => key === "k1").length <= 3, "the key with most left goes first");
  clock.advance(3 * minute);
  assert.ok(most(of("k1")) <= 10 && most(of("k2")) <= 30);
  assert.equal(requests.filter(({ sentAt }) => sentAt !== undefined).length, 100);
});

test("concurrent: as many as were bought", () => {
  const { clock, send } = startAdmission({ admission: patient, quotas: { a: { concurrent: 3 } } });
  const requests = Array.from({ length: 7 }, () => send({ takesMs: 1000 }));
  const count = () => requests.filter(({ sentAt }) => sentAt !== undefined).length;
  assert.equal(count(), 3);
  clock.advance(1000);
  assert.equal(count(), 6);
});

test("a key that the provider refuses rests as long as it says, and the other one is used", () => {
  const { clock, send } = startAdmission({
    admission: patient,
    quotas: {
      a: {
        keys: [
          { id: "one", apiKey: "k1" },
          { id: "two", apiKey: "k2", concurrent: 1 },
        ],
      },
    },
  });
  const refused = send({ takesMs: 10, answer: { status: 429, headers: { "retry-after": "7" } } });
  assert.equal(refused.key, "k1");
  clock.advance(10);
  const next = send();
  assert.equal(next.key, "k2");
  const waits = send();
  assert.equal(waits.sentAt, undefined);
  clock.advance(6999);
  assert.equal(waits.sentAt, undefined);
  clock.advance(1);
  assert.equal(waits.key, "k1");
});

test("a key that is refused without a word rests longer each time, and is well again after an answer", () => {
  const { clock, send } = startAdmission({ admission: patient, quotas: { a: {} } });
  const refused = { takesMs: 0, answer: { status: 429, headers: {} } };
  send(refused);
  clock.advance(0);
  const second = send(refused);
  clock.advance(10_000);
  assert.equal(second.sentAt, 1000);
  const third = send({ takesMs: 0, answer: { status: 200, headers: {} } });
  assert.equal(third.sentAt, 10_000, "its rest of 2 s is over");
  clock.advance(0);
  send(refused);
  clock.advance(0);
  const last = send();
  clock.advance(10_000);
  assert.equal(last.sentAt, 11_000, "counted from one again");
});

test("remaining: 0 is believed until the provider's limit has filled up", () => {
  const { clock, send } = startAdmission({ admission: patient, quotas: { a: {} } });
  const headers = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "1",
    "x-ratelimit-reset-requests": "59s",
  };
  send({ takesMs: 100, answer: { status: 200, headers } });
  clock.advance(100);
  assert.equal(send().sentAt, 100);
  const second = send();
  assert.equal(second.sentAt, undefined, "one is under way that the provider has not answered yet");
  clock.advance(999);
  assert.equal(second.sentAt, undefined);
  clock.advance(2);
  assert.notEqual(second.sentAt, undefined);
});

test("tokens: reserved by a guess, settled by what was used", () => {
  const { clock, send, record } = startAdmission({
    admission: patient,
    quotas: { a: { tokensPerMinute: 10_000, guardMs: 0 } },
  });
  const body = JSON.stringify({ max_tokens: 6000, messages: [{ role: "user", content: "hello" }] });
  const first = send({ body });
  const second = send({ body });
  assert.equal(second.sentAt, undefined);
  first.place?.leave(record("ok", { input: 10, output: 90 }));
  assert.equal(second.sentAt, 0, "the first used 100");
  assert.equal(send({ body }).sentAt, undefined);
  clock.advance(minute);
});

test("what is known to open later than anybody may wait is refused at once, with the time until then", () => {
  const { clock, send } = startAdmission({
    admission: { queue: { maxWaitMs: 10_000 } },
    quotas: { a: { requestsPerMinute: 2, guardMs: 0 } },
  });
  send({ takesMs: 0 });
  clock.advance(15_000);
  send({ takesMs: 0 });
  clock.advance(1000);
  const { error } = send();
  assert.equal(error?.status, 429);
  assert.equal(error?.retryAfter, "44");
  clock.advance(44_000);
  assert.notEqual(send().sentAt, undefined, "which is the truth");
});

test("Retry-After of a quota counts those that wait already", () => {
  const { clock, send } = startAdmission({
    admission: { queue: { maxWaitMs: 3_600_000, maxLength: 25 } },
    quotas: { a: { requestsPerMinute: 10, guardMs: 0 } },
  });
  const requests = Array.from({ length: 36 }, () => send({ takesMs: 0 }));
  const said = Number(requests[35]?.error?.retryAfterMs);
  clock.advance(10 * minute);
  const truth = Number(requests[34]?.sentAt);
  assert.ok(Math.abs(said - truth) <= 0.3 * truth, `said ${said}, was ${truth}`);
});

test("over the quota another upstream of the same request is used", () => {
  const { send } = startAdmission({ admission: patient, quotas: { a: { requestsPerMinute: 1 } } });
  const routes = [routeOf("a"), routeOf("b")];
  assert.deepEqual(
    [send({ routes }), send({ routes })].map(({ route }) => route?.provider.id),
    ["a", "b"],
  );
});

test("two processes share one quota", async () => {
  let time = 1_000_000;
  const authority = createLocalAllowances({ now: () => time, leaseMs: 500 });
  // The authority is another process: it answers later.
  const far = { ...authority, lease: async (request: Parameters<typeof authority.lease>[0]) => authority.lease(request) };
  const both = ["p", "q"].map((holder) =>
    startAdmission(
      { admission: patient, quotas: { a: { requestsPerMinute: 20 } } },
      createMeter(far, { holder, direct: false, now: () => time }),
    ),
  );
  const requests: Request[] = [];
  const step = async (ms: number): Promise<void> => {
    time += ms;
    for (const { clock } of both) clock.advance(ms);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  for (let index = 0; index < 30; index += 1) for (const { send } of both) requests.push(send({ takesMs: 10 }));
  for (let second = 0; second < 240; second += 1) await step(1000);
  const sent = requests.filter(({ sentAt }) => sentAt !== undefined).length;
  assert.ok(most(requests) <= 20, `${most(requests)} in one minute`);
  assert.equal(sent, 60);
});
