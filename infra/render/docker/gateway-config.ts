/** Pure: the settings as gateways in containers need them, and what of them a gateway reads only at its start. */
import { createHash } from "node:crypto";
import type { CheckedSettings } from "../../settings.ts";

/** Addresses that Docker gives to containers: what comes from there is our own proxy, nothing else is in these networks. */
export const containerNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

export const redisSecret = "secret-redis-password";

export function settingsForContainers<T extends Omit<CheckedSettings, "target">>(settings: T, redis: boolean): T {
  const gateway = section(settings.written.gateway);
  const cluster = section(settings.written.cluster);
  return {
    ...settings,
    // The port is open inside the containers' networks only; loopback would be the container's own.
    gateway: { ...settings.gateway, bind: "lan" },
    written: {
      ...settings.written,
      gateway: { ...gateway, bind: "lan", trustedProxies: [...containerNetworks, ...list(gateway.trustedProxies)] },
      ...(redis
        ? {
            cluster: {
              ...cluster,
              redisUrl: "redis://redis:6379/0",
              redisPassword: { source: "file", provider: "stack", id: redisSecret.slice("secret-".length) },
            },
          }
        : {}),
    },
  };
}

/** Everything else a running gateway takes over by itself; too much here costs a restart without loss, too little a change without effect. */
export function startRevision(config: { [section: string]: unknown }): string {
  const { auth: _auth, rateLimit: _limit, trustedProxies: _proxies, ...gateway } = section(config.gateway);
  const plugins = section(section(section(config.plugins).entries));
  const own = Object.values(plugins).map((entry) => {
    const { workers, tracing, metrics, http } = section(section(entry).config);
    return { workers, tracing, metrics, http };
  });
  return createHash("sha256").update(JSON.stringify({ gateway, own })).digest("hex").slice(0, 8);
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function section(value: unknown): { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
