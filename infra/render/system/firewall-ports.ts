/** The ports that a firewall lets in, and how the SSH server's own are found on the server. */
import type { Machine } from "./machine.ts";

/** Of the proxy, or of the gateway where it is reached itself, and what the settings add. */
export function servedPorts({ proxy, gateway, firewall }: Machine): number[] {
  const own = proxy.kind === "none" ? [gateway.port] : [proxy.httpPort, ...(proxy.httpsPort ? [proxy.httpsPort] : [])];
  return ascending([...own, ...firewall.allowedPorts]);
}

export const sshPorts = ({ ssh }: Machine): number[] => ascending(ssh.ports);

const ascending = (ports: number[]): number[] => [...new Set(ports)].sort((a, b) => a - b);

/**
 * Shell: prints the ports that the SSH server is set to now, one a line; somebody may have moved it since these files were
 * made. sshd wants its folder, which does not exist early in a boot.
 */
export const printSshPorts = [
  "ssh_ports() {",
  "  mkdir -p -m 0755 /run/sshd",
  "  sshd -T 2> /dev/null | sed -n 's/^port //p; s/^listenaddress .*:\\([0-9]*\\)$/\\1/p' | sort -u",
  "}",
];
