// Schema of agents, memory and channels: read and checked here, in upstream's own form.
import * as z from "zod";
import { bytesSchema, httpUrlSchema, secondsSchema, secretSchema } from "./fields.ts";

const everySchema = z.string().regex(/^\d+(ms|s|m|h|d)?$/, 'expected a duration such as "30m"');

export const modelChoiceSchema = z
  .union([
    z.string().min(1),
    z.strictObject({
      primary: z.string().min(1).describe('the model that answers when a request names none: "provider/model"'),
      fallbacks: z.array(z.string().min(1)).default([]).describe("tried in this order"),
    }),
  ])
  .describe('the default model, "provider/model" or { primary, fallbacks }');

const agentShape = {
  workspace: z.string().optional().describe("folder of the agent's files"),
  repoRoot: z.string().optional().describe("repository that the agent works on"),
  skipBootstrap: z.boolean().optional().describe("do not write the starter files into a new workspace"),
  model: modelChoiceSchema.optional(),
  models: z
    .record(z.string(), z.looseObject({ alias: z.string().min(1).optional().describe("a short name for this model") }))
    .optional()
    .describe('settings of single models by "provider/model"'),
  imageModel: modelChoiceSchema.optional(),
  timeoutSeconds: secondsSchema.optional().describe("a turn that takes longer is stopped; usual: 600"),
  maxConcurrent: z.int().min(1).optional().describe("turns at the same time"),
  compaction: z
    .looseObject({
      reserveTokensFloor: z.int().min(0).optional().describe("tokens kept free in the context"),
      memoryFlush: z
        .looseObject({
          enabled: z.boolean().optional().describe("write memories down before a compaction"),
          softThresholdTokens: z.int().min(0).optional().describe("tokens before the limit at which that begins"),
        })
        .optional(),
    })
    .optional()
    .describe("how long conversations are shortened"),
  heartbeat: z
    .looseObject({
      every: everySchema.optional().describe("how often the agent looks by itself"),
      target: z.string().optional().describe("where it reports"),
      activeHours: z
        .looseObject({ start: z.string().optional().describe("from"), end: z.string().optional().describe("until") })
        .optional()
        .describe("only in these hours"),
    })
    .optional()
    .describe("regular turns without a message"),
  blockStreamingDefault: z.enum(["on", "off"]).optional().describe("send long answers in blocks"),
  blockStreamingBreak: z.enum(["text_end", "message_end"]).optional().describe("where a block ends"),
  blockStreamingChunk: z
    .looseObject({
      minChars: bytesSchema.optional().describe("shortest block"),
      maxChars: bytesSchema.optional().describe("longest block"),
    })
    .optional()
    .describe("size of blocks"),
  sandbox: z.looseObject({}).optional().describe("where tools run"),
};

export const agentsSchema = z
  .looseObject({
    defaults: z.looseObject(agentShape).optional().describe("what every agent starts from"),
    entries: z
      .record(
        z.string(),
        z.looseObject({ label: z.string().optional().describe("the agent's name for people"), ...agentShape }),
      )
      .optional()
      .describe("agents by id"),
  })
  .describe("agents");

export const memorySchema = z
  .looseObject({
    search: z
      .looseObject({
        enabled: z.boolean().optional().describe("search memories by meaning"),
        provider: z.string().optional().describe("openai: any server with /embeddings"),
        remote: z
          .looseObject({
            baseUrl: httpUrlSchema.optional().describe("its address"),
            apiKey: secretSchema.optional().describe("its key"),
          })
          .optional()
          .describe("the server that embeds"),
        model: z.string().optional().describe("e.g. BAAI/bge-m3"),
      })
      .optional()
      .describe("search in memories"),
  })
  .describe("memory");

/** Channels bring their own schemas when they come; until then only what all have in common is checked. */
export const channelsSchema = z
  .record(
    z.string(),
    z.looseObject({
      enabled: z.boolean().optional().describe("off: the channel is not started"),
      type: z.string().optional().describe("kind of the channel where its id does not say it"),
    }),
  )
  .describe("chat channels by id");
