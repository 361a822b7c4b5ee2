// The authority in the process's own memory.
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { allowancesConformance } from "../../support/allowances-conformance.ts";

for (const leaseMs of [0, 1000]) {
  allowancesConformance(`in memory, leases of ${leaseMs} ms`, () => {
    let time = 1_800_000_000_123;
    return {
      allowances: createLocalAllowances({ now: () => time, leaseMs }),
      leaseMs,
      pass(ms) {
        time += ms;
      },
      close() {},
    };
  });
}
