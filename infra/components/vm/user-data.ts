/** Pure: user data for a server that does not exist yet. No secret and no release is in it: those come by SSH afterwards. */
import { renderCloudInit } from "../../render/system/cloud-init.ts";
import { renderSystem } from "../../render/system/index.ts";
import type { CheckedSettings } from "../../settings.ts";
import type { VmSettings } from "../../settings-vm.ts";
import { parseFacts } from "./facts.ts";
import { machineOf, ofProxy, wantedPackages } from "./machine.ts";

export function userDataOf(settings: CheckedSettings, vm: VmSettings, secretNames: string[]): string {
  const { os, arch, cpus, memoryMb } = vm.expected;
  // What is not known before the first boot; the next up renders it anew from what the server tells.
  const facts = {
    ...parseFacts(""),
    os: { id: os.split(" ")[0] ?? "", version: os.split(" ")[1] ?? "" },
    arch,
    cpus,
    memoryTotalMb: memoryMb,
    sshPorts: [vm.port],
  };
  const machine = machineOf(settings, vm, facts, secretNames);
  return renderCloudInit({
    machine,
    files: renderSystem(machine).filter((file) => !ofProxy(file)),
    packages: wantedPackages(machine, settings.proxy),
    authorizedKeys: vm.authorizedKeys,
  });
}
