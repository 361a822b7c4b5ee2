/** The Docker host has memory and disk for what is put on it. */
import { runOnHost } from "../components/docker/run-on-host.ts";
import { dockerCheck } from "./docker-host.ts";

const neededMemoryMb = 2048;
/** The kernel keeps a part of a machine of 2 GiB for itself, and does not count it. */
const ownPartMb = 200;
const neededDiskMb = 2048;
const comfortableDiskMb = 8192;

export const dockerMemory = dockerCheck("memory", ({ info }) => {
  const mb = Math.floor(info.MemTotal / 1_048_576);
  if (mb >= neededMemoryMb - ownPartMb) return [];
  return [
    { level: "error", message: `the host has ${mb} MB of memory, and ${neededMemoryMb} MB are needed; take a larger one` },
  ];
});

export const dockerDisk = dockerCheck("disk", async ({ info, endpoint }) => {
  const said = await runOnHost(endpoint, `df -Pm '${info.DockerRootDir.replaceAll("'", "")}' | tail -1`);
  const mb = Number(said?.trim().split(/\s+/)[3] ?? Number.NaN);
  // Another user's folder, or a host reached by TCP alone: nobody can tell.
  if (Number.isNaN(mb)) return [];
  const fix = "remove what nobody uses: docker system prune; or make the disk larger";
  const where = `in ${info.DockerRootDir}`;
  if (mb < neededDiskMb) {
    return [{ level: "error", message: `only ${mb} MB are free ${where}, and ${neededDiskMb} MB are needed; ${fix}` }];
  }
  if (mb < comfortableDiskMb) return [{ level: "warning", message: `only ${mb} MB are free ${where}; ${fix}` }];
  return [];
});
