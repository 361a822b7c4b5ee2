// Prints docs/settings.md: the reference of all settings, from the schema and the tables that decide.
import * as z from "zod";
import { migratedPlaces } from "../config/migrate.ts";
import { configSchema } from "../config/schema.ts";
import { inner, type Setting, settings } from "../config/walk.ts";
import { exitCodes } from "../errors.ts";

export function settingsReference(): string {
  const all = settings(configSchema);
  const unique = [...new Map(all.map((setting) => [setting.path.join("\0"), setting])).values()];
  const references = new Set(
    unique.filter((setting) => values(setting.schema).includes("secret reference")).map((setting) => setting.path.join(".")),
  );
  const rows = unique
    .filter((setting) => !isSection(setting.schema) && !references.has(setting.path.slice(0, -1).join(".")))
    .map(row);
  const lines = [
    "# Settings",
    "",
    "<!-- Generated from gateway/config/schema.ts by `npm run settings`. Do not edit. -->",
    "",
    "The gateway reads one file, JSON5 (or YAML): `--config`, else `OPENCLAW_CONFIG_PATH`, else `openclaw.json` in the state folder",
    `(\`OPENCLAW_STATE_DIR\`, else \`~/.openclaw\`). \`\${NAME}\` reads the environment, \`$\${NAME}\` is the text itself, \`$include\` reads other files.`,
    'Secrets are references, `{ source: "file" | "env" | "exec", provider, id }`, to a provider under `secrets.providers`; files are followed.',
    "An unknown key is an error. Keys that the OpenClaw CLI does not know are written under `plugins.entries.openclaw-stack.config`.",
    "",
    "| setting | values | default | meaning |",
    "|---|---|---|---|",
    ...rows,
    "",
    "## Older places",
    "",
    "Read, moved and noted once in the log. Where both are set it is an error.",
    "",
    "| older place | read as |",
    "|---|---|",
    ...migratedPlaces.map(([from, to]) => `| \`${from}\` | \`${to}\` |`),
    "",
    "## Exit codes of the gateway",
    "",
    "| code | meaning |",
    "|---|---|",
    ...Object.entries(exitCodes).map(([name, code]) => `| ${code} | ${exitMeanings[name] ?? name} |`),
    "",
  ];
  return lines.join("\n");
}

const exitMeanings: Readonly<Record<string, string>> = {
  ok: "stopped as asked; requests under way were finished, or cut at the drain's deadline",
  usage: "the command line is wrong",
  cannotListen: "the port is in use, may not be opened, or the address is not of this machine",
  internal: "an error that nobody caught; a supervisor starts it again",
  stateNotWritable: "the state folder cannot be made",
  config: "the configuration is wrong; starting again does not help",
};

const isSection = (schema: z.core.$ZodType): boolean => schema instanceof z.ZodObject && Object.keys(schema.shape).length > 0;

function row(setting: Setting): string {
  const path = setting.path.join(".").replaceAll("plugins.entries.openclaw-stack.config.", "openclaw-stack: ");
  return `| \`${path}\` | ${cell(values(setting.schema))} | ${cell(defaultOf(setting.outer))} | ${cell(describe(setting.outer))} |`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

function describe(schema: z.core.$ZodType): string {
  const own = schema instanceof z.ZodType ? schema.description : undefined;
  if (own !== undefined) return own;
  const next = inner(schema);
  return next instanceof z.ZodType ? (next.description ?? "") : "";
}

function defaultOf(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodDefault) return `\`${JSON.stringify(schema.def.defaultValue)}\``;
  if (schema instanceof z.ZodOptional) return defaultOf(schema.def.innerType);
  return "";
}

function values(schema: z.core.$ZodType): string {
  const bare = inner(schema);
  if (bare instanceof z.ZodEnum) return bare.options.map((option) => `\`${option}\``).join(" ");
  if (bare instanceof z.ZodLiteral) return [...bare.values].map((value) => `\`${String(value)}\``).join(" ");
  if (bare instanceof z.ZodUnion) return [...new Set(bare.options.map(values))].join(" or ");
  if (bare instanceof z.ZodArray) return `list of ${values(bare.def.element)}`;
  if (bare instanceof z.ZodRecord) return "object";
  if (bare instanceof z.ZodObject) return "source" in bare.shape && "provider" in bare.shape ? "secret reference" : "object";
  if (bare instanceof z.ZodNumber) return range(bare);
  if (bare instanceof z.ZodString) return "text";
  return bare instanceof z.ZodBoolean ? "true, false" : "anything";
}

function range(schema: z.ZodNumber): string {
  const { minValue, maxValue } = schema;
  const bounds = [minValue, maxValue].map((bound) =>
    bound === null || Math.abs(bound) >= Number.MAX_SAFE_INTEGER ? "" : String(bound),
  );
  return bounds.some((bound) => bound !== "") ? `number ${bounds.join("…")}` : "number";
}
