// Which addresses may be connected to: judged by the address that is really connected to, so that no name and no redirect leads around it.
import { type LookupAddress, type LookupAllOptions, lookup } from "node:dns";
import { BlockList, isIP, isIPv6, type LookupFunction } from "node:net";
import { GatewayError } from "../errors.ts";

/** any: all of them; private: all but link-local and metadata addresses; public: nothing on this machine or its networks either. */
export type Reach = "any" | "private" | "public";

/** What is configured is trusted as it is written, also on this machine or its network; credentials of clouds are not. */
export function reachOf(allowPrivateNetwork: boolean | undefined): Reach {
  if (allowPrivateNetwork === undefined) return "private";
  return allowPrivateNetwork ? "any" : "public";
}

/** Where clouds answer with the machine's own credentials, and link-local networks, where they live too. */
const linkLocal = subnets([
  "169.254.0.0/16",
  "fe80::/10",
  // AWS over IPv6, Alibaba, Oracle, and what translates to IPv4 within a site (RFC 8215).
  "fd00:ec2::/32",
  "100.100.100.200/32",
  "192.0.0.192/32",
  "64:ff9b:1::/48",
]);

/** https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry: what is not globally reachable. */
const notPublic = subnets([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/3",
  "::/128",
  "::1/128",
  "100::/64",
  "2001:db8::/32",
  "fc00::/7",
  "fec0::/10",
  "ff00::/8",
]);

/** Why this address may not be connected to; undefined: it may. */
export function refusal(address: string, reach: Reach): string | undefined {
  if (reach === "any") return undefined;
  const inner = embeddedIpv4(address) ?? address;
  if (holds(linkLocal, address) || holds(linkLocal, inner)) return "a link-local or metadata address";
  if (reach === "public" && (holds(notPublic, address) || holds(notPublic, inner))) return "an address of a private network";
  return undefined;
}

/** Of an address written as such, in brackets or not; a name is judged when it is looked up. */
export const hostRefusal = (host: string, reach: Reach): string | undefined => refusal(host.replace(/^\[|\]$/g, ""), reach);

/** Throws for an address that is refused. */
export function checkHost(host: string, reach: Reach): void {
  const why = hostRefusal(host, reach);
  if (why !== undefined) throw forbidden(host, why);
}

/** Names to addresses, as node:dns does it. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** For net.connect: a name whose addresses are all refused cannot be connected to; the connection goes to an address that was judged. */
export function guardedLookup(reach: Reach, resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const open = addresses.filter(({ address }) => refusal(address, reach) === undefined);
      const [first] = open;
      if (!first) {
        const why = refusal(addresses[0]?.address ?? "", reach) ?? "no address at all";
        return callback(forbidden(hostname, why), []);
      }
      if (options.all) callback(null, open);
      else callback(null, first.address, first.family);
    });
  };
}

function forbidden(host: string, why: string): GatewayError {
  return new GatewayError("destination_refused", `${host} is ${why}, which this gateway does not connect to`);
}

function subnets(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits), isIPv6(address) ? "ipv6" : "ipv4");
  }
  return list;
}

const holds = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIPv6(address) ? "ipv6" : "ipv4");

/** The IPv4 address that an IPv6 address stands for: mapped (::ffff:0:0/96), translated (64:ff9b::/96), 6to4 (2002::/16). */
function embeddedIpv4(address: string): string | undefined {
  const groups = isIPv6(address) ? expand(address) : undefined;
  if (!groups) return undefined;
  const [a = 0, b = 0] = groups;
  const prefix = groups.slice(0, 6).join(":");
  if (prefix === "0:0:0:0:0:65535" || prefix === "100:65435:0:0:0:0" || prefix === "0:0:0:0:0:0")
    return dotted(groups[6] ?? 0, groups[7] ?? 0);
  return a === 0x2002 ? dotted(b, groups[2] ?? 0) : undefined;
}

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** The eight groups as numbers. */
function expand(address: string): number[] {
  const plain = (address.split("%")[0] ?? "").replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = "", tail] = plain.split("::");
  const numbers = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const before = numbers(head);
  if (tail === undefined) return before;
  const after = numbers(tail);
  return [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
}
