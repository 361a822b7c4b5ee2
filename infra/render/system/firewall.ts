/** Which of the two firewalls, and what both have in common: the ports that are let in. */

import type { Machine, SystemFile } from "./machine.ts";
import { renderNftables } from "./nftables.ts";
import { renderUfw } from "./ufw.ts";

export function renderFirewall(machine: Machine): SystemFile[] {
  if (machine.firewall.kind === "off") return [];
  if (machine.ssh.ports.length === 0)
    throw new Error("renderFirewall: no SSH port is known; a firewall without one would lock everybody out");
  return machine.firewall.kind === "ufw" ? renderUfw(machine) : renderNftables(machine);
}
