// What the options of every provider kind have in common: the models that a provider serves.
import * as z from "zod";
import { httpUrlSchema, secretSchema } from "../config/fields.ts";
import { transportSchema } from "../config/transport.ts";

export const modelSchema = z.strictObject({
  id: z.string().min(1).describe("the id as the provider serves it; may contain slashes"),
  name: z.string().optional().describe("a name for people"),
  reasoning: z.boolean().optional().describe("the model thinks before it answers"),
  input: z
    .array(z.enum(["text", "image"]))
    .optional()
    .describe('what it reads: ["text"] or ["text", "image"]'),
  cost: z
    .strictObject({
      input: z.number().min(0).optional().describe("of a million tokens read"),
      output: z.number().min(0).optional().describe("of a million tokens written"),
      cacheRead: z.number().min(0).optional().describe("of a million tokens read from the provider's cache"),
      cacheWrite: z.number().min(0).optional().describe("of a million tokens written to it"),
      tieredPricing: z.unknown().optional().describe("accepted; not used by this gateway"),
    })
    .optional()
    .describe("price"),
  contextWindow: z.int().min(1).optional().describe("tokens that fit in"),
  contextTokens: z.int().min(1).optional().describe("tokens of it that agents use"),
  maxTokens: z.int().min(1).optional().describe("tokens that it writes at most"),
  api: z.string().optional().describe("accepted; the provider's api is used"),
  baseUrl: httpUrlSchema.optional().describe("accepted; the provider's baseUrl is used"),
  headers: z.record(z.string(), z.string()).optional().describe("accepted; the provider's headers are used"),
  params: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  compat: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  thinkingLevelMap: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  agentRuntime: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  mediaInput: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  metadataSource: z.string().optional().describe("accepted; not used by this gateway"),
});

/** Options of every kind that is reached over HTTP. */
export const remoteOptions = {
  baseUrl: httpUrlSchema.describe("address of the API, with its version: http://127.0.0.1:8000/v1"),
  apiKey: secretSchema.optional().describe("key that the provider asks for: a secret reference"),
  auth: z.enum(["api-key", "token", "oauth", "aws-sdk"]).optional().describe("accepted; the key is sent as a bearer token"),
  authHeader: z.boolean().optional().describe("accepted; the key is sent as a bearer token"),
  headers: z.record(z.string(), secretSchema).default({}).describe("headers sent with every call"),
  timeoutSeconds: z.number().positive().optional().describe("the whole call, for this provider; else timeouts.totalMs"),
  models: z.array(modelSchema).default([]).describe("the models it serves; empty: whatever it lists itself"),
  maxTokens: z.int().min(1).optional().describe("accepted; not used by this gateway"),
  contextWindow: z.int().min(1).optional().describe("accepted; not used by this gateway"),
  region: z.string().optional().describe("accepted; not used by this gateway"),
  params: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  agentRuntime: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  localService: z.record(z.string(), z.unknown()).optional().describe("accepted; not used by this gateway"),
  request: transportSchema.optional().describe("how the provider is reached"),
  injectNumCtxForOpenAICompat: z.boolean().optional().describe("accepted; not used by this gateway"),
};
