// docs/settings.md is what the schema says, and every setting says what it is for.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { settingsReference } from "../../gateway/cli/settings-reference.ts";
import { stackSchema } from "../../gateway/config/schema.ts";
import { settings } from "../../gateway/config/walk.ts";

test("docs/settings.md is current", () => {
  const file = readFileSync(join(import.meta.dirname, "../../docs/settings.md"), "utf8");
  assert.ok(file === settingsReference(), "docs/settings.md is older than the schema: run `npm run settings`");
});

test("each of our settings has a description", () => {
  const all = settings(stackSchema);
  assert.ok(all.length > 50);
  const silent = all.filter(({ outer, schema }) => {
    const text =
      (outer instanceof z.ZodType ? outer.description : undefined) ??
      (schema instanceof z.ZodType ? schema.description : undefined);
    return text === undefined;
  });
  assert.deepEqual(
    silent.map((setting) => setting.path.join(".")),
    [],
  );
});
