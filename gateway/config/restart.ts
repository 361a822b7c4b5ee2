// Which changed settings only a restart brings into effect: what the server's sockets were made with.
import { isDeepStrictEqual } from "node:util";
import { stackOf } from "./rules.ts";
import { type Config, pluginId } from "./schema.ts";

const stackPath = `plugins.entries.${pluginId}.config`;

const fixed: readonly [string, (config: Config) => unknown][] = [
  ["gateway.port", (config) => config.gateway.port],
  ["gateway.bind", (config) => config.gateway.bind],
  ["gateway.customBindHost", (config) => config.gateway.customBindHost],
  ["gateway.tls", (config) => config.gateway.tls],
  ["gateway.controlUi.enabled", (config) => config.gateway.controlUi.enabled],
  ["gateway.controlUi.basePath", (config) => config.gateway.controlUi.basePath],
  [`${stackPath}.workers`, (config) => stackOf(config).workers],
  [`${stackPath}.tracing`, (config) => stackOf(config).tracing],
  [`${stackPath}.metrics.port`, (config) => stackOf(config).metrics.port],
  [`${stackPath}.metrics.host`, (config) => stackOf(config).metrics.host],
  [`${stackPath}.http.maxBodyBytes`, (config) => stackOf(config).http.maxBodyBytes],
  [`${stackPath}.http.headersTimeoutMs`, (config) => stackOf(config).http.headersTimeoutMs],
  [`${stackPath}.http.requestTimeoutMs`, (config) => stackOf(config).http.requestTimeoutMs],
  [`${stackPath}.http.keepAliveTimeoutMs`, (config) => stackOf(config).http.keepAliveTimeoutMs],
];

/** Paths of settings that differ from those the process was started with. */
export function needsRestart(started: Config, next: Config): string[] {
  return fixed.filter(([, read]) => !isDeepStrictEqual(read(started), read(next))).map(([path]) => path);
}
