/** The server of a vm stack, for commands that work on it; what runs there, and its log. */
import type { ServerFacts } from "../components/vm/facts.ts";
import { quoted, routeTo, sudoFor } from "../components/vm/server.ts";
import { runBySsh, type SshOptions, SshProblem, type SshResult } from "../components/vm/ssh.ts";
import { loginSecrets, lookAtServer } from "../doctor/vm-subject.ts";
import { gatewayService, standInService } from "../render/system/gateway-names.ts";
import type { VmSettings } from "../settings-vm.ts";
import { toSubject } from "./doctor.ts";
import { logOptions } from "./log-options.ts";
import { OperatorError } from "./operator-error.ts";
import type { Workplace } from "./workplace.ts";

export interface DeployedServer {
  vm: VmSettings;
  facts: ServerFacts;
  /** @throws OperatorError where the connection breaks off */
  run(command: string, options?: SshOptions): Promise<SshResult>;
}

/** @throws OperatorError where it cannot be reached, or nothing is there yet */
export async function deployedServer(workplace: Workplace): Promise<DeployedServer> {
  const subject = toSubject(workplace);
  const server = await lookAtServer(subject);
  if (!server)
    throw new OperatorError(`${workplace.stackFile} is not right: npm run preview -- -s ${workplace.stack} says what is wrong`);
  if (server.problem) throw new OperatorError(server.problem.message, 1);
  const { vm, facts } = server;
  if (!facts?.installation) throw new OperatorError("nothing is deployed on the server yet: run up first");
  const route = routeTo(vm, await loginSecrets(vm, subject.secret));
  return {
    vm,
    facts,
    async run(command, options) {
      try {
        return await runBySsh(route, command, "", options);
      } catch (error) {
        throw error instanceof SshProblem ? new OperatorError(error.message, 1) : error;
      }
    },
  };
}

export async function serverStatus(workplace: Workplace, args: string[]): Promise<number> {
  const { vm, facts } = await deployedServer(workplace);
  const units = Object.entries(facts.units);
  const ready = units.length > 0 && units.every(([, { active }]) => active === "active");
  if (args.includes("--json")) {
    const list = units.map(([unit, { active }]) => ({ unit, active }));
    console.log(JSON.stringify({ stack: workplace.stack, ready, release: facts.current, units: list }, null, 2));
    return ready ? 0 : 1;
  }
  const release = facts.current === undefined ? "" : `, release ${facts.current}`;
  console.log(`Stack ${workplace.stack}: ${ready ? "all services run" : "not all services run"} on ${vm.host}${release}`);
  for (const [unit, { active }] of units) console.log(`  ${unit.padEnd(28)} ${active}`);
  if (!ready) console.log(`See: npm run logs -- -s ${workplace.stack} UNIT`);
  return ready ? 0 : 1;
}

/** `logs [UNIT] [-f] [-n lines]`: from the journal; of the gateway where no unit is named. */
export async function serverLogs(workplace: Workplace, args: string[]): Promise<number> {
  const { service, count, follow } = logOptions(args);
  const server = await deployedServer(workplace);
  const units = service === undefined ? [gatewayService, standInService] : [service];
  const words = ["journalctl", "-q", "-o", "cat", "-n", String(count), ...(follow ? ["-f"] : [])];
  const line = [...words, ...units.map((unit) => `--unit=${unit}`)].map(quoted).join(" ");
  let printed = false;
  const { code, stderr } = await server.run(`${sudoFor(server.vm.user)}${line}`, {
    timeoutMs: 0,
    onOutput(text) {
      printed = true;
      process.stdout.write(text);
    },
  });
  if (code !== 0) throw new OperatorError(`the server's journal could not be read:\n${stderr.trim()}`, 1);
  if (!printed) console.error(`The server's journal has nothing of ${units[0]}.`);
  return 0;
}
