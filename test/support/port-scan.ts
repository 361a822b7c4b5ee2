/** Which ports answer, seen from elsewhere: all of TCP, and the usual ones of UDP. */
import { join } from "node:path";
import { z } from "zod";
import { runCommand } from "./outcome.ts";

const scanSchema = z.object({
  tcp: z.array(z.number()),
  tcpSilent: z.number(),
  udp: z.array(z.number()),
  udpSilent: z.array(z.number()),
});

export interface PortScan {
  /** Open TCP ports, ascending. */
  readonly tcp: number[];
  /** How many TCP ports neither opened nor refused: a firewall swallowed it. */
  readonly tcpSilent: number;
  /** Where a UDP probe was answered. */
  readonly udp: number[];
  /** Where nothing came back, neither an answer nor a refusal: closed by a firewall, or open and silent. */
  readonly udpSilent: number[];
}

export interface ScanOptions {
  /** What runs the scan elsewhere: a network host's prefix, or `fromContainer(pid)`. */
  readonly prefix?: readonly string[];
  /** All of them unless said otherwise: some seconds where ports refuse, half a minute where a firewall swallows. */
  readonly tcpPorts?: readonly number[];
  /** The usual ones unless said otherwise. Hosts refuse one a second: 20 s for all of them. */
  readonly udpPorts?: readonly number[];
}

/** Into the network of a process, as of a container's first one; its own files are not needed. */
export const fromContainer = (pid: number): string[] => ["nsenter", `--target=${pid}`, "--net"];

/** `address`: IPv4 or IPv6, a link-local one with its device. Run by Python, which every system here has, for its speed with sockets. */
export async function scanPorts(address: string, { prefix = [], tcpPorts, udpPorts }: ScanOptions = {}): Promise<PortScan> {
  const input = JSON.stringify({ address, tcp: tcpPorts ?? null, udp: udpPorts ?? usualUdpPorts });
  const command = [...prefix, "python3", "-I", join(import.meta.dirname, "port-scan.py")];
  const { code, stdout, text } = await runCommand(command, { input });
  if (code !== 0) throw new Error(`the scan of ${address} ended with ${code}:\n${text}`);
  return scanSchema.parse(JSON.parse(stdout));
}

/** SSH's, DNS, DHCP, TFTP, QUIC, portmap, NTP, NetBIOS, SNMP, IKE, syslog, SSDP, mDNS, VXLAN, WireGuard, and the numbers of our own ports. */
const usualUdpPorts = [
  22, 53, 67, 69, 80, 111, 123, 137, 161, 323, 443, 500, 514, 1900, 4789, 5353, 5355, 6379, 7946, 8000, 9090, 11434, 18789,
  18790, 51820,
];
