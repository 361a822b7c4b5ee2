/** The ports that the proxy publishes are free on the Docker host, or its own container has them. */
import { runOnHost } from "../components/docker/run-on-host.ts";
import type { Finding } from "./check.ts";
import { dockerCheck } from "./docker-host.ts";

export const dockerPorts = dockerCheck("ports", async ({ docker, proxy, containers, endpoint }) => {
  const wanted = proxy.tls.mode === "none" ? (["http"] as const) : (["http", "https"] as const);
  const tables = await runOnHost(endpoint, "cat /proc/net/tcp /proc/net/tcp6");
  return wanted.flatMap((name): Finding[] => {
    const port = proxy.ports[name];
    const holder = containers.find(({ Ports }) => Ports.some(({ PublicPort, Type }) => PublicPort === port && Type === "tcp"));
    if (holder?.Labels?.["openclaw-stack.project"] === docker.project) return [];
    const fix = `stop it, or choose another port: npm run config -- set --path proxy.ports.${name} ${port + 8000}`;
    if (holder) {
      const container = holder.Names[0]?.replace(/^\//, "");
      return [{ level: "error", message: `port ${port} of the host is taken by the container ${container}; ${fix}` }];
    }
    if (!listensOn(tables ?? "", port, docker.addresses)) return [];
    return [
      { level: "error", message: `port ${port} of the host is taken (see there: sudo ss -ltnp 'sport = :${port}'); ${fix}` },
    ];
  });
});

/** proc_net_tcp(5): column 2 is the local address, in hexadecimal, 4 the state (0A = listening). */
export function listensOn(tables: string, port: number, addresses: readonly string[]): boolean {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const every = addresses.some((address) => address === "0.0.0.0" || address === "::");
  const own = addresses.filter((address) => /^[\d.]+$/.test(address)).map(hexOf);
  return tables.split("\n").some((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", at] = local.split(":");
    return state === "0A" && at === wanted && (every || /^0+$/.test(address) || own.includes(address));
  });
}

const hexOf = (address: string): string =>
  address
    .split(".")
    .reverse()
    .map((part) => Number(part).toString(16).toUpperCase().padStart(2, "0"))
    .join("");
