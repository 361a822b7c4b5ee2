// Settings of routing: fallbacks, pools, hedging, circuit breakers.
import * as z from "zod";
import { idSchema, positiveMsSchema } from "./fields.ts";

const upstreamNameSchema = z.string().min(1);

export const poolSchema = z.strictObject({
  members: z
    .array(
      z.union([
        upstreamNameSchema,
        z.strictObject({
          model: upstreamNameSchema.describe('the upstream: "provider/model"'),
          weight: z.number().positive().max(1000).default(1).describe("its share, beside the others' weights"),
        }),
      ]),
    )
    .min(1)
    .describe('upstreams that serve the same: "provider/model", or { model, weight }'),
  sticky: z
    .enum(["none", "session", "prompt"])
    .default("session")
    .describe(
      "session: requests with the same x-openclaw-session-key go to the same upstream; prompt: also those that begin with the same messages, so that its prefix cache is used; none: always the least loaded",
    ),
});
export type PoolConfig = z.output<typeof poolSchema>;

const hedgeShape = {
  afterMs: positiveMsSchema.optional().describe("a second upstream is asked when the first has sent nothing for this long"),
  quantile: z
    .number()
    .min(0.5)
    .max(0.999)
    .optional()
    .describe("or after the time within which this share of its latest answers began: 0.95; needs 20 answers first"),
  maxExtra: z.int().min(1).max(5).optional().describe("upstreams that are asked on top of the first; 1 unless set"),
  maxShare: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe("of a model's requests, the share that may be asked more than once; 0.2 unless set, beside the first ten"),
};
export const hedgeDefaults = { maxExtra: 1, maxShare: 0.2 } as const;

const oneOfTwo = (value: { afterMs?: number | undefined; quantile?: number | undefined }): boolean =>
  value.afterMs === undefined || value.quantile === undefined;
const oneOfTwoError = "set afterMs or quantile, not both";

export const hedgeSchema = z
  .strictObject({
    ...hedgeShape,
    models: z
      .record(upstreamNameSchema, z.union([z.literal(false), z.strictObject(hedgeShape).refine(oneOfTwo, oneOfTwoError)]))
      .default({})
      .describe('by model ("provider/model", or a pool): settings of its own, or false'),
  })
  .refine(oneOfTwo, oneOfTwoError)
  .describe(
    "the same request to a second upstream when the first is slow to answer; the first to answer wins, the other is dropped. Never for clients that forbid fallbacks, nor for answers that the provider keeps",
  );

export const routingSchema = z.strictObject({
  fallbacks: z
    .record(z.string().min(1), z.array(upstreamNameSchema))
    .default({})
    .describe('by model ("provider/model", or a pool): what is asked next when it fails, in this order'),
  pools: z
    .record(idSchema, poolSchema)
    .default({})
    .describe("equal upstreams under one name, which clients ask for as a model; the least loaded answers"),
  maxTries: z.int().min(1).max(20).default(4).describe("upstreams asked for one request at most; 1: never a second one"),
  hedge: hedgeSchema.optional(),
  breaker: z
    .strictObject({
      failures: z.int().min(1).default(3).describe("failures in a row after which an upstream is left alone"),
      errorRate: z
        .strictObject({
          threshold: z
            .number()
            .gt(0)
            .max(1)
            .default(0.5)
            .describe("share of failed calls from which an upstream is left alone; 1: only when all of them fail"),
          minRequests: z.int().min(1).default(20).describe("with fewer calls in the window the share says nothing"),
          windowMs: positiveMsSchema.default(30_000).describe("calls that ended within this time count"),
        })
        .prefault({})
        .describe("also opens on a share of failures, where successes are between them"),
      openMs: positiveMsSchema.default(5000).describe("for this long; doubled each time that the trial after it fails"),
      maxOpenMs: positiveMsSchema.default(120_000).describe("but never longer than this; also the bound of Retry-After"),
      lastResort: z
        .boolean()
        .default(true)
        .describe(
          "when every upstream of a request is left alone: ask the one that comes back first all the same; false: answer 503 with Retry-After at once",
        ),
    })
    .prefault({})
    .describe("circuit breaker of each upstream"),
});
export type Routing = z.output<typeof routingSchema>;
