// Where a request comes from: the socket's address, or behind trusted proxies the one that they name.
import type { IncomingHttpHeaders } from "node:http";
import { BlockList, isIP, isIPv6 } from "node:net";

/** `socketAddress` is the other end of the connection. */
export type ClientAddress = (headers: IncomingHttpHeaders, socketAddress: string) => string;

/**
 * Each trusted proxy vouches for the hop before it, so the list is read from its right end, up to the first address that
 * is no trusted proxy: what stands further left is the client's own claim. X-Forwarded-For is read, or where there is none
 * Forwarded (RFC 7239); a proxy must set one of them, and take away an X-Forwarded-For that it does not set itself.
 */
export function createClientAddress(trustedProxies: readonly string[]): ClientAddress {
  if (trustedProxies.length === 0) return (_, socketAddress) => plainAddress(socketAddress);
  const isTrusted = addressList(trustedProxies);
  return (headers, socketAddress) => {
    let address = plainAddress(socketAddress);
    if (!isTrusted(address)) return address;
    const hops = forwardedFor(headers);
    for (let index = hops.length - 1; index >= 0; index -= 1) {
      const hop = withoutPort(hops[index] ?? "");
      // An unreadable name ("unknown", "_hidden") hides all that is left of it.
      if (hop === undefined) return address;
      address = hop;
      if (!isTrusted(address)) return address;
    }
    return address;
  };
}

/** A test for addresses against a list of addresses and networks. */
export function addressList(list: readonly string[]): (address: string) => boolean {
  const blocks = new BlockList();
  for (const entry of list) {
    const [address = "", bits] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) blocks.addAddress(address, family);
    else blocks.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && blocks.check(plain, family === 6 ? "ipv6" : "ipv4");
  };
}

/** What counts as one client: an IPv4 address, or a /64 of IPv6, which is what one customer is given. */
export function addressGroup(address: string): string {
  const plain = plainAddress(address);
  if (!isIPv6(plain)) return plain;
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  // An IPv4 address at the end stands for two groups.
  const width = left.length + right.length + (right.at(-1)?.includes(".") || left.at(-1)?.includes(".") ? 1 : 0);
  const gap = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - width)).fill("0");
  const network = [...left, ...gap, ...right].slice(0, 4).map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""));
  return `${network.join(":")}::/64`;
}

export const isLoopbackAddress = (address: string): boolean => address === "::1" || address.startsWith("127.");

/** IPv4 in IPv6's clothes, and a link's name at the end, are the same address. */
function plainAddress(address: string): string {
  const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
  const zone = plain.indexOf("%");
  return zone === -1 ? plain : plain.slice(0, zone);
}

function forwardedFor(headers: IncomingHttpHeaders): string[] {
  const list = headers["x-forwarded-for"];
  if (list !== undefined) return (typeof list === "string" ? list : list.join(",")).split(",").map((hop) => hop.trim());
  const { forwarded } = headers;
  if (typeof forwarded !== "string") return [];
  return forwarded
    .split(",")
    .map((element) => /(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]*))/i.exec(element))
    .map((match) => match?.[1] ?? match?.[2] ?? "");
}

/** 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:80. */
function withoutPort(hop: string): string | undefined {
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+)(?::\d+)?$/.exec(hop)?.[1] ?? hop;
  const plain = plainAddress(address);
  return isIP(plain) === 0 ? undefined : plain;
}
