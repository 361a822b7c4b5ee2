// Settings of what is kept of answers: the exact cache, and the answers to requests with an idempotency key.
import * as z from "zod";
import { bytesSchema } from "./fields.ts";

const storeSchema = z.enum(["memory", "redis"]);

export const cacheSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe(
      "answer a repeated identical request from what was answered before, whatever its temperature; a request opts out with x-openclaw-cache: off or cache-control: no-store",
    ),
  ttlSeconds: z.int().min(1).max(86_400).default(300).describe("how long an answer is used again"),
  maxBytes: bytesSchema.default(67_108_864).describe("memory for answers; the one unused for longest goes first"),
  maxEntries: z.int().min(1).default(10_000).describe("answers kept at most"),
  maxAnswerBytes: bytesSchema.default(1_048_576).describe("a longer answer is not kept, and is not joined once it is longer"),
  shared: z
    .boolean()
    .default(false)
    .describe("true: one token may be given what another token's request was answered; false: never"),
  coalesce: z
    .boolean()
    .default(true)
    .describe("identical requests at the same time share one call of the upstream; one of them leaving does not end it"),
  store: storeSchema
    .default("memory")
    .describe(
      "memory: of each process, so that each of several workers has answers of its own, and maxBytes for them; redis: shared by all workers and all gateways of cluster.redisUrl (answers are stored there in clear)",
    ),
  models: z
    .array(z.string().min(1))
    .optional()
    .describe('only answers of these: "provider/model", a model\'s id or a pool; without it all'),
});
export type CacheSettings = z.output<typeof cacheSchema>;

export const idempotencySchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe("a repeated Idempotency-Key of the same token is given the first one's answer; calls that do not stream only"),
  ttlSeconds: z.int().min(1).max(604_800).default(86_400).describe("how long a key is remembered"),
  maxBytes: bytesSchema.default(33_554_432).describe("memory for these answers; the oldest go first"),
  maxEntries: z.int().min(1).default(10_000).describe("keys remembered at most"),
  maxAnswerBytes: bytesSchema.default(1_048_576).describe("a longer answer is not kept"),
  store: storeSchema
    .default("memory")
    .describe(
      "memory: of this gateway, for all of its workers; redis: shared by all gateways of cluster.redisUrl (answers are stored there in clear)",
    ),
});
export type IdempotencySettings = z.output<typeof idempotencySchema>;
