/** Every system file of a server, in the order in which they are put there and in force. */
import { renderAccounts } from "./accounts.ts";
import { renderCertificate } from "./certificate.ts";
import { renderFail2ban } from "./fail2ban.ts";
import { renderFirewall } from "./firewall.ts";
import { renderGatewayUnits } from "./gateway-units.ts";
import { renderLogLimits } from "./logs.ts";
import type { Machine, SystemFile } from "./machine.ts";
import { renderModelServers } from "./model-servers.ts";
import { renderProxyReload } from "./proxy-reload.ts";
import { renderRedis } from "./redis.ts";
import { renderReplaceGateway } from "./replace-gateway.ts";
import { renderRestartDelay } from "./restart-delay.ts";
import { renderSudoers } from "./sudoers.ts";
import { renderSwap } from "./swap.ts";
import { renderSysctl } from "./sysctl.ts";
import { renderUpkeep } from "./upkeep.ts";

export function renderSystem(machine: Machine): SystemFile[] {
  return [
    ...renderSudoers(machine),
    ...renderAccounts(machine),
    ...renderSysctl(machine),
    ...renderLogLimits(machine),
    ...renderUpkeep(machine),
    ...renderSwap(machine),
    ...renderFirewall(machine),
    ...renderFail2ban(machine),
    ...renderRedis(machine),
    ...renderModelServers(machine),
    ...renderRestartDelay(machine),
    ...renderGatewayUnits(machine),
    ...renderReplaceGateway(machine),
    ...renderProxyReload(machine),
    ...renderCertificate(machine),
  ];
}
