/** `npm run status`: what runs, since when, what it was used for today, and what to do where it does not run. */
import { gatewayStatus } from "./control.ts";
import { gatewayUrl } from "./summary.ts";
import { readToken } from "./token.ts";
import { usageLine } from "./usage-line.ts";
import { findWorkplace, targetOf } from "./workplace.ts";

export async function showStatus(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  const target = targetOf(workplace);
  if (target === "docker") return (await import("./docker.ts")).dockerStatus(workplace, args);
  if (target === "vm") return (await import("./server.ts")).serverStatus(workplace, args);
  const status = await gatewayStatus(workplace);
  if (args.includes("--json")) {
    console.log(JSON.stringify({ stack: workplace.stack, ...status }, null, 2));
    return status.phase === "ready" ? 0 : 1;
  }
  const where = `${status.host}:${status.port}`;
  const restarts = status.crashes ? `, restarted ${status.crashes} times after a crash (last: it ${status.lastExit})` : "";
  const texts: { [phase: string]: string } = {
    ready: `runs on ${where} since ${status.gatewayStartedAt} (pid ${status.gatewayPid}, supervisor ${status.supervisorPid})${restarts}`,
    starting: `is starting on ${where}${restarts}`,
    waiting: `keeps crashing; the next try follows (it ${status.lastExit}). See: npm run logs`,
    failed: `does not run: it ${status.lastExit}. See: npm run logs; after a repair: npm run up`,
    stopping: "is stopping",
    stopped: "is deployed but does not run (stopped, or the machine was restarted). Start it: npm run start",
    absent: "is not deployed. Deploy it: npm run up",
  };
  console.log(`Stack ${workplace.stack}: the gateway ${texts[status.phase]}`);
  const used = status.phase === "ready" ? await usageLine(gatewayUrl(status), readToken(workplace)) : undefined;
  if (used !== undefined) console.log(used);
  return status.phase === "ready" ? 0 : 1;
}
