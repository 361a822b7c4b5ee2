/** The doctor's look at a stack file: what is wrong is named, what is encrypted is not read. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { settingsCheck } from "../../infra/doctor/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "doctor-settings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function findings(text: string | undefined): Promise<string[]> {
  const stackFile = join(folder, "Pulumi.home.yaml");
  rmSync(stackFile, { force: true });
  if (text !== undefined) writeFileSync(stackFile, text);
  const subject = { clone: folder, directory: folder, stackFile, secret: async () => undefined };
  return (await settingsCheck(["local"]).run(subject)).map(({ level, message }) => `${level} ${message}`);
}

test("a file that is right, or not there yet", async () => {
  assert.deepEqual(await findings(undefined), []);
  const right =
    "config:\n  openclaw-stack:gatewayToken:\n    secure: v1:abc\n  openclaw-stack:demo:\n    enabled: true\n  random:seed: 1\n";
  assert.deepEqual(await findings(right), []);
});

test("what is wrong is named", async () => {
  assert.match((await findings("encryptionsalt: v1:x\n")).join(), /no model server is configured/);
  const [noYaml = ""] = await findings("config: [\n");
  assert.match(noYaml, /^error stacks\/Pulumi\.home\.yaml: is no YAML: /);
  const wrong =
    "config:\n  openclaw-stack:gateway:\n    port: 99999\n  openclaw-stack:target: cloud\n  openclaw-stack:gatewayToken: clear\n";
  const found = await findings(wrong);
  for (const path of ["gateway.port", "target", "gatewayToken"]) {
    assert.ok(
      found.some((line) => line.startsWith(`error stacks/Pulumi.home.yaml: openclaw-stack:${path}: `)),
      `${path}: ${found.join("\n")}`,
    );
  }
  const nested = "config:\n  openclaw-stack:models:\n    providers:\n      x:\n        apiKey:\n          secure: v1:abc\n";
  assert.match((await findings(nested)).join("\n"), /openclaw-stack:models: is a secret, or holds one/);
});
