/** Settings of a vm stack with the given proxy, as its stack file would have them, and what a plain server tells of itself. */
import assert from "node:assert/strict";
import { parseSettings } from "../../infra/settings.ts";

export function vmSettingsWith(proxy: object, secrets: { [key: string]: string } = {}) {
  const written = {
    target: "vm",
    vm: { host: "192.0.2.1", hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample" },
    proxy,
    demo: { enabled: true },
  };
  const entries = Object.entries(written).map(([key, value]): [string, { value: string; secret: boolean }] => [
    key,
    { value: typeof value === "string" ? value : JSON.stringify(value), secret: false },
  ]);
  for (const [key, value] of Object.entries(secrets)) entries.push([key, { value, secret: true }]);
  const { settings, faults } = parseSettings(Object.fromEntries(entries), ["vm"]);
  assert.deepEqual(faults, []);
  assert.ok(settings?.vm);
  return { ...settings, vm: settings.vm };
}

export const factsOfDebian12 = "os=debian 12\narch=amd64\ncpus=2\nmemoryKb=4194304 4194304\n";
