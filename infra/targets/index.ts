/** The table of targets. */
import { deployDocker } from "./docker.ts";
import { deployLocal } from "./local.ts";
import type { Target } from "./target.ts";
import { deployVm } from "./vm.ts";

export const targets = { local: deployLocal, docker: deployDocker, vm: deployVm } satisfies { [kind: string]: Target };

export function findTarget(kind: string): Target | undefined {
  return Object.entries(targets).find(([name]) => name === kind)?.[1];
}
