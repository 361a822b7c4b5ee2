// THE declaration of every setting: upstream's own keys, and ours under plugins.entries.openclaw-stack.config.
import * as z from "zod";
import { providerKinds } from "../models/index.ts";
import { agentsSchema, channelsSchema, memorySchema } from "./agents.ts";
import { bytesSchema, idSchema, portSchema, positiveMsSchema, secretProviderSchema, secretSchema } from "./fields.ts";
import { stackSchema } from "./stack.ts";

export { agentsSchema, channelsSchema, memorySchema, modelChoiceSchema } from "./agents.ts";
export { idSchema, portSchema, type SecretInput, type SecretRef, secretRefSchema, secretSchema } from "./fields.ts";
export { previousTokenSchema, rotationSchema, type Scope, scopes, type TokenConfig, tokenSchema } from "./governance.ts";
export { type StackConfig, stackSchema, type Timeouts } from "./stack.ts";
export { describeToken, readTokenOptions, timeOf, tokenOptionsHelp, tokenTable } from "./token-entry.ts";

/** The id of our block under plugins.entries. */
export const pluginId = "openclaw-stack";

/** Sections of upstream that this gateway reads past: they belong to parts that are not served here. */
const passed = (section: string) =>
  z.looseObject({}).optional().describe(`accepted; ${section} of upstream, not used by this gateway`);

export const gatewaySchema = z.strictObject({
  port: portSchema.default(18789).describe("HTTP and WebSocket"),
  bind: z
    .enum(["loopback", "lan", "auto", "custom", "tailnet"])
    .default("loopback")
    .describe("loopback: this machine only; lan: every address, needs auth; auto: loopback; custom: customBindHost"),
  customBindHost: z.string().min(1).optional().describe("the address for bind custom"),
  mode: z.enum(["local", "remote"]).default("local").describe("local: run the gateway here"),
  publicOrigin: z.string().optional().describe("address under which users reach it"),
  auth: z
    .strictObject({
      mode: z
        .enum(["none", "token", "password", "trusted-proxy"])
        .optional()
        .describe("default: token when one is set, password when one is set, else none (on loopback only)"),
      token: secretSchema.optional().describe("the token: a secret reference"),
      password: secretSchema.optional().describe("the password: a secret reference"),
      rateLimit: z
        .strictObject({
          maxAttempts: z
            .int()
            .min(1)
            .default(10)
            .describe("wrong tokens from one address; see gateway.trustedProxies for clients behind a proxy"),
          windowMs: positiveMsSchema.default(60_000).describe("within this time"),
          lockoutMs: positiveMsSchema
            .default(300_000)
            .describe(
              "lock that address (of IPv6: its /64) out for this time: it is refused whatever it sends, the right token too",
            ),
          exemptLoopback: z.boolean().default(true).describe("never this machine itself"),
        })
        .optional()
        .describe("lock-out of guessers"),
      trustedProxy: z
        .looseObject({
          userHeader: z.string().min(1).describe("header in which the proxy names the user"),
          requiredHeaders: z.array(z.string()).default([]).describe("headers that must be there"),
          allowUsers: z.array(z.string()).default([]).describe("the only users let in; empty: all that the proxy lets in"),
        })
        .optional()
        .describe("for mode trusted-proxy"),
      allowTailscale: z.boolean().optional().describe("accepted; not used by this gateway"),
      identityScopes: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
    })
    .prefault({})
    .describe("who is let in"),
  trustedProxies: z
    .array(z.string())
    .default([])
    .describe("addresses or networks of proxies whose X-Forwarded-For is believed"),
  allowRealIpFallback: z.boolean().optional().describe("accepted; not used by this gateway"),
  controlUi: z
    .looseObject({
      enabled: z.boolean().default(true).describe("serve the control page"),
      basePath: z.string().startsWith("/").default("/").describe("its path"),
      allowedOrigins: z.array(z.string()).default([]).describe("other origins that may call from a browser"),
      allowInsecureAuth: z.boolean().optional().describe("accepted; not used by this gateway"),
      dangerouslyDisableDeviceAuth: z.boolean().optional().describe("accepted; not used by this gateway"),
    })
    .prefault({})
    .describe("the control page"),
  http: z
    .strictObject({
      endpoints: z
        .strictObject({
          chatCompletions: z
            .looseObject({ enabled: z.boolean().default(true).describe("serve it") })
            .prefault({})
            .describe("/v1/chat/completions"),
          responses: z
            .looseObject({ enabled: z.boolean().default(true).describe("serve it") })
            .prefault({})
            .describe("/v1/responses"),
        })
        .prefault({})
        .describe("endpoints that can be turned off"),
      securityHeaders: z
        .strictObject({
          strictTransportSecurity: z
            .union([z.string(), z.literal(false)])
            .optional()
            .describe("value of Strict-Transport-Security; for a gateway that is reached over TLS only"),
        })
        .optional()
        .describe("extra headers"),
    })
    .prefault({})
    .describe("HTTP"),
  reload: z
    .strictObject({
      mode: z
        .enum(["hybrid", "hot", "restart", "off"])
        .default("hybrid")
        .describe(
          "hybrid, hot: apply what can be applied while running; restart: apply nothing, say that a restart is needed; off: do not watch",
        ),
      debounceMs: positiveMsSchema.max(10_000).default(150).describe("wait this long for more changes"),
    })
    .prefault({})
    .describe("what happens when this file changes"),
  tailscale: z
    .strictObject({
      mode: z.enum(["off", "serve", "funnel"]).default("off").describe("publish by Tailscale"),
      resetOnExit: z.boolean().optional().describe("undo that on exit"),
      preserveFunnel: z.boolean().optional().describe("keep what is published already"),
    })
    .optional()
    .describe("Tailscale"),
  tls: z
    .strictObject({
      enabled: z.boolean().default(false).describe("serve HTTPS"),
      autoGenerate: z.boolean().optional().describe("accepted; give certPath and keyPath"),
      certPath: z.string().optional().describe("certificate with its chain, PEM"),
      keyPath: z.string().optional().describe("its key, PEM"),
      caPath: z.string().optional().describe("callers must show a certificate that one of these authorities signed"),
    })
    .optional()
    .describe("TLS of the gateway's own"),
  remote: passed("gateway.remote"),
  push: passed("gateway.push"),
  nodes: passed("gateway.nodes"),
  tools: passed("gateway.tools"),
  terminal: passed("gateway.terminal"),
  portals: z.unknown().optional().describe("accepted; not used by this gateway"),
  roles: z.unknown().optional().describe("accepted; not used by this gateway"),
  cliAgents: z.unknown().optional().describe("accepted; not used by this gateway"),
});

const [firstKind, ...otherKinds] = Object.values(providerKinds).map((kind) => kind.options);
if (!firstKind) throw new Error("no provider kinds");
/** One provider: its `api` decides which options it has. */
export const providerSchema = z.discriminatedUnion("api", [firstKind, ...otherKinds]);
export type ProviderConfig = z.output<typeof providerSchema>;

const pluginSchema = z.looseObject({ enabled: z.boolean().optional().describe("off: the plug-in is not loaded by upstream") });

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe("for editors"),
  gateway: gatewaySchema.prefault({}).describe("the server"),
  models: z
    .strictObject({
      mode: z.enum(["merge", "replace"]).default("merge").describe("accepted; only the providers named here exist"),
      providers: z.record(idSchema, providerSchema).default({}).describe("model servers by id"),
      catalogRefresh: passed("models.catalogRefresh"),
    })
    .prefault({})
    .describe("models and who serves them"),
  agents: agentsSchema.prefault({}),
  memory: memorySchema.optional(),
  channels: channelsSchema.optional(),
  secrets: z
    .strictObject({
      providers: z.record(z.string(), secretProviderSchema).default({}).describe("where secrets are kept, by name"),
      defaults: z.record(z.string(), z.string()).optional().describe("accepted; references name their provider"),
      egressProxy: passed("secrets.egressProxy"),
    })
    .prefault({})
    .describe("secrets"),
  cron: z
    .looseObject({
      enabled: z.boolean().optional().describe("run scheduled jobs"),
      maxConcurrentRuns: z.int().min(1).optional().describe("jobs at the same time"),
    })
    .optional()
    .describe("scheduled jobs"),
  logging: z
    .looseObject({
      level: z
        .enum(["silent", "fatal", "error", "warn", "info", "debug", "trace"])
        .default("info")
        .describe("the least that is logged"),
      consoleLevel: z.string().optional().describe("accepted; level is used"),
      consoleStyle: z
        .enum(["pretty", "compact", "json"])
        .optional()
        .describe("pretty: text for people, the same as format text"),
      file: z.string().optional().describe("accepted; see the log file of openclaw-stack"),
      maxFileBytes: bytesSchema.optional().describe("accepted; see the log file of openclaw-stack"),
    })
    .prefault({})
    .describe("logs"),
  plugins: z
    .looseObject({
      entries: z
        .looseObject({
          [pluginId]: z
            .strictObject({
              enabled: z.boolean().optional().describe("accepted; this gateway always reads its block"),
              config: stackSchema.prefault({}).describe("settings of openclaw-stack"),
            })
            .prefault({}),
        })
        .catchall(pluginSchema)
        .prefault({})
        .describe("plug-ins; ours is openclaw-stack"),
    })
    .prefault({})
    .describe("plug-ins"),
  tools: z.looseObject({}).optional().describe("accepted; tools of agents"),
  session: passed("session"),
  messages: passed("messages"),
  commands: passed("commands"),
  hooks: passed("hooks"),
  skills: passed("skills"),
  browser: passed("browser"),
  ui: passed("ui"),
  env: passed("env"),
  meta: passed("meta"),
  wizard: passed("wizard"),
  update: passed("update"),
  diagnostics: passed("diagnostics"),
  telemetry: passed("telemetry"),
  auth: passed("auth"),
  accessGroups: passed("accessGroups"),
  acp: passed("acp"),
  mcp: passed("mcp"),
  talk: passed("talk"),
  tts: passed("tts"),
  discovery: passed("discovery"),
  approvals: passed("approvals"),
  security: passed("security"),
  attachments: passed("attachments"),
  transcripts: passed("transcripts"),
  nodeHost: passed("nodeHost"),
  cloudWorkers: passed("cloudWorkers"),
  desktop: passed("desktop"),
  surfaces: passed("surfaces"),
  proxy: passed("proxy"),
  worktreeRoot: z.string().optional().describe("accepted; not used by this gateway"),
  worktreeAcceleration: z.unknown().optional().describe("accepted; not used by this gateway"),
  bindings: z.array(z.unknown()).optional().describe("accepted; which agent answers where"),
  broadcast: z.unknown().optional().describe("accepted; not used by this gateway"),
});

export type Config = z.output<typeof configSchema>;
/** What may be written in the file. */
export type ConfigInput = z.input<typeof configSchema>;
