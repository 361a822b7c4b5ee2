// Settings of several gateways that act as one.
import * as z from "zod";
import { idSchema, positiveMsSchema, secretSchema } from "./fields.ts";

export const clusterSchema = z.strictObject({
  mode: z.union([z.boolean(), z.string()]).optional().describe("accepted from older files; redisUrl decides"),
  redisUrl: secretSchema
    .optional()
    .describe("Redis through which limits, budgets and breakers are shared: redis://host:6379/0, or rediss:// for TLS"),
  redisPassword: secretSchema.optional().describe("its password, where the address has none: a secret reference"),
  redisCaFile: z.string().min(1).optional().describe("certificates that sign its own, for rediss://; else the system's"),
  keyPrefix: z.string().max(100).default("openclaw:").describe("begins the name of every key: one for each cluster in a Redis"),
  redisTimeoutMs: positiveMsSchema
    .default(250)
    .describe("no request waits longer for Redis: beyond this the gateway counts by itself"),
  nodeId: idSchema.optional().describe("this gateway's name among them; else one is made up"),
});
export type ClusterConfig = z.output<typeof clusterSchema>;
