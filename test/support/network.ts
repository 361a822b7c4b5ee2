/** A network of a test's own: a bridge of this machine, on which machines and network namespaces have addresses of both kinds. */
import { execFileSync, spawnSync } from "node:child_process";
import { isRunning } from "./processes.ts";

export interface Network {
  /** The bridge's name here. */
  readonly bridge: string;
  /** This machine's addresses on it; servers of a test listen there. */
  readonly address4: string;
  readonly address6: string;
  /** How many bits of the addresses are the network's: 24 and 64. */
  readonly prefix4: number;
  readonly prefix6: number;
  /** Its next free pair of addresses. */
  take(): Addresses;
  /** A namespace with a wire to the bridge: another host, without files of its own. */
  addHost(): NetworkHost;
  /** With all hosts; machines must have stopped. */
  remove(): void;
}

export interface Addresses {
  readonly address4: string;
  readonly address6: string;
}

export interface NetworkHost extends Addresses {
  /** Its name for `ip netns`. */
  readonly name: string;
  /** To be put before a command that shall run in there: ["ip", "netns", "exec", name]. */
  readonly prefix: readonly string[];
}

const prefix4 = 24;
const prefix6 = 64;
let made = 0;

export function makeNetwork(): Network {
  removeForgotten();
  const bridge = `on${process.pid}-${made++}`;
  ip("link", "add", bridge, "type", "bridge", "forward_delay", "0");
  const net4 = freeNetwork();
  const net6 = `fd6f:6373:${(process.pid % 0x10000).toString(16)}:${made.toString(16)}`;
  const address4 = `${net4}.1`;
  const address6 = `${net6}::1`;
  // Nobody else can have the address: it is good at once.
  ip("address", "add", `${address4}/${prefix4}`, "dev", bridge);
  ip("address", "add", `${address6}/${prefix6}`, "dev", bridge, "nodad");
  ip("link", "set", bridge, "up");
  // Where a Docker daemon ran, what bridges carry goes through a filter that drops by default.
  const rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"];
  for (const filter of ["iptables", "ip6tables"]) spawnSync(filter, ["-w", "-I", ...rule], { stdio: "ignore" });
  let last = 1;
  const hosts: string[] = [];
  const take = (): Addresses => {
    last += 1;
    return { address4: `${net4}.${last}`, address6: `${net6}::${last.toString(16)}` };
  };
  return {
    bridge,
    address4,
    address6,
    prefix4,
    prefix6,
    take,
    addHost() {
      const name = `${bridge}h${hosts.length}`;
      const addresses = take();
      hosts.push(name);
      ip("netns", "add", name);
      ip("link", "add", name, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", name);
      ip("link", "set", name, "up");
      const inside = (...args: string[]): void => ip("-n", name, ...args);
      inside("link", "set", "lo", "up");
      inside("address", "add", `${addresses.address4}/${prefix4}`, "dev", "eth0");
      inside("address", "add", `${addresses.address6}/${prefix6}`, "dev", "eth0", "nodad");
      inside("link", "set", "eth0", "up");
      inside("route", "add", "default", "via", address4);
      inside("-6", "route", "add", "default", "via", address6);
      return { ...addresses, name, prefix: ["ip", "netns", "exec", name] };
    },
    remove() {
      for (const name of hosts) removeHost(name);
      removeBridge(bridge);
    },
  };
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Three numbers of a /24 that no route of this machine knows: from 10.32 to 10.63, where no test's Docker has its own. */
function freeNetwork(): string {
  const routes = execFileSync("ip", ["-4", "route", "show", "table", "all"], { encoding: "utf8" });
  for (let step = 0; step < 8192; step++) {
    const number = (process.pid + made * 7 + step) % 8192;
    const net = `10.${32 + (number >> 8)}.${number & 255}`;
    if (!routes.includes(`${net}.`)) return net;
  }
  throw new Error("no free network between 10.32 and 10.63");
}

function removeHost(name: string): void {
  spawnSync("ip", ["link", "delete", name], { stdio: "ignore" });
  spawnSync("ip", ["netns", "delete", name], { stdio: "ignore" });
}

function removeBridge(bridge: string): void {
  const rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"];
  for (const filter of ["iptables", "ip6tables"]) spawnSync(filter, ["-w", "-D", ...rule], { stdio: "ignore" });
  spawnSync("ip", ["link", "delete", bridge], { stdio: "ignore" });
}

/** What tests that were killed left behind. */
function removeForgotten(): void {
  const names = (text: string): string[] =>
    text.match(/\bon\d+-\d+(h\d+)?\b/g)?.filter((name) => !isRunning(Number(/\d+/.exec(name)?.[0]))) ?? [];
  const list = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
  for (const name of new Set(names(list("netns", "list")))) removeHost(name);
  const links = list("-o", "link", "show", "type", "bridge");
  for (const name of new Set(names(links))) removeBridge(name);
}
