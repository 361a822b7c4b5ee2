// Requests under way: each has a place until it leaves, and places are used again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLifecycle, type UnderWay } from "../../../gateway/process/lifecycle.ts";

const request = (): UnderWay => ({ place: -1, socket: undefined, closeAfter() {}, cut() {} });

test("what entered is under way until it leaves, in whatever order", () => {
  const lifecycle = createLifecycle();
  const [first, second, third] = [request(), request(), request()];
  lifecycle.enter(first);
  lifecycle.enter(second);
  assert.equal(lifecycle.active, 2);
  lifecycle.leave(first);
  lifecycle.leave(first);
  lifecycle.enter(third);
  assert.equal(lifecycle.active, 2);
  assert.deepEqual(new Set(lifecycle.underWay()), new Set([second, third]));
  lifecycle.leave(second);
  lifecycle.leave(third);
  assert.equal(lifecycle.active, 0);
  assert.deepEqual(lifecycle.underWay(), []);
});

test("who has left, or never came, takes nobody else's place away", () => {
  const lifecycle = createLifecycle();
  const [gone, here, never] = [request(), request(), request()];
  lifecycle.enter(gone);
  lifecycle.leave(gone);
  lifecycle.enter(here);
  lifecycle.leave(gone);
  lifecycle.leave(never);
  assert.deepEqual(lifecycle.underWay(), [here]);
});
