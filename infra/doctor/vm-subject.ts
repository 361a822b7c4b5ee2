/** The server of a stack file, looked at once for all checks of it. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import type { ServerFacts } from "../components/vm/facts.ts";
import { inspectServer, routeTo } from "../components/vm/server.ts";
import { SshProblem } from "../components/vm/ssh.ts";
import { type ProxySettings, proxySettings } from "../settings-proxy.ts";
import { type VmSettings, vmSettings } from "../settings-vm.ts";
import type { Subject } from "./check.ts";

const fromText = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
};
/** Only what these checks need; whether the rest is right is the program's business. */
const StackFile = z.object({
  config: z.object({
    "openclaw-stack:vm": z.preprocess(fromText, vmSettings),
    "openclaw-stack:proxy": z.preprocess(fromText, proxySettings.prefault({})),
    "openclaw-stack:gateway": z.preprocess(fromText, z.object({ port: z.int().default(18789) }).prefault({})),
  }),
});

export interface VmSubject {
  vm: VmSettings;
  proxy: ProxySettings;
  gatewayPort: number;
  /** Undefined where the server does not exist yet (user data). */
  facts: ServerFacts | undefined;
  problem: SshProblem | undefined;
}

const seen = new WeakMap<Subject, Promise<VmSubject | undefined>>();

/** Undefined where the stack file is not right: the program says what is wrong with it. */
export function lookAtServer(subject: Subject): Promise<VmSubject | undefined> {
  const before = seen.get(subject);
  if (before) return before;
  const now = look(subject);
  seen.set(subject, now);
  return now;
}

export const looked = async (subject: Subject): Promise<boolean> => (await lookAtServer(subject))?.facts !== undefined;

/** The stack's secrets that a login needs. */
export async function loginSecrets(vm: VmSettings, secret: Subject["secret"]): Promise<{ [key: string]: string }> {
  const secrets: { [key: string]: string } = {};
  for (const { identity } of [vm, ...(vm.bastion ? [vm.bastion] : [])]) {
    if (identity === "agent" || !("id" in identity)) continue;
    const key = `secret-${identity.id}`;
    secrets[key] ??= (await secret(key)) ?? "";
  }
  return secrets;
}

async function look({ stackFile, secret }: Subject): Promise<VmSubject | undefined> {
  let config: z.output<typeof StackFile>["config"] | undefined;
  try {
    config = StackFile.safeParse(parse(readFileSync(stackFile, "utf8"))).data?.config;
  } catch {
    return undefined;
  }
  if (!config) return undefined;
  const { "openclaw-stack:vm": vm, "openclaw-stack:proxy": proxy, "openclaw-stack:gateway": gateway } = config;
  const known = { vm, proxy, gatewayPort: gateway.port };
  if (vm.host === undefined || vm.hostKey === undefined) return { ...known, facts: undefined, problem: undefined };
  try {
    const facts = await inspectServer(routeTo(vm, await loginSecrets(vm, secret)), []);
    return { ...known, facts, problem: undefined };
  } catch (error) {
    if (!(error instanceof SshProblem)) throw error;
    return { ...known, facts: undefined, problem: error };
  }
}
