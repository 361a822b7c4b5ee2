// Requests under way: each has a place until it leaves, and places are used again.
import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import { createLifecycle } from "../../../gateway/process/lifecycle.ts";

const answer = (): ServerResponse => new ServerResponse(new IncomingMessage(new Socket()));

test("what entered is under way until it leaves, in whatever order", () => {
  const lifecycle = createLifecycle();
  const [first, second, third] = [answer(), answer(), answer()];
  lifecycle.enter(first);
  lifecycle.enter(second);
  assert.equal(lifecycle.active, 2);
  lifecycle.leave(first);
  lifecycle.leave(first);
  lifecycle.enter(third);
  assert.equal(lifecycle.active, 2);
  assert.deepEqual(new Set(lifecycle.underWay().keys()), new Set([second, third]));
  lifecycle.leave(second);
  lifecycle.leave(third);
  assert.equal(lifecycle.active, 0);
  assert.equal(lifecycle.underWay().size, 0);
});

test("work is attached to what is under way, and to nothing that has left or never came", () => {
  const lifecycle = createLifecycle();
  const work = { cut() {} };
  const [gone, here, never] = [answer(), answer(), answer()];
  lifecycle.enter(gone);
  lifecycle.leave(gone);
  lifecycle.enter(here);
  // It has the place that the other one had.
  lifecycle.attach(gone, { cut: () => assert.fail("not under way") });
  lifecycle.attach(never, { cut: () => assert.fail("not under way") });
  assert.equal(lifecycle.underWay().get(here), undefined);
  lifecycle.attach(here, work);
  assert.equal(lifecycle.underWay().get(here), work);
  lifecycle.leave(never);
  assert.equal(lifecycle.active, 1);
});
