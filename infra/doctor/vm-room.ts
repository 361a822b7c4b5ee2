/** The server has memory and disk for what is put on it. */
import type { ServerFacts } from "../components/vm/facts.ts";
import type { Finding } from "./check.ts";
import { factsCheck } from "./vm-subject.ts";

const neededMemoryMb = 2048;
const neededDiskMb = 1024;
const comfortableDiskMb = 4096;

export const vmMemory = factsCheck("memory", memoryFindings);
export const vmDisk = factsCheck("disk", diskFindings);

/** Before the first deployment that much must be free; afterwards the gateway itself has a part of it. */
export function memoryFindings({ installation, memoryAvailableMb, memoryTotalMb }: ServerFacts): Finding[] {
  const [mb, what] = installation === undefined ? [memoryAvailableMb, "free memory"] : [memoryTotalMb, "memory"];
  if (mb >= neededMemoryMb) return [];
  const fix = "stop other programs there, or take a larger server";
  return [{ level: "error", message: `the server has ${mb} MB of ${what}, and ${neededMemoryMb} MB are needed; ${fix}` }];
}

export function diskFindings({ diskVarMb, diskOptMb }: ServerFacts): Finding[] {
  const [mb, where] = diskVarMb <= diskOptMb ? [diskVarMb, "/var"] : [diskOptMb, "/opt"];
  const fix = "remove something there, or make the disk larger";
  if (mb < neededDiskMb) {
    return [
      { level: "error", message: `only ${mb} MB are free in the server's ${where}, and ${neededDiskMb} MB are needed; ${fix}` },
    ];
  }
  if (mb < comfortableDiskMb) {
    return [
      { level: "warning", message: `only ${mb} MB are free in the server's ${where}: releases, logs and data will need more` },
    ];
  }
  return [];
}
