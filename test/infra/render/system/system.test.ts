/** A server's system files, each case beside its golden files. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { renderCloudInit } from "../../../../infra/render/system/cloud-init.ts";
import { reloadCommands, removeCommands } from "../../../../infra/render/system/commands.ts";
import { renderSystem } from "../../../../infra/render/system/index.ts";
import { gatewayLimits } from "../../../../infra/render/system/limits.ts";
import { mebibyte, type SystemFile } from "../../../../infra/render/system/machine.ts";
import { packagesOf } from "../../../../infra/render/system/packages.ts";
import { assertGolden } from "../../../support/golden-file.ts";
import { machineNamed, machineNames, machinesFolder } from "../../../support/machines.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample ann@example";

/** All of a case in one text, as it is read by somebody who compares. */
function shown(files: SystemFile[], packages: string[]): string {
  const one = ({ path, mode, owner, content, validate }: SystemFile): string =>
    `==== ${path} ${mode} ${owner}\n${validate ? `check: ${validate}\n` : ""}${content}`;
  const list = (title: string, commands: string[]): string => `==== ${title}\n${commands.join("\n")}\n`;
  return [
    list("packages", packages),
    ...files.map(one),
    list("in force by", reloadCommands(files)),
    list("out of force by", removeCommands(files)),
  ].join("\n");
}

for (const name of machineNames()) {
  const machine = machineNamed(name);
  const files = renderSystem(machine);

  test(`${name}: system files`, () => {
    assertGolden(join(machinesFolder, `${name}.files.txt`), shown(files, packagesOf(machine)));
    const paths = files.map(({ path }) => path);
    assert.equal(new Set(paths).size, paths.length, "no path twice");
    for (const { path, content } of files) {
      assert.match(path, /^\/[^\s]+$/);
      assert.ok(content.endsWith("\n") && !content.includes("undefined") && !content.includes("NaN"), path);
    }
  });

  test(`${name}: user data`, () => {
    const text = renderCloudInit({ machine, files, packages: packagesOf(machine), authorizedKeys: [key] });
    assert.ok(text.startsWith("#cloud-config\n"));
    assert.ok(text.length < 16 * 1024, `${text.length} bytes are more than some clouds take`);
    const data = parse(text);
    const written: { path: string; encoding?: string; content: string }[] = data.write_files;
    const all = written
      .map(({ encoding, content }) => (encoding ? gunzipSync(Buffer.from(content, "base64")) : content))
      .join("");
    for (const { path, content } of files) assert.ok(all.includes(content), path);
    assert.ok(all.endsWith(`${reloadCommands(files).join("\n")}\n`));
    assert.deepEqual(data.runcmd, [`sh ${written.at(-1)?.path}`]);
  });
}

test("user data of a small server can be read, and is kept as golden", () => {
  const machine = machineNamed("debian12-bare");
  const text = renderCloudInit({ machine, files: renderSystem(machine), packages: packagesOf(machine), authorizedKeys: [key] });
  assertGolden(join(machinesFolder, "debian12-bare.cloud-init.yaml"), text);
});

test("no firewall without an SSH port, no user data without a key", () => {
  const machine = machineNamed("debian12-small");
  assert.throws(() => renderSystem({ ...machine, ssh: { ports: [] } }), /no SSH port is known/);
  assert.throws(() => renderCloudInit({ machine, files: [], packages: [], authorizedKeys: [] }), /nobody could log in/);
});

test("two gateways fit into the server's memory, and a heap into its gateway's", () => {
  const machine = machineNamed("debian12-small");
  for (const megabytes of [1024, 1966, 4096, 16_384, 262_144]) {
    for (const workers of [1, 4, 16]) {
      const memoryBytes = megabytes * mebibyte;
      const limits = gatewayLimits({ ...machine, memoryBytes, gateway: { ...machine.gateway, workers } });
      assert.ok(limits.memoryBytes * 2 <= memoryBytes, `${megabytes} MiB`);
      assert.ok(limits.memoryHighBytes < limits.memoryBytes);
      assert.ok(limits.heapMegabytes * mebibyte < limits.memoryHighBytes);
    }
  }
});

test("commands: users before files, systemd's look at its units before what is done with them, nothing twice", () => {
  const files = renderSystem(machineNamed("ubuntu2404-everything"));
  const commands = reloadCommands(files);
  assert.equal(new Set(commands).size, commands.length);
  assert.match(commands[0] ?? "", /^systemd-sysusers/);
  const read = commands.indexOf("systemctl daemon-reload");
  const firstUnit = commands.findIndex((command) => /^systemctl (enable|start|restart)/.test(command));
  assert.ok(read > 0 && read < firstUnit);
});
