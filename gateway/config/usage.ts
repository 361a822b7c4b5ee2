// Settings of the record of usage: what every call of a model took and cost.
import * as z from "zod";

export const usageSchema = z.strictObject({
  enabled: z.boolean().default(true).describe("keep a record of every call in the state folder, for /api/usage and budgets"),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "expected three capital letters such as USD")
    .default("USD")
    .describe("currency of the prices in models.providers.<id>.models[].cost"),
  detailDays: z.number().min(0.01).max(3650).default(7).describe("single calls are kept this long"),
  maxDetails: z.int().min(1000).default(1_000_000).describe("and no more of them than this: about 250 bytes each"),
  retentionDays: z
    .number()
    .min(1)
    .max(36_500)
    .default(400)
    .describe("sums of each hour, which /api/usage shows, are kept this long"),
});
