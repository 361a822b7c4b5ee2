/** The server of a stack file, looked at once for all checks of it. */
import { z } from "zod";
import type { ServerFacts } from "../components/vm/facts.ts";
import { inspectServer, routeTo } from "../components/vm/server.ts";
import { SshProblem } from "../components/vm/ssh.ts";
import { type ProxySettings, proxySettings } from "../settings-proxy.ts";
import { type VmSettings, vmSettings } from "../settings-vm.ts";
import type { Check, Finding, Subject } from "./check.ts";
import { lookOnce, readSections, section } from "./stack-sections.ts";

/** Only what these checks need; whether the rest is right is the program's business. */
const sectionsSchema = z.object({
  "openclaw-stack:vm": section(vmSettings),
  "openclaw-stack:proxy": section(proxySettings.prefault({})),
  "openclaw-stack:gateway": section(z.object({ port: z.int().default(18789) }).prefault({})),
});

export interface VmSubject {
  vm: VmSettings;
  proxy: ProxySettings;
  gatewayPort: number;
  /** Undefined where the server does not exist yet (user data). */
  facts: ServerFacts | undefined;
  problem: SshProblem | undefined;
}

/** Undefined where the stack file is not right: the program says what is wrong with it. */
export const lookAtServer = lookOnce(look);

export const looked = async (subject: Subject): Promise<boolean> => (await lookAtServer(subject))?.facts !== undefined;

/** A check of what the server said of itself. */
export const factsCheck = (name: string, findings: (facts: ServerFacts) => Finding[]): Check => ({
  name,
  looked,
  async run(subject) {
    const facts = (await lookAtServer(subject))?.facts;
    return facts ? findings(facts) : [];
  },
});

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
  const config = readSections(stackFile, sectionsSchema);
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
