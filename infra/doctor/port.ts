/** The gateway's port is free, or its own gateway has it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { listenHost } from "../render/address.ts";
import type { Check } from "./check.ts";
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
  }),
});
const Running = z.object({ host: z.string(), port: z.int() });

export const port: Check = {
  name: "gateway port",
  async run({ directory, stackFile }) {
    if (!existsSync(stackFile)) return [];
    const wanted = readAs(stackFile, (text) => StackFile.safeParse(parse(text)).data?.config["openclaw-stack:gateway"]);
    if (!wanted) return [];
    const host = listenHost(wanted);
    if (await freePort(host, wanted.port)) return [];
    if (isOurs(directory, wanted.port)) return [];
    const holder = portHolder(wanted.port);
    const message =
      `port ${wanted.port} is taken${holder ? ` by ${holder}` : ""}. Stop that program, or choose another port:\n` +
      `  npm run config -- set --path gateway.port ${await nextFree(host, wanted.port)}`;
    return [{ level: "error", message }];
  },
};

/** The processes that hold the port are this stack's supervisor and gateway. */
function isOurs(directory: string, wanted: number): boolean {
  const running = readAs(join(directory, "run", "process.json"), (text) => Running.safeParse(JSON.parse(text)).data);
  if (running?.port !== wanted) return false;
  const supervisor = readAs(
    join(directory, "run", "supervisor.lock"),
    (text) => z.object({ pid: z.int() }).safeParse(JSON.parse(text)).data,
  );
  if (!supervisor) return false;
  // Where /proc does not tell, a living supervisor of ours is the best guess.
  const holder = portHolderPid(wanted);
  return holder === undefined ? isAlive(supervisor.pid) : holder === supervisor.pid || isAlive(supervisor.pid);
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
