// Settings of who may use how much: named tokens with their limits and budgets, and limits of the whole gateway.
import { isIP } from "node:net";
import * as z from "zod";
import { prioritySchema } from "./admission.ts";
import { idSchema, secondsSchema, secretSchema } from "./fields.ts";

export const scopes = ["operator.read", "operator.write", "operator.admin", "operator.approvals", "operator.pairing"] as const;
export type Scope = (typeof scopes)[number];

const timeSchema = z.iso.datetime({ offset: true, error: "expected a time such as 2026-12-31T00:00:00Z" });

const networkSchema = z
  .string()
  .refine(isNetwork, "is neither an address nor a network: write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32");

export const limitsSchema = z.strictObject({
  requestsPerMinute: z.int().min(1).optional().describe("model calls in any stretch of a minute"),
  tokensPerMinute: z
    .int()
    .min(1)
    .optional()
    .describe("model tokens in any stretch of a minute, read and written: guessed when a call begins, counted when it ends"),
  concurrent: z.int().min(1).optional().describe("model calls at the same time"),
});

export const budgetSchema = z.strictObject({
  amount: z
    .number()
    .positive()
    .max(1_000_000_000)
    .describe("what may be spent, by the models' prices (models.providers.*.models[].cost)"),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "expected three capital letters such as USD")
    .optional()
    .describe("must be that of the prices (usage.currency): nothing is converted; without it that one is meant"),
  window: z
    .enum(["day", "week", "month", "total"])
    .default("month")
    .describe("day, week (from Monday), month: begins anew at midnight UTC; total: never"),
});
export type BudgetConfig = z.output<typeof budgetSchema>;

export const previousTokenSchema = z.strictObject({
  token: secretSchema.describe("the token that was replaced: a secret reference"),
  expiresAt: timeSchema.describe("it is let in until this time"),
});

/** Of callers by gateway.auth, and without any (http/auth.ts): a token of that name would share their limits and kept answers. */
const ownIds: readonly string[] = ["token", "password", "anonymous", "proxy-user"];

export const tokenSchema = z.strictObject({
  id: idSchema
    .refine(
      (id) => !ownIds.includes(id),
      "the gateway itself calls callers by this name that have no token of their own: choose another id",
    )
    .describe("the token's name in logs and metrics"),
  token: secretSchema.describe("the token itself: a secret reference"),
  previous: previousTokenSchema
    .optional()
    .describe("the token before it, for a rotation: both are let in, as one caller with one set of limits"),
  scopes: z.array(z.enum(scopes)).default(["operator.read", "operator.write"]).describe("what it may do"),
  models: z
    .array(z.string().min(1).max(256))
    .min(1)
    .optional()
    .describe(
      'the only models that it may ask for: "provider/model", a model\'s id, a pool or an alias, with * for any text; without it all. The fallbacks of such a model may answer for it',
    ),
  limits: limitsSchema.optional().describe("limits of this token"),
  budget: budgetSchema.optional().describe("what its calls may cost; models without a price cost nothing"),
  allowFrom: z
    .array(networkSchema)
    .min(1)
    .optional()
    .describe("the only addresses and networks it is let in from; see gateway.trustedProxies for clients behind a proxy"),
  priority: prioritySchema
    .default("normal")
    .describe("who is served first when upstreams are full; a request may ask for less"),
  notBefore: timeSchema.optional().describe("refused before this time"),
  expiresAt: timeSchema.optional().describe("refused from this time on"),
});
export type TokenConfig = z.output<typeof tokenSchema>;

export const rateLimitSchema = z.strictObject({
  maxRequestsPerMinute: z.int().min(1).default(600).describe("model calls of the whole gateway"),
  maxRequestsPerMinutePerToken: z
    .int()
    .min(1)
    .default(60)
    .describe("of one token that sets no limits.requestsPerMinute, and of gateway.auth.token"),
  maxRequestsPerMinutePerAddress: z
    .int()
    .min(1)
    .optional()
    .describe("requests of any kind from one address (of IPv6: one /64), whatever their token; see gateway.trustedProxies"),
});

export const rotationSchema = z.strictObject({
  overlapSeconds: secondsSchema
    .default(300)
    .describe(
      "when the value of a token changes while the gateway runs, the old one is let in for this long too; 0: refused at once. A token that is removed is refused at once in any case",
    ),
  previousToken: previousTokenSchema.optional().describe("the gateway.auth.token (or password) before the present one"),
});

export function isNetwork(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
