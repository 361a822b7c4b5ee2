/** Which ports answer, seen from elsewhere: all of TCP, and the usual ones of UDP. */

export interface PortScan {
  /** Open TCP ports, ascending. */
  readonly tcp: number[];
  /** Where a UDP probe was answered. */
  readonly udp: number[];
  /** Where nothing came back, neither an answer nor a refusal: closed by a firewall, or open and silent. */
  readonly udpSilent: number[];
}

export interface ScanOptions {
  /** What runs the scan elsewhere: a network host's prefix, or ["docker", "-H", host, "exec", container] with `program`. */
  readonly prefix?: readonly string[];
  /** All of TCP takes a few seconds where ports refuse, and half a minute where a firewall swallows. */
  readonly tcpPorts?: readonly number[];
  readonly udpPorts?: readonly number[];
}

/** `address`: IPv4 or IPv6, a link-local one with its device. */
export async function scanPorts(address: string, _options: ScanOptions = {}): Promise<PortScan> {
  throw new Error(`no scan of ${address} yet`);
}
