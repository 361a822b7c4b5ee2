// Answers in Redis, for all gateways of a cluster: what cannot be asked at once is a miss, and nobody waits longer than the link's deadline.
import * as z from "zod";
import type { RedisLink } from "../../store/store.ts";
import type { Answer, AnswerStore } from "./answers.ts";

const count = z.number().min(0);
const usageSchema = z.looseObject({
  input: count,
  output: count,
  cachedInput: count.optional(),
  cacheWrite: count.optional(),
});
const storedSchema = z.object({
  contentType: z.string(),
  body: z.base64(),
  provider: z.string(),
  model: z.string(),
  usage: usageSchema.optional(),
  estimated: z.boolean().optional(),
  storedAt: z.number(),
  failure: z.object({ code: z.string(), status: z.int(), message: z.string(), param: z.string().nullable() }).optional(),
  print: z.string().optional(),
});

/** `label` keeps the kinds of answers apart. Keys are digests: what was asked is not in Redis, what was answered is. */
export function createSharedAnswers(label: string, link: RedisLink): AnswerStore {
  return {
    get(key) {
      if (!link.available) return undefined;
      return link.command(["GET", link.key("answer", label, key)]).then(
        (text) => (typeof text === "string" ? readAnswer(text) : undefined),
        () => undefined,
      );
    },
    set(key, answer, { ttlSeconds }) {
      if (!link.available) return;
      // Lost on the way: the next one stores it.
      link
        .command(["SET", link.key("answer", label, key), answerText(answer), "EX", String(ttlSeconds)])
        .catch(() => undefined);
    },
    clear() {},
    claims: {
      async claim(key, holder, ttlMs) {
        if (!link.available) return true;
        return link.script(claimScript, [link.key("claim", label, key)], [holder, String(ttlMs)]).then(
          (answer) => answer === 1,
          () => true,
        );
      },
      release(key, holder) {
        if (!link.available) return;
        link.script(releaseScript, [link.key("claim", label, key)], [holder]).catch(() => undefined);
      },
    },
  };
}

/** KEYS: the claim. ARGV: holder, milliseconds. 1: it is the holder's now. */
const claimScript = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** KEYS: the claim. ARGV: holder. */
const releaseScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`;

export const answerText = (answer: Answer): string => JSON.stringify({ ...answer, body: answer.body.toString("base64") });

/** Undefined where it is no answer. */
export function readAnswer(text: string): Answer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data } = storedSchema.safeParse(value);
  if (!data) return undefined;
  const { body, usage, estimated, failure, print, ...rest } = data;
  return {
    ...rest,
    body: Buffer.from(body, "base64"),
    usage,
    ...(estimated === undefined ? {} : { estimated }),
    ...(failure ? { failure } : {}),
    ...(print === undefined ? {} : { print }),
  };
}
