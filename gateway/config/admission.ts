// Settings of admission: when an upstream counts as full, who waits for it and how long, and what was bought from a provider.
import * as z from "zod";
import { httpUrlSchema, idSchema, positiveMsSchema, secretSchema } from "./fields.ts";

export const priorities = ["interactive", "normal", "batch"] as const;
export type Priority = (typeof priorities)[number];
export const prioritySchema = z.enum(priorities);

const upstreamLimitsSchema = z.strictObject({
  metrics: z
    .union([z.boolean(), httpUrlSchema])
    .default(false)
    .describe("true: read the engine's load from /metrics of the provider's address (vLLM); or the address of that page"),
  maxWaiting: z
    .int()
    .min(0)
    .default(8)
    .describe("full while so many requests wait inside the engine; a few keep its batches filled"),
  maxKvUsage: z.number().min(0.05).max(1).default(0.97).describe("full while so much of its KV cache is in use (1: all of it)"),
  maxConcurrent: z
    .int()
    .min(1)
    .optional()
    .describe(
      "full while so many requests are under way, those of all workers and, over Redis, of all replicas; for any server",
    ),
});
export type UpstreamLimits = z.output<typeof upstreamLimitsSchema>;

const weight = z.int().min(1).max(1000);

export const admissionSchema = z.strictObject({
  upstreams: z
    .record(z.string().min(1), upstreamLimitsSchema)
    .default({})
    .describe('by provider, or "provider/model": when it is full'),
  pollMs: positiveMsSchema
    .default(1000)
    .describe("between two looks at an engine's figures; older than three looks they are not used"),
  whenFull: z
    .enum(["fallback", "wait"])
    .default("fallback")
    .describe(
      "fallback: while a model's upstreams are full its fallbacks answer, and one waits when they are full too; wait: one waits, and fallbacks are for failures",
    ),
  queue: z
    .strictObject({
      maxLength: z.int().min(0).default(1000).describe("requests that wait at most, all together; 0: none waits"),
      maxWaitMs: positiveMsSchema.default(30_000).describe("a request that waited this long is refused with 429"),
      weights: z
        .strictObject({
          interactive: weight.default(16).describe("share of interactive requests"),
          normal: weight.default(4).describe("share of those that say nothing"),
          batch: weight.default(1).describe("share of batch requests: never nothing"),
        })
        .prefault({})
        .describe("how free places are shared between the priorities that wait"),
    })
    .prefault({})
    .describe("requests for which every upstream is full, or every quota used up"),
});
export type AdmissionConfig = z.output<typeof admissionSchema>;

const boughtSchema = {
  requestsPerMinute: z.int().min(1).optional().describe("requests in any sliding minute"),
  tokensPerMinute: z.int().min(1).optional().describe("tokens in any sliding minute, in and out"),
  concurrent: z.int().min(1).optional().describe("requests at the same time, of all workers and replicas together"),
};

export const quotaSchema = z.strictObject({
  ...boughtSchema,
  keys: z
    .array(
      z.strictObject({
        id: idSchema.describe("its name in logs and metrics"),
        apiKey: secretSchema.describe("the key: a secret reference"),
        ...boughtSchema,
      }),
    )
    .default([])
    .describe("several keys of the provider, each with its own limits: the one with most left is used; empty: its apiKey"),
  windowMs: positiveMsSchema
    .default(60_000)
    .describe("the span that the limits count in, where the provider's is not a minute"),
  guardMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(5000)
    .describe(
      "a request counts from when its answer began, or from this long after it was sent: what is late on its way must not be one too many there",
    ),
});
export type QuotaConfig = z.output<typeof quotaSchema>;

export const quotasSchema = z
  .record(idSchema, quotaSchema)
  .default({})
  .describe(
    "by provider: what was bought, so that all callers together never exceed it; its own x-ratelimit headers count too",
  );
