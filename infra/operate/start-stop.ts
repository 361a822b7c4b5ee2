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
  const workplace = findWorkplace(args);
  if ((await gatewayStatus(workplace)).phase === "absent") {
    console.log("Nothing is deployed here, so nothing runs.");
    return 0;
  }
  const { code, output } = await control(workplace, "stop");
  if (code !== 0) console.error(`error: ${output}`);
  else console.log(`${output}. It starts again with: npm run start`);
  return code;
}
