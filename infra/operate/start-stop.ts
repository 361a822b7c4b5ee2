/** `npm run start` and `npm run stop`: the process, without a change of the deployment. */
import { control, gatewayStatus } from "./control.ts";
import { OperatorError } from "./operator-error.ts";
import { describeGateway } from "./summary.ts";
import { findWorkplace, targetOf, type Workplace } from "./workplace.ts";

const elsewhere: { [target: string]: string } = {
  docker: "docker compose stop, and start, in the folder of compose.yaml on its host",
  vm: "systemctl stop, and start, openclaw-gateway.socket openclaw-gateway.service on its server",
};

function workplaceHere(args: string[]): Workplace {
  const workplace = findWorkplace(args);
  const instead = elsewhere[targetOf(workplace) ?? ""];
  if (instead) throw new OperatorError(`the stack ${workplace.stack} does not run on this machine: use ${instead}`);
  return workplace;
}

export async function startGateway(args: string[]): Promise<number> {
  const workplace = workplaceHere(args);
  const { code, output } = await control(workplace, "start");
  if (code !== 0) console.error(`error: ${output}`);
  else console.log(`${output}\n${await describeGateway(workplace, await gatewayStatus(workplace))}`);
  return code;
}

export async function stopGateway(args: string[]): Promise<number> {
  const workplace = workplaceHere(args);
  if ((await gatewayStatus(workplace)).phase === "absent") {
    console.log("Nothing is deployed here, so nothing runs.");
    return 0;
  }
  const { code, output } = await control(workplace, "stop");
  if (code !== 0) console.error(`error: ${output}`);
  else console.log(`${output}. It starts again with: npm run start`);
  return code;
}
