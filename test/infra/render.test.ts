/** openclaw.json as it is rendered: input and output side by side in golden/render. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { configSchema } from "../../gateway/config/schema.ts";
import { renderOpenclawConfig } from "../../infra/render/openclaw-config.ts";
import { parseSettings } from "../../infra/settings.ts";
import { assertGolden } from "../support/golden-file.ts";

const folder = join(import.meta.dirname, "golden/render");

for (const file of globSync("*.settings.json", { cwd: folder }).sort()) {
  const name = basename(file, ".settings.json");
  test(`${name}: rendered, accepted by the gateway's schema, and without a secret`, () => {
    const input: { settings: { [key: string]: unknown }; secrets?: string[] } = JSON.parse(
      readFileSync(join(folder, file), "utf8"),
    );
    const secretValue = (key: string): string => `the-value-of-${key}`;
    const { settings, faults } = parseSettings(
      Object.fromEntries([
        ...Object.entries(input.settings).map(([key, value]) => [
          key,
          { value: typeof value === "string" ? value : JSON.stringify(value), secret: false },
        ]),
        ...(input.secrets ?? []).map((key) => [key, { value: secretValue(key), secret: true }]),
      ]),
      ["local"],
    );
    assert.deepEqual(faults, []);
    assert.ok(settings);
    const { config, secretFiles } = renderOpenclawConfig(settings, "/home/user/stack/secrets");
    const text = `${JSON.stringify(config, null, 2)}\n`;
    assert.deepEqual(configSchema.safeParse(JSON.parse(text)).error?.issues ?? [], []);
    for (const key of input.secrets ?? []) assert.ok(!text.includes(secretValue(key)), `${key} is in the file`);
    assert.deepEqual(new Set(Object.values(secretFiles)), new Set(["gatewayToken", ...(input.secrets ?? [])]));
    assertGolden(join(folder, `${name}.openclaw.json`), text);
  });
}
