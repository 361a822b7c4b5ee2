/** Pure: where the gateway listens, and under which address it is reached from this machine. */

export interface AddressSettings {
  port: number;
  bind: "loopback" | "lan" | "auto" | "custom" | "tailnet";
  customBindHost?: string;
  tls?: { enabled: boolean };
}

export function listenHost(gateway: AddressSettings): string {
  if (gateway.bind === "lan") return "0.0.0.0";
  if (gateway.bind === "custom" && gateway.customBindHost) return gateway.customBindHost;
  return "127.0.0.1";
}

export function reachableUrl(gateway: AddressSettings): string {
  const host = listenHost(gateway);
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  return `${gateway.tls?.enabled ? "https" : "http"}://${shown}:${gateway.port}`;
}
