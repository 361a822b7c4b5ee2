/** Every example stack is accepted as it stands, with the secrets that its head names, and renders a config that the gateway accepts. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { checkRules } from "../../gateway/config/rules.ts";
import { configSchema } from "../../gateway/config/schema.ts";
import { renderOpenclawConfig } from "../../infra/render/openclaw-config.ts";
import { parseSettings } from "../../infra/settings.ts";
import { targets } from "../../infra/targets/index.ts";

const folder = join(import.meta.dirname, "../../stacks/examples");
const files = globSync("*.yaml", { cwd: folder }).sort();

test("there are examples", () => {
  assert.ok(files.includes("local.yaml"));
});

for (const file of files) {
  test(`${basename(file)} is accepted`, () => {
    const text = readFileSync(join(folder, file), "utf8");
    const { config }: { config: { [key: string]: unknown } } = parse(text);
    const named = /^# Secrets: (.+)$/m.exec(text)?.[1]?.split(/, */) ?? [];
    const raw = Object.entries(config).map(([key, value]) => [
      key.replace(/^openclaw-stack:/, ""),
      { value: typeof value === "string" ? value : JSON.stringify(value), secret: false },
    ]);
    const secrets = named.map((key) => [key, { value: "a-secret-of-the-example-1234", secret: true }]);
    const { settings, faults } = parseSettings(Object.fromEntries([...raw, ...secrets]), Object.keys(targets));
    assert.deepEqual(faults, []);
    assert.ok(settings);
    const rendered: unknown = JSON.parse(JSON.stringify(renderOpenclawConfig(settings, "/secrets").config));
    assert.deepEqual(checkRules(configSchema.parse(rendered)), []);
  });
}
