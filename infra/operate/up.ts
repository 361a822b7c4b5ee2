/** `npm run up`: prepares, checks, runs the engine, and says how to use the result. */
import { existsSync } from "node:fs";
import { control, gatewayStatus } from "./control.ts";
import { checkBeforeUp } from "./doctor.ts";
import { runEngine } from "./engine.ts";
import { OperatorError } from "./operator-error.ts";
import { prepareStack } from "./prepare.ts";
import { describeGateway } from "./summary.ts";
import { defaultStack, findWorkplace, isDeployedHere, type Workplace } from "./workplace.ts";

export async function up(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  await checkBeforeUp(workplace);
  const diff = showsDiff(workplace, args) ? ["--diff"] : [];
  await prepareStack(workplace);
  const quiet = args.includes("--json");
  // Only the user's own machine is changed without asking; every other stack needs it said.
  const said = args.some((argument) => ["--yes", "-y", "--skip-preview", "-f"].includes(argument));
  const consent = workplace.stack === defaultStack && !said ? ["--yes"] : [];
  const code = await runEngine(workplace, ["up", ...consent, ...diff, ...args]);
  if (code !== 0 || !isDeployedHere(workplace) || quiet || args.some((argument) => ["--help", "-h"].includes(argument)))
    return code;
  let status = await gatewayStatus(workplace);
  if (status.phase === "stopped") {
    // The deployment did not change, but a reboot or `npm run stop` ended the process.
    const started = await control(workplace, "start");
    if (started.code !== 0) throw new OperatorError(started.output, 1);
    console.log(`The gateway was not running. ${started.output}`);
    status = await gatewayStatus(workplace);
  }
  if (status.phase !== "absent") console.log(await describeGateway(workplace, status));
  return 0;
}

/** Where something is deployed already, a user wants to see what changes, property by property; at first all is new. */
function showsDiff(workplace: Workplace, args: string[]): boolean {
  const deployed = workplace.checkpoint !== undefined && existsSync(workplace.checkpoint);
  return (
    deployed && !args.some((argument) => ["--json", "--skip-preview", "-f"].includes(argument) || argument.startsWith("--diff"))
  );
}
