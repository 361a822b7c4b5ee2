/** The target `vm` with nginx and nftables on Debian 12. */
import { vmTargetSuite } from "../support/vm-target-suite.ts";

vmTargetSuite({
  name: "vm-nginx",
  suite: "bookworm",
  proxy: "nginx",
  firewall: "nftables",
  rounds: 10,
  /**
   * nginx before 1.27.4 closes a kept connection when a stream on it ends after a reload; who sends the next request in that very
   * moment finds it closed before anything of an answer came.
   */
  allowed: ({ reused, got, afterMs }) =>
    reused && afterMs < 100 && /^(socket hang up|read ECONNRESET) before any answer/.test(got),
});
