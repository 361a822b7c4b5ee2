// The circuit breaker by a clock of its own: when it opens, for how long, and who may try.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBreaker } from "../../gateway/models/breaker.ts";
import { retryAfterMs } from "../../gateway/models/upstreams.ts";

function breakerAt(failures = 3, errorRate = { threshold: 0.5, minRequests: 20, windowMs: 10_000 }) {
  const clock = { now: 0 };
  const opened: string[] = [];
  const breaker = createBreaker(
    () => ({ failures, errorRate, openMs: 1000, maxOpenMs: 3000 }),
    () => clock.now,
    (reason) => opened.push(reason),
  );
  return { breaker, clock, opened };
}

test("failures in a row open it; a success between begins anew", () => {
  const { breaker, opened } = breakerAt();
  for (const outcome of ["fail", "fail", "succeed", "fail", "fail"] as const) {
    const call = breaker.begin();
    if (outcome === "fail") call.failed("upstream_failed");
    else call.succeeded();
  }
  assert.equal(breaker.state, "closed");
  breaker.begin().failed("upstream_timeout");
  assert.equal(breaker.state, "open");
  assert.equal(breaker.waitMs(), 1000);
  assert.deepEqual(opened, ["upstream_timeout"]);
});

test("half-open lets one call try; a failed trial doubles the pause up to its bound", () => {
  const { breaker, clock } = breakerAt(1);
  breaker.begin().failed("upstream_failed");
  for (const pause of [1000, 2000, 3000, 3000]) {
    assert.equal(breaker.waitMs(), pause);
    clock.now += pause;
    assert.equal(breaker.state, "half-open");
    assert.equal(breaker.waitMs(), 0);
    const trial = breaker.begin();
    assert.equal(breaker.waitMs(), Number.POSITIVE_INFINITY, "the others wait for the trial");
    trial.failed("upstream_failed");
  }
  clock.now += 3000;
  breaker.begin().succeeded();
  assert.equal(breaker.state, "closed");
  assert.equal(breaker.failures, 0);
});

test("a trial whose client left frees the place for the next one", () => {
  const { breaker, clock } = breakerAt(1);
  breaker.begin().failed("upstream_failed");
  clock.now += 1000;
  breaker.begin().neither();
  assert.equal(breaker.waitMs(), 0);
  assert.equal(breaker.state, "half-open");
});

test("a trial that begins to answer lets the others in; when it is cut, it opens again", () => {
  const { breaker, clock } = breakerAt(3);
  for (let count = 0; count < 3; count += 1) breaker.begin().failed("upstream_failed");
  clock.now += 1000;
  const trial = breaker.begin();
  trial.answered();
  assert.equal(breaker.waitMs(), 0);
  trial.failed("upstream_cut");
  assert.equal(breaker.state, "open");
});

test("the upstream's own Retry-After opens it at once, within the bound; no look brings it forward", () => {
  const { breaker } = breakerAt(5);
  breaker.begin().failed("upstream_rate_limited", 2500);
  assert.equal(breaker.waitMs(), 2500);
  breaker.hint();
  assert.equal(breaker.waitMs(), 2500);
  breaker.begin().failed("upstream_rate_limited", 3_600_000);
  assert.equal(breaker.waitMs(), 3000);
});

test("a look that the upstream answers brings its trial forward", () => {
  const { breaker } = breakerAt(1);
  breaker.begin().failed("upstream_unreachable");
  breaker.hint();
  assert.equal(breaker.state, "half-open");
  assert.equal(breaker.waitMs(), 0);
});

test("calls that began before it opened do not make its pause longer", () => {
  const { breaker } = breakerAt(1);
  const calls = [breaker.begin(), breaker.begin(), breaker.begin()];
  for (const call of calls) call.failed("upstream_failed");
  assert.equal(breaker.waitMs(), 1000);
});

test("a share of failures opens it too, whatever succeeds between, once there are enough calls", () => {
  const { breaker, clock } = breakerAt(100, { threshold: 0.5, minRequests: 10, windowMs: 10_000 });
  for (let pair = 0; pair < 4; pair += 1) {
    breaker.begin().failed("upstream_failed");
    breaker.begin().succeeded();
  }
  breaker.begin().failed("upstream_failed");
  assert.equal(breaker.state, "closed", "nine calls are too few");
  breaker.begin().failed("upstream_failed");
  assert.equal(breaker.state, "open");
  clock.now += 1000;
  breaker.begin().succeeded();
  breaker.begin().failed("upstream_failed");
  assert.equal(breaker.state, "closed", "the trial began a new account");
});

test("failures that are older than the window do not count", () => {
  const { breaker, clock } = breakerAt(100, { threshold: 0.5, minRequests: 10, windowMs: 10_000 });
  for (let call = 0; call < 9; call += 1) breaker.begin().failed("upstream_failed");
  breaker.begin().succeeded();
  assert.equal(breaker.blank, false);
  clock.now += 10_000;
  assert.equal(breaker.blank, true);
  breaker.begin().failed("upstream_failed");
  assert.equal(breaker.state, "closed");
});

test("below the share it stays closed", () => {
  const { breaker } = breakerAt(100, { threshold: 0.5, minRequests: 10, windowMs: 10_000 });
  for (let call = 0; call < 60; call += 1) {
    if (call % 3 === 0) breaker.begin().failed("upstream_failed");
    else breaker.begin().succeeded();
  }
  assert.equal(breaker.state, "closed");
});

test("a call that began before it opened does not close it", () => {
  const { breaker } = breakerAt(1);
  const early = breaker.begin();
  breaker.begin().failed("upstream_failed");
  early.succeeded();
  assert.equal(breaker.state, "open");
});

test("Retry-After is seconds or a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs("7", now), 7000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:00:30 GMT", now), 30_000);
  assert.equal(retryAfterMs("soon", now), undefined);
  assert.equal(retryAfterMs(undefined, now), undefined);
});
