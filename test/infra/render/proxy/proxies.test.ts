/** What stands in front of the gateway, as it is rendered: input and output side by side in golden. */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { assertGolden } from "../../../support/golden-file.ts";
import { readProxyCase, renderProxyCase } from "../../../support/proxy-cases.ts";

const folder = join(import.meta.dirname, "golden");
const files = globSync("*.json", { cwd: folder }).sort();

test("there are cases", () => {
  assert.ok(files.length > 10);
});

for (const file of files) {
  const name = basename(file, ".json");
  const input = readProxyCase(join(folder, file));
  for (const [program, rendered] of Object.entries(renderProxyCase(input))) {
    test(`${name}: ${program}`, () => {
      const text = Object.entries(rendered)
        .map(([path, content]) => `#### ${path}\n${content}`)
        .join("\n");
      assertGolden(join(folder, `${name}.${program}.conf`), text);
    });
  }
}
