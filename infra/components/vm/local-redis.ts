/** Pure: settings that let the gateway share its counts through the server's own Redis. */
import type { Settings } from "../../settings.ts";

/** Stands for its password among the stack's secrets: made at random, and kept in the stack's state. */
const reference = { source: "file", provider: "stack", id: "redis-of-the-server" };
export const redisPasswordKey = `secret-${reference.id}`;

export function withLocalRedis(settings: Settings, port: number): Settings {
  const { written } = settings;
  const cluster = typeof written.cluster === "object" && written.cluster !== null ? written.cluster : {};
  const own = { redisUrl: `redis://127.0.0.1:${port}/0`, redisPassword: reference };
  return { ...settings, written: { ...written, cluster: { ...own, ...cluster } } };
}
