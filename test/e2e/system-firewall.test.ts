/** The firewall on a machine that boots: whoever came by SSH stays in, whatever happens to the ports, to other rules and to the machine. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { reloadCommands, removeCommands } from "../../infra/render/system/commands.ts";
import { renderSystem } from "../../infra/render/system/index.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { machineNamed } from "../support/machines.ts";

let machine: Machine;
let refusal: string | undefined;
const files = renderSystem({ ...machineNamed("debian12-small"), ssh: { ports: [2222] } }).filter(({ path }) =>
  path.includes("firewall"),
);

before(async () => {
  refusal = whyNoMachine();
  if (refusal) {
    assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);
    return;
  }
  machine = await startMachine("firewall", { sshPort: 2222 });
  const install = "apt-get install -y -q --no-install-recommends nftables";
  await machine.good(`export DEBIAN_FRONTEND=noninteractive; apt-get -q update && ${install}`);
  for (const { path, content, mode } of files) {
    const place = machine.file(path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content, { mode: Number.parseInt(mode, 8) });
  }
  for (const command of reloadCommands(files)) await machine.good(command);
});
after(() => machine?.stop());

function machineTest(name: string, work: () => Promise<void>): void {
  test(name, async (context) => {
    if (refusal) context.skip(refusal);
    else await work();
  });
}

const tables = (): Promise<string> => machine.good("nft list tables");
const sshPorts = async (): Promise<string> => (await machine.run("nft list set inet openclaw ssh_ports")).stdout;

async function letsIn(): Promise<void> {
  await until(async () => (await machine.ssh("true")).code === 0, "SSH lets in");
}

machineTest("SSH goes on, all else is dropped unless named, and rules of others stay", async () => {
  await letsIn();
  await machine.good("nft add table inet foreign");
  for (const command of reloadCommands(files)) await machine.good(command);
  const present = await tables();
  for (const table of ["inet foreign", "inet openclaw"]) assert.ok(present.includes(table), present);
  assert.match(await machine.good("nft list chain inet openclaw input"), /policy drop/);
});

machineTest("an SSH server that is moved takes its firewall along", async () => {
  assert.doesNotMatch(await sshPorts(), /2299/);
  await machine.good("echo Port 2299 >> /etc/ssh/sshd_config.d/port.conf");
  await until(async () => /2222, 2299/.test(await sshPorts()), "the new port is let in");
  await letsIn();
});

machineTest("Debian's own firewall flushes everything: ours comes again", async () => {
  await machine.good("systemctl enable --now nftables.service");
  for (const how of ["restart", "reload"]) {
    await machine.good(`systemctl ${how} nftables.service`);
    await until(async () => /inet openclaw/.test(await tables()), `our table is there after a ${how}`);
    await letsIn();
  }
});

machineTest("after a restart of the machine it is there before the network, and away when it is taken away", async () => {
  await machine.reboot();
  await until(async () => /2222, 2299/.test(await sshPorts()), "the ports are let in");
  await letsIn();
  for (const command of removeCommands(files)) await machine.good(command);
  assert.doesNotMatch(await tables(), /openclaw/);
});

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`within a minute it was not so that ${what}`);
    await pause(200);
  }
}
