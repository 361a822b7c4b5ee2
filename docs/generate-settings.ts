// Writes docs/settings.md from the schema of the gateway's settings.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { settingsReference } from "../gateway/cli/settings-reference.ts";

writeFileSync(join(import.meta.dirname, "settings.md"), settingsReference());
