/** `npm run start` and `npm run stop`: the process, without a change of the deployment. */
import { control, gatewayStatus } from "./control.ts";
import { describeGateway } from "./summary.ts";
import { findWorkplace } from "./workplace.ts";

export async function startGateway(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  const { code, output } = await control(workplace, "start");
  if (code !== 0) console.error(`error: ${output}`);
  else console.log(`${output}\n${await describeGateway(workplace, await gatewayStatus(workplace))}`);
  return code;
}

export async function stopGateway(args: string[]): Promise<number> {
  const { code, output } = await control(findWorkplace(args), "stop");
  if (code !== 0) console.error(`error: ${output}`);
  else console.log(`${output}. It starts again with: npm run start`);
  return code;
}
