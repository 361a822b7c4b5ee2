/** Every system file of a server, in the order in which they are put there and in force. */
import { knowsRestartSteps, renderGatewayUnits } from "./gateway-units.ts";
import type { Machine, SystemFile } from "./machine.ts";
import { renderReplaceGateway } from "./replace-gateway.ts";
import { renderRestartDelay } from "./restart-delay.ts";

export function renderSystem(machine: Machine): SystemFile[] {
  return [
    ...(knowsRestartSteps(machine) ? [] : renderRestartDelay(machine)),
    ...renderGatewayUnits(machine),
    ...renderReplaceGateway(machine),
  ];
}
