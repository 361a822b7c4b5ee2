// The small building blocks that several parts of the config schema share: secrets, ports, times, limits.
import * as z from "zod";

/** Upstream's form of a reference: the value stays where it is, the config only says where. */
export const secretRefSchema = z.strictObject({
  source: z.enum(["file", "env", "exec"]).describe("where the secret is kept"),
  provider: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,63}$/, "expected lower-case letters, digits, - and _")
    .describe("a name declared under secrets.providers"),
  id: z
    .string()
    .min(1)
    .describe("env: the variable; file: a JSON pointer, or any word for a singleValue file; exec: passed to it"),
});

export const secretSchema = z.union([z.string().min(1), secretRefSchema]);

export const portSchema = z.int().min(1).max(65535);
export const millisecondsSchema = z.int().min(0).max(86_400_000);
export const positiveMsSchema = z.int().min(1).max(86_400_000);
export const secondsSchema = z.number().min(0).max(86_400);
export const bytesSchema = z.int().min(1);

/** Names of providers, tokens and the like: they appear in logs, metrics and model names, so no slash and no space. */
export const idSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "expected letters, digits, . _ and - (no slash, no space)");

export const httpUrlSchema = z
  .string()
  .refine(
    (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
    "expected an address such as http://127.0.0.1:8000/v1",
  )
  .refine((text) => !URL.canParse(text) || new URL(text).username === "", "must not contain a user or password: use apiKey");

export type SecretRef = z.output<typeof secretRefSchema>;
export type SecretInput = z.output<typeof secretSchema>;

export const secretProviderSchema = z.discriminatedUnion("source", [
  z.strictObject({
    source: z.literal("file"),
    path: z.string().min(1).describe("the file; readable by its owner only"),
    mode: z
      .enum(["singleValue", "json"])
      .default("json")
      .describe("singleValue: the file is the secret; json: id is a JSON pointer into it"),
    maxBytes: bytesSchema.default(1_048_576).describe("a larger file is refused"),
    timeoutMs: positiveMsSchema.optional().describe("accepted; reading a local file does not wait"),
  }),
  z.strictObject({
    source: z.literal("env"),
    allowlist: z.array(z.string()).optional().describe("the only variables that may be read; without it any"),
  }),
  z.strictObject({
    source: z.literal("exec"),
    command: z.string().min(1).describe("absolute path of the program that prints the secret"),
    args: z.array(z.string()).default([]).describe("its arguments; the id of the reference is appended"),
    timeoutMs: positiveMsSchema.default(5000).describe("it is stopped after this time"),
    maxOutputBytes: bytesSchema.default(65_536).describe("longer output is refused"),
    passEnv: z.array(z.string()).default([]).describe("variables that it may see besides PATH and HOME"),
    env: z.record(z.string(), z.string()).default({}).describe("variables set for it"),
    jsonOnly: z.boolean().default(false).describe("the output is JSON and id is a key in it"),
    noOutputTimeoutMs: positiveMsSchema.optional().describe("accepted; timeoutMs covers it"),
    trustedDirs: z.array(z.string()).optional().describe("the command must lie in one of these folders"),
  }),
]);
export type SecretProvider = z.output<typeof secretProviderSchema>;
