/** The servers that the system renderers are tried for: read from the cases beside their golden files. */
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Machine } from "../../infra/render/system/machine.ts";

export const machinesFolder = join(import.meta.dirname, "../infra/render/system");

export const machineNames = (): string[] =>
  globSync("*.json", { cwd: machinesFolder })
    .map((file) => basename(file, ".json"))
    .sort();

export function machineNamed(name: string): Machine {
  const machine: Machine = JSON.parse(readFileSync(join(machinesFolder, `${name}.json`), "utf8"));
  return machine;
}
