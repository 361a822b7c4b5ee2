// Our own settings: the block plugins.entries.openclaw-stack.config, which upstream's validator lets pass.
import * as z from "zod";
import { admissionSchema, quotasSchema } from "./admission.ts";
import { cacheSchema, idempotencySchema } from "./cache.ts";
import { clusterSchema } from "./cluster.ts";
import { bytesSchema, millisecondsSchema, portSchema, positiveMsSchema, secondsSchema } from "./fields.ts";
import { rateLimitSchema, rotationSchema, tokenSchema } from "./governance.ts";
import { remoteContentSchema } from "./remote-content.ts";
import { routingSchema } from "./routing.ts";
import { tracingSchema } from "./tracing.ts";
import { usageSchema } from "./usage.ts";

export const timeoutsSchema = z.strictObject({
  connectMs: positiveMsSchema
    .default(5000)
    .describe("to open the connection, with its TLS: a server that is there answers in milliseconds"),
  headersMs: positiveMsSchema
    .default(120_000)
    .describe("streaming: until the response's headers; a local server may load a model first"),
  firstTokenMs: positiveMsSchema
    .default(120_000)
    .describe("streaming: from the headers to the first bytes; long prompts take long to read"),
  betweenTokensMs: positiveMsSchema.default(60_000).describe("streaming: the longest silence between two pieces"),
  totalMs: positiveMsSchema.default(600_000).describe("the whole call; the only limit of a call that does not stream"),
});
export type Timeouts = z.output<typeof timeoutsSchema>;

/** `plugins.entries.openclaw-stack.config`. */
export const stackSchema = z.strictObject({
  demo: z
    .strictObject({
      enabled: z.boolean().default(false).describe("answer with a demonstration text while no model provider is configured"),
      delayMs: millisecondsSchema.default(40).describe("pause between two words of the demonstration"),
    })
    .prefault({})
    .describe("the built-in demonstration model; never used when a provider is configured"),
  tokens: z.array(tokenSchema).default([]).describe("named tokens beside gateway.auth.token"),
  rateLimit: rateLimitSchema.optional().describe("requests that are let in; without it there is no limit"),
  rotation: rotationSchema.prefault({}).describe("tokens that are replaced"),
  remoteContent: remoteContentSchema.prefault({}).describe("images and files that requests name by address"),
  timeouts: timeoutsSchema.prefault({}).describe("how long a model server may take"),
  routing: routingSchema.prefault({}).describe("which upstream answers, and which one when that one fails"),
  admission: admissionSchema.prefault({}).describe("when an upstream is full, and who waits for it"),
  quotas: quotasSchema,
  health: z
    .strictObject({
      intervalMs: positiveMsSchema.default(30_000).describe("between two looks at a provider's /models"),
      timeoutMs: positiveMsSchema.default(5000).describe("a provider that takes longer is down"),
      downIntervalMs: positiveMsSchema.default(5000).describe("between two looks at a provider that is down"),
    })
    .prefault({})
    .describe("checks of the providers for /readyz/models"),
  http: z
    .strictObject({
      maxBodyBytes: bytesSchema
        .default(52_428_800)
        .describe("larger requests are refused with 413; images travel inside requests"),
      headersTimeoutMs: positiveMsSchema
        .default(10_000)
        .describe("a client must send its headers within this time (slow-loris)"),
      requestTimeoutMs: positiveMsSchema.default(120_000).describe("a client must send its whole request within this time"),
      keepAliveTimeoutMs: positiveMsSchema
        .default(75_000)
        .describe("an idle connection is kept this long; above a proxy's usual 60 s"),
      sseKeepAliveMs: positiveMsSchema
        .default(15_000)
        .describe("a silent stream gets a comment line after this time, so that proxies keep it"),
    })
    .prefault({})
    .describe("limits of the HTTP server"),
  metrics: z
    .strictObject({
      enabled: z.boolean().default(true).describe("serve /metrics"),
      port: portSchema.optional().describe("serve /metrics, /healthz and /readyz on this port too, without a token"),
      host: z.string().default("127.0.0.1").describe("the address of that port"),
      public: z.boolean().default(false).describe("serve /metrics of the main port without a token"),
    })
    .prefault({})
    .describe("figures in Prometheus' format"),
  logging: z
    .strictObject({
      format: z.enum(["json", "text"]).default("json").describe("json lines, or text for people"),
      accessLog: z.boolean().default(true).describe("one line for each request"),
      redactSensitive: z
        .union([z.boolean(), z.enum(["off", "tools"])])
        .optional()
        .describe("accepted; secrets are never logged"),
      output: z.array(z.unknown()).optional().describe("accepted from older files; logs go to standard output"),
      file: z
        .strictObject({
          path: z.string().min(1).describe("the file"),
          maxSizeMb: z.number().positive().default(100).describe("it is rotated at this size"),
          maxBackups: z.int().min(0).default(10).describe("rotated files that are kept"),
          compress: z.boolean().default(false).describe("gzip rotated files"),
        })
        .optional()
        .describe("a log file beside standard output"),
    })
    .prefault({})
    .describe("what is logged, and how"),
  drain: z
    .strictObject({
      delayMs: millisecondsSchema
        .default(0)
        .describe("after SIGTERM new requests are still served this long, until balancers have noticed"),
      timeoutMs: millisecondsSchema.default(30_000).describe("streams may finish within this time, then they are cut"),
    })
    .prefault({})
    .describe("how the gateway stops"),
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(64)])
    .default(1)
    .describe("processes that serve requests; auto: as many as processors"),
  websocket: z
    .strictObject({
      path: z.string().startsWith("/").optional().describe("an extra path for the WebSocket beside / and /ws"),
      pingIntervalMs: positiveMsSchema.default(30_000).describe("between two pings"),
      pingTimeoutMs: positiveMsSchema.default(10_000).describe("a client that does not answer in this time is gone"),
      maxMessageBytes: bytesSchema.default(10_485_760).describe("larger messages end the connection"),
      idleTimeoutMs: millisecondsSchema.default(0).describe("close after this silence; 0: never"),
    })
    .optional()
    .describe("limits of WebSocket connections"),
  tasks: z
    .strictObject({
      concurrency: z.int().min(1).default(10).describe("tasks that run at the same time"),
      queueTimeoutSeconds: secondsSchema.default(600).describe("a task that waits longer fails"),
      defaultTimeoutSeconds: secondsSchema.default(0).describe("a task that runs longer is stopped; 0: never"),
      longTaskWarningSeconds: secondsSchema.default(300).describe("a task that runs longer is logged"),
      schedulerIntervalSeconds: secondsSchema.optional().describe("accepted from older files; the queue does not poll"),
      batch: z
        .strictObject({
          enabled: z.boolean().default(false).describe("collect small tasks"),
          maxSize: z.int().min(1).default(100).describe("tasks in a batch"),
          timeoutMs: positiveMsSchema.default(500).describe("a batch waits this long for more"),
        })
        .optional()
        .describe("batches"),
    })
    .optional()
    .describe("the task queue"),
  nodes: z
    .strictObject({
      reconnect: z
        .strictObject({
          initialMs: positiveMsSchema.default(1000).describe("first pause"),
          factor: z.number().min(1).default(2).describe("each next pause is this much longer"),
          maxMs: positiveMsSchema.default(60_000).describe("longest pause"),
          jitter: z.boolean().default(true).describe("spread the pauses"),
          maxRetries: z.int().min(-1).default(-1).describe("-1: without end"),
        })
        .optional()
        .describe("how a node comes back"),
    })
    .optional()
    .describe("nodes"),
  cache: cacheSchema.prefault({}).describe("exact cache of answers"),
  idempotency: idempotencySchema.prefault({}).describe("requests that may be sent twice and are answered once"),
  tracing: tracingSchema.prefault({}).describe("OpenTelemetry spans"),
  cluster: clusterSchema.optional().describe("several gateways as one"),
  usage: usageSchema.prefault({}).describe("the record of what calls took and cost"),
});
export type StackConfig = z.output<typeof stackSchema>;
