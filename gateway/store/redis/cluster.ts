// What makes several gateways one: the connection that they share, and the name of this one among them.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterConfig } from "../../config/cluster.ts";
import type { SecretInput } from "../../config/fields.ts";
import type { RedisLink } from "../store.ts";
import { openRedis } from "./link.ts";

export interface Cluster {
  readonly link: RedisLink;
  /** This gateway, the same after a restart. */
  readonly node: string;
  /** This process. */
  readonly holder: string;
}

interface Options {
  readonly stateDir: string;
  readonly reveal: (input: SecretInput) => string;
  readonly onLost: (reason: string) => void;
}

/** Undefined where nothing is shared. */
export function openCluster(config: ClusterConfig | undefined, { stateDir, reveal, onLost }: Options): Cluster | undefined {
  if (config?.redisUrl === undefined) return undefined;
  const node = config.nodeId ?? ownName(stateDir);
  const link = openRedis({
    url: reveal(config.redisUrl),
    ...(config.redisPassword === undefined ? {} : { password: reveal(config.redisPassword) }),
    ...(config.redisCaFile === undefined ? {} : { caFile: config.redisCaFile }),
    keyPrefix: config.keyPrefix,
    deadlineMs: config.redisTimeoutMs,
    onLost,
  });
  return { link, node, holder: `${node}-${process.pid}-${randomBytes(4).toString("hex")}` };
}

/** Made up once and kept: what a gateway told of itself before a restart must not count again after it. */
function ownName(stateDir: string): string {
  const file = join(stateDir, "node-id");
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    writeFileSync(file, `node-${randomBytes(6).toString("hex")}\n`, { flag: "wx", mode: 0o600 });
  } catch {
    // It is there, or the folder cannot be written: then a name for this process must do.
  }
  try {
    return readFileSync(file, "utf8").trim() || `node-${randomBytes(6).toString("hex")}`;
  } catch {
    return `node-${randomBytes(6).toString("hex")}`;
  }
}
