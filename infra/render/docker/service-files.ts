/** Pure: what Redis is told, as files. */
import { type DockerSettings, megabytes } from "../../settings-docker.ts";
import { places } from "./containers.ts";

/** The password stands in a file of its own, which this one includes. */
export function renderRedisConfig({ redis }: DockerSettings): string {
  return `# Written by the stack.
bind 0.0.0.0
protected-mode yes
port 6379
daemonize no
dir ${places.redis}
# Budgets and limits outlive a restart; a second of them may be lost with the host.
appendonly yes
appendfsync everysec
save ""
maxmemory ${megabytes(redis.maxMemory)}mb
# What is counted must not be forgotten silently: a full Redis refuses, and the gateways count by themselves.
maxmemory-policy noeviction
timeout 0
tcp-keepalive 60
include ${places.service}/password.conf
`;
}

export const redisPasswordConfig = (password: string): string => `requirepass ${password}\n`;
