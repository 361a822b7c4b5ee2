/** The tables of checks by target, in the order in which they are shown. */
import type { Check } from "./check.ts";
import { dockerClock, dockerCompose, dockerGpu, dockerPlatform, dockerReach, dockerVersion } from "./docker-host.ts";
import { dockerNames } from "./docker-names.ts";
import { dockerPorts } from "./docker-ports.ts";
import { dockerDisk, dockerMemory } from "./docker-room.ts";
import { memory } from "./memory.ts";
import { port } from "./port.ts";
import { space } from "./space.ts";
import { vmClock } from "./vm-clock.ts";
import { vmNames } from "./vm-names.ts";
import { vmPorts } from "./vm-ports.ts";
import { vmHostKey, vmReach, vmSudo } from "./vm-reach.ts";
import { vmDisk, vmMemory } from "./vm-room.ts";
import { vmSystem } from "./vm-system.ts";
import { writable } from "./writable.ts";

export const checks: { [target: string]: Check[] } = {
  local: [writable, space, memory, port],
  docker: [
    ...[dockerReach, dockerVersion, dockerPlatform, dockerMemory, dockerDisk],
    ...[dockerPorts, dockerNames, dockerGpu, dockerCompose, dockerClock],
  ],
  vm: [vmReach, vmHostKey, vmSudo, vmSystem, vmDisk, vmMemory, vmPorts, vmNames, vmClock],
};
