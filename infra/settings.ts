/** The settings of a stack: one schema, and the only reader of Pulumi's configuration. */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import {
  agentsSchema,
  channelsSchema,
  configSchema,
  gatewaySchema,
  idSchema,
  memorySchema,
  previousTokenSchema,
  providerSchema,
  rotationSchema,
  stackSchema,
  tokenSchema,
} from "../gateway/config/schema.ts";
import { crossChecks } from "./settings-checks.ts";
import { dockerSettings } from "./settings-docker.ts";
import { describeIssues, type Fault } from "./settings-faults.ts";
import { proxySettings } from "./settings-proxy.ts";
import { secretFaults, secretKeyPattern } from "./settings-secrets.ts";
import { decodeSetting } from "./settings-text.ts";
import { vmSettings } from "./settings-vm.ts";

const stackShape = stackSchema.shape;
const configShape = configSchema.shape;

/** A short form in stack files: the id alone. */
const modelEntry = (value: unknown): unknown => (typeof value === "string" ? { id: value } : value);
const providerEntry = (value: unknown): unknown =>
  isObject(value)
    ? { api: "openai-completions", ...value, ...(Array.isArray(value.models) ? { models: value.models.map(modelEntry) } : {}) }
    : value;

const modelsSettings = z.strictObject({
  default: z.string().min(1).optional().describe('the model that answers when a request names none: "provider/model"'),
  fallbacks: z.array(z.string().min(1)).optional().describe("tried in this order when the default cannot answer"),
  providers: z
    .record(idSchema, z.preprocess(providerEntry, providerSchema))
    .default({})
    .describe("model servers by id; the key of one is the secret apiKey-<id>"),
});

/** Sections of the gateway's config, as it declares them; ours stand beside upstream's here and are put in their place when rendered. */
export const settingsSchema = z.strictObject({
  target: z.string().default("local").describe("where the stack is deployed"),
  keepData: z.boolean().default(false).describe("`destroy` leaves the gateway's data folder"),
  gateway: gatewaySchema.prefault({}).describe("the server"),
  models: modelsSettings.prefault({}).describe("models and who serves them"),
  agents: agentsSchema.optional(),
  memory: memorySchema.optional(),
  channels: channelsSchema.optional(),
  docker: dockerSettings.optional().describe("target docker: the Docker host"),
  proxy: proxySettings.prefault({}).describe("the server in front of the gateway, for the targets docker and vm"),
  vm: vmSettings.optional().describe("target vm: the server"),
  cron: configShape.cron,
  tools: configShape.tools,
  ...stackShape,
  tokens: z
    .array(
      tokenSchema.extend({
        token: tokenSchema.shape.token.optional().describe("left out: it is the secret token-<id>"),
        previous: previousTokenSchema
          .extend({
            token: previousTokenSchema.shape.token.optional().describe("left out: it is the secret previousToken-<id>"),
          })
          .optional()
          .describe("the token before it, for a rotation: both are let in"),
      }),
    )
    .default([])
    .describe("named tokens beside the gateway's own; the token of one is the secret token-<id>"),
  rotation: rotationSchema
    .extend({
      previousToken: previousTokenSchema
        .extend({
          token: previousTokenSchema.shape.token.optional().describe("left out: it is the secret previousGatewayToken"),
        })
        .optional()
        .describe("the gateway's own token before the present one"),
    })
    .prefault({})
    .describe("tokens that are replaced"),
  logging: z
    .strictObject({
      level: z
        .enum(["silent", "fatal", "error", "warn", "info", "debug", "trace"])
        .optional()
        .describe("the least that is logged"),
      ...stackShape.logging.unwrap().shape,
    })
    .prefault({})
    .describe("what is logged, and how"),
});

type ParsedSettings = z.output<typeof settingsSchema>;

export interface Settings extends ParsedSettings {
  /** What the user wrote, checked but without defaults: it is what gets rendered. */
  written: { [section: string]: unknown };
  /** Chosen by the user; otherwise one is made at random. */
  gatewayToken: pulumi.Output<string> | undefined;
  /** Values of apiKey-<provider> and token-<id>, by the setting's name. In clear: give them to Pulumi as secrets. */
  secrets: { [key: string]: string };
}

/** One entry of the stack's configuration: objects are JSON text. */
export interface RawSetting {
  value: string;
  secret: boolean;
}

/** @throws RunError, shown without a stack trace, that lists everything that is wrong */
export function readSettings(targets: string[]): Settings {
  const project = pulumi.getProject();
  // The SDK does not tell which values were encrypted; the engine names them to the program in this variable.
  const secretKeys = z.array(z.string()).parse(JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]"));
  const raw: { [key: string]: RawSetting } = {};
  for (const [key, value] of Object.entries(pulumi.runtime.allConfig())) {
    // Other namespaces belong to providers (`random:…`) and to Pulumi itself.
    if (key.startsWith(`${project}:`)) raw[key.slice(project.length + 1)] = { value, secret: secretKeys.includes(key) };
  }
  // What this program starts needs none of it.
  delete process.env.PULUMI_CONFIG;
  const { settings, faults } = parseSettings(raw, targets);
  if (settings)
    return {
      ...settings,
      gatewayToken: settings.secrets.gatewayToken ? pulumi.secret(settings.secrets.gatewayToken) : undefined,
    };
  const file = `stacks/Pulumi.${pulumi.getStack()}.yaml`;
  const lines = faults.map(({ path, message }) => `  ${project}:${path}: ${message}`);
  throw new pulumi.RunError(
    `${file}: ${faults.length === 1 ? "one setting is" : `${faults.length} settings are`} wrong\n${lines.join("\n")}`,
  );
}

export type CheckedSettings = Omit<Settings, "gatewayToken">;

/** Pure: all that is wrong at once, or the settings. */
export function parseSettings(
  raw: { [key: string]: RawSetting },
  targets: string[],
): { settings?: CheckedSettings; faults: Fault[] } {
  const written: { [section: string]: unknown } = {};
  const secrets: { [key: string]: string } = {};
  const faults: Fault[] = [];
  for (const [key, { value, secret }] of Object.entries(raw)) {
    if (secretKeyPattern.test(key)) {
      faults.push(...secretFaults(key, value, secret));
      secrets[key] = value;
    } else if (secret) {
      const fix = "keep only the secret itself as a secret, in a key of its own: gatewayToken, apiKey-<provider> or token-<id>";
      faults.push({ path: key, message: `is a secret, or holds one, but this setting is written to openclaw.json; ${fix}` });
    } else {
      written[key] = decodeSetting(value);
    }
  }
  const parsed = settingsSchema.safeParse(written);
  if (!parsed.success) faults.push(...describeIssues(settingsSchema, parsed.error.issues, written));
  faults.push(...crossChecks({ sections: written, secretKeys: Object.keys(secrets), targets }));
  if (!parsed.success || faults.length > 0) return { faults };
  return { settings: { ...parsed.data, written, secrets }, faults };
}

function isObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
