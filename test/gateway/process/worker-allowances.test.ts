// Limits that a worker takes through the primary keep what every authority promises.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHub, createLinkPair } from "../../../gateway/process/worker-link.ts";
import { allowancesOverLink, serveAllowances } from "../../../gateway/process/worker-shared.ts";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { allowancesConformance } from "../../support/allowances-conformance.ts";

const leaseMs = 1000;

allowancesConformance("over the link to the primary", () => {
  let time = 1_000_000;
  const hub = createHub();
  const pair = createLinkPair();
  serveAllowances(hub, createLocalAllowances({ now: () => time, leaseMs }));
  hub.add(0, pair.a);
  return {
    allowances: allowancesOverLink(pair.b),
    leaseMs,
    async pass(ms) {
      time += ms;
    },
    close: () => pair.close(),
  };
});

test("what a worker held at the same time is free when it is gone; alone, it counts for itself", async () => {
  const hub = createHub();
  const [first, second] = [createLinkPair(), createLinkPair()];
  serveAllowances(hub, createLocalAllowances({ leaseMs }));
  hub.add(1, first.a);
  hub.add(2, second.a);
  const ask = { key: "k", rule: { kind: "concurrent", limit: 2 }, need: 1, want: 2, spare: 0, held: 0 } as const;
  const worker = allowancesOverLink(first.b);
  assert.equal((await worker.lease({ ...ask, holder: "a" })).granted, 2);
  const other = allowancesOverLink(second.b);
  assert.equal((await other.lease({ ...ask, holder: "b" })).granted, 0);
  first.close();
  assert.equal((await other.lease({ ...ask, holder: "b" })).granted, 2);
  assert.equal((await worker.lease({ ...ask, holder: "a" })).granted, 2);
});
