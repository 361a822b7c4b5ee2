/** The gateway's ports are free, or its own gateway has them. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { listenHost } from "../render/address.ts";
import type { Check, Finding } from "./check.ts";
import { freePort, portHolder, portHolderPid } from "./port-holder.ts";

/** Only what this check needs; whether the rest is right is the program's business. */
const StackFile = z.object({
  config: z.object({
    "openclaw-stack:gateway": z
      .object({
        port: z.int().min(1).max(65535).default(18789),
        bind: z.enum(["loopback", "lan", "auto", "custom", "tailnet"]).default("loopback"),
        customBindHost: z.string().optional(),
      })
      .prefault({}),
    "openclaw-stack:metrics": z
      .object({ port: z.int().min(1).max(65535).optional(), host: z.string().default("127.0.0.1") })
      .prefault({}),
  }),
});
const Running = z.object({ host: z.string(), port: z.int() });

export const port: Check = {
  name: "gateway port",
  async run({ directory, stackFile }) {
    if (!existsSync(stackFile)) return [];
    const config = readAs(stackFile, (text) => StackFile.safeParse(parse(text)).data?.config);
    if (!config) return [];
    const { "openclaw-stack:gateway": gateway, "openclaw-stack:metrics": metrics } = config;
    const found = [await look(directory, listenHost(gateway), gateway.port, "gateway.port")];
    if (metrics.port !== undefined) found.push(await look(directory, metrics.host, metrics.port, "metrics.port"));
    return found.flat();
  },
};

async function look(directory: string, host: string, wanted: number, setting: string): Promise<Finding[]> {
  if ((await freePort(host, wanted)) || isOurs(directory, wanted)) return [];
  const holder = portHolder(wanted);
  const message =
    `port ${wanted} is taken${holder ? ` by ${holder}` : ""}. Stop that program, or choose another port:\n` +
    `  npm run config -- set --path ${setting} ${await nextFree(host, wanted)}`;
  return [{ level: "error", message }];
}

/** The processes that hold the port are this stack's supervisor and gateway. */
function isOurs(directory: string, wanted: number): boolean {
  const supervisor = readAs(
    join(directory, "run", "supervisor.lock"),
    (text) => z.object({ pid: z.int() }).safeParse(JSON.parse(text)).data,
  );
  if (!supervisor || !isAlive(supervisor.pid)) return false;
  const holder = portHolderPid(wanted);
  if (holder !== undefined) return isOf(supervisor.pid, holder) || worksIn(directory, holder);
  // Where /proc does not tell, a living supervisor of ours that has the gateway's port is the best guess.
  const running = readAs(join(directory, "run", "process.json"), (text) => Running.safeParse(JSON.parse(text)).data);
  return running?.port === wanted;
}

/** The supervisor, its gateway, or a worker of that. */
function isOf(supervisor: number, pid: number): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = parentOf(at)) if (at === supervisor) return true;
  return false;
}

/** A gateway that outlived its supervisor is not the next one's child; all of them have their stack's folder as their own. */
function worksIn(directory: string, pid: number): boolean {
  try {
    const folder = realpathSync(`/proc/${pid}/cwd`);
    const own = realpathSync(directory);
    return folder === own || folder.startsWith(`${own}/`);
  } catch {
    return false;
  }
}

/** proc(5): the field after the state, which follows the name in parentheses. */
function parentOf(pid: number): number | undefined {
  return readAs(`/proc/${pid}/stat`, (text) => Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]));
}

async function nextFree(host: string, from: number): Promise<number> {
  for (let candidate = from + 1; candidate < from + 200; candidate++) if (await freePort(host, candidate)) return candidate;
  return from + 1;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function readAs<T>(file: string, read: (text: string) => T): T | undefined {
  try {
    return read(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
