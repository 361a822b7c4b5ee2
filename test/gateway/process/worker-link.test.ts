// Calls and notes between the primary and its workers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  createHub,
  createLink,
  createLinkPair,
  defineCall,
  defineNote,
  LinkError,
} from "../../../gateway/process/worker-link.ts";

const double = defineCall("double", z.object({ value: z.number() }), z.number());
const heard = defineNote("heard", z.object({ text: z.string() }));

test("a call is answered, also by a handler that takes its time, and each gets its own answer", async () => {
  const { a, b } = createLinkPair();
  b.answer(double, async ({ value }) => {
    if (value === 1) await new Promise((resolve) => setImmediate(resolve));
    return value * 2;
  });
  assert.deepEqual(await Promise.all([a.call(double, { value: 1 }), a.call(double, { value: 2 })]), [2, 4]);
});

test("what goes wrong is an error with its reason: nobody answers, thrown, wrong shapes, too late, gone", async () => {
  const { a, b, close } = createLinkPair();
  const reason = (wanted: LinkError["reason"], text: RegExp) => (error: unknown) =>
    error instanceof LinkError && error.reason === wanted && text.test(error.message);
  await assert.rejects(a.call(double, { value: 1 }), reason("failed", /nobody answers/));
  b.answer(double, () => {
    throw new Error("not today");
  });
  await assert.rejects(a.call(double, { value: 1 }), reason("failed", /not today/));
  b.answer(defineCall("double", z.object({ value: z.string() }), z.number()), () => 1);
  await assert.rejects(a.call(double, { value: 1 }), reason("failed", /another shape/));
  b.answer(defineCall("double", z.unknown(), z.unknown()), () => "two");
  await assert.rejects(a.call(double, { value: 1 }), reason("failed", /another shape/));
  const never = new Promise<number>(() => {});
  b.answer(double, () => never);
  await assert.rejects(a.call(double, { value: 1 }, 10), reason("timeout", /within 10 ms/));
  const open = a.call(double, { value: 1 });
  close();
  await assert.rejects(open, reason("closed", /gone/));
  await assert.rejects(a.call(double, { value: 1 }), reason("closed", /gone/));
  assert.equal(a.closed, true);
});

test("what is not an envelope, or a note of another shape, is passed over", async () => {
  const texts: string[] = [];
  let deliver: (message: unknown) => void = () => {};
  const link = createLink({
    send: () => true,
    onMessage(handler) {
      deliver = handler;
    },
    onClose() {},
  });
  link.on(heard, ({ text }) => texts.push(text));
  for (const message of [null, 5, "x", { type: "note" }, { type: "note", name: "heard", body: { text: 5 } }]) deliver(message);
  deliver({ type: "note", name: "heard", body: { text: "right" } });
  assert.deepEqual(texts, ["right"]);
});

test("the hub answers every worker, also one that comes later, and passes notes on to the others alone", async () => {
  const hub = createHub();
  const workers = [createLinkPair(), createLinkPair()];
  const texts: string[] = [];
  const [first, second] = workers;
  assert.ok(first && second);
  hub.add(1, first.a);
  hub.answer(double, ({ value }, worker) => value * 2 + worker);
  hub.relay(heard);
  hub.add(2, second.a);
  assert.deepEqual([await first.b.call(double, { value: 10 }), await second.b.call(double, { value: 10 })], [21, 22]);
  first.b.on(heard, ({ text }) => texts.push(`1 ${text}`));
  second.b.on(heard, ({ text }) => texts.push(`2 ${text}`));
  first.b.tell(heard, { text: "from one" });
  // Answered after what was told before it.
  await first.b.call(double, { value: 0 });
  await second.b.call(double, { value: 0 });
  assert.deepEqual(texts, ["2 from one"]);
  const gone: number[] = [];
  hub.onGone((worker) => gone.push(worker));
  first.close();
  assert.deepEqual([gone, [...hub.links().keys()]], [[1], [2]]);
});
