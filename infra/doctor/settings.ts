/** The stack file is right, as far as it can be told without its secrets: the same look at it as the program's, which `up` begins with. */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { Check, Finding } from "./check.ts";

const project = "openclaw-stack:";
const fileSchema = z.object({ config: z.record(z.string(), z.unknown()).nullish() });
const encryptedSchema = z.strictObject({ secure: z.string() });

export const settingsCheck = (targets: string[]): Check => ({
  name: "settings",
  async run({ stackFile }) {
    // Made at the first `up`.
    if (!existsSync(stackFile)) return [];
    const name = `stacks/${basename(stackFile)}`;
    const error = (what: string): Finding => ({ level: "error", message: `${name}: ${what}` });
    let config: { [key: string]: unknown };
    try {
      config = fileSchema.parse(parse(readFileSync(stackFile, "utf8"))).config ?? {};
    } catch (problem) {
      const [why = ""] = (problem instanceof Error ? problem.message : String(problem)).split("\n");
      return [error(problem instanceof z.ZodError ? "has no section config" : `is no YAML: ${why}`)];
    }
    // With Pulumi's SDK, which other commands do without.
    const { parseSettings } = await import("../settings.ts");
    const own = Object.entries(config).filter(([key]) => key.startsWith(project));
    const raw = Object.fromEntries(own.map(([key, value]) => [key.slice(project.length), rawOf(key, value)]));
    return parseSettings(raw, targets).faults.map(({ path, message }) => error(`${project}${path}: ${message}`));
  },
});

/** What is encrypted is taken to be good. */
function rawOf(key: string, value: unknown): { value: string; secret: boolean } {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (encryptedSchema.safeParse(value).success) return { value: `encrypted-${key.replace(/[^\w-]/g, "-")}`, secret: true };
  return { value: text, secret: holdsEncrypted(value) };
}

function holdsEncrypted(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return encryptedSchema.safeParse(value).success || Object.values(value).some(holdsEncrypted);
}
