/** The target `vm` with Caddy and ufw on Debian 13. */
import { vmTargetSuite } from "../support/vm-target-suite.ts";

vmTargetSuite({
  name: "vm-caddy",
  suite: "trixie",
  proxy: "caddy",
  firewall: "ufw",
  rounds: 10,
  /**
   * When it reads its files again, Caddy ends WebSockets in order (1001), so that a message under way is not answered, and closes
   * kept connections: who sends a request in that very moment finds it closed before anything of an answer came. Of a message that
   * comes just after that end the system itself says that nobody reads it, and the client sees a reset instead.
   */
  allowed: ({ kind, got, phase, reused }) =>
    /^(round|rotation)/.test(phase) &&
    (kind === "websocket"
      ? /^(a close with code 1001|read ECONNRESET$)/.test(got)
      : reused && /^(socket hang up|read ECONNRESET|write EPIPE) before any answer/.test(got)),
});
