/** The target `vm` with Caddy and ufw on Debian 13. */
import { vmTargetSuite } from "../support/vm-target-suite.ts";

vmTargetSuite({
  name: "vm-caddy",
  suite: "trixie",
  proxy: "caddy",
  firewall: "ufw",
  rounds: 10,
  // Caddy ends WebSockets in order (1001) when it reads its files again; a message under way is then not answered.
  allowed: ({ kind, got, phase }) => kind === "websocket" && /^round/.test(phase) && /^a close with code 1001/.test(got),
});
