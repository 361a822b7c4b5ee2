// OpenAI's completions of a text, for providers that only know conversations: the prompt is a message of the user.
// https://platform.openai.com/docs/api-reference/completions

import { writeChatUsage } from "./chat-answer.ts";
import { readSampling } from "./chat-request.ts";
import { type Json, jsonOf, optionalNumber, optionalText, refuseOthers, wrong } from "./json.ts";
import {
  type Answer,
  type AnswerMeta,
  type Asked,
  type Finish,
  noUsage,
  type StreamWriter,
  samplingFields,
  textOf,
  untranslatable,
} from "./neutral.ts";

const known = ["model", "prompt", "suffix", "max_tokens", "stream", "stream_options", "user", ...samplingFields];
/** Of echo, logprobs and many answers conversations know nothing. */
const neutral = { n: 1, best_of: 1, echo: false, logit_bias: {} };

export function readCompletionsAsked(body: Json): Asked {
  refuseOthers(body, known, [], neutral);
  return {
    messages: [{ role: "user", parts: [{ type: "text", text: readPrompt(body.prompt) }] }],
    tools: [],
    maxTokens: optionalNumber(body.max_tokens, "max_tokens"),
    user: optionalText(body.user, "user"),
    sampling: readSampling(body),
    suffix: optionalText(body.suffix, "suffix") || undefined,
    stream: body.stream === true,
    includeUsage: jsonOf(body.stream_options).include_usage === true,
  };
}

function readPrompt(prompt: unknown): string {
  if (typeof prompt === "string") return prompt;
  if (!Array.isArray(prompt)) throw wrong("prompt", "a text");
  const [only]: unknown[] = prompt;
  if (prompt.length === 1 && typeof only === "string") return only;
  throw untranslatable("prompt", "must be one text for this model's provider, not tokens or several texts");
}

const finishNames: Readonly<Record<Finish, string>> = {
  stop: "stop",
  length: "length",
  tools: "stop",
  filter: "content_filter",
};

const envelope = (meta: AnswerMeta): Json => ({
  id: `cmpl-${meta.id}`,
  object: "text_completion",
  created: meta.created,
  model: meta.model,
});
const choice = (text: string, finish: string | null): Json => ({ text, index: 0, logprobs: null, finish_reason: finish });

export function writeCompletionsAnswer(answer: Answer, meta: AnswerMeta): Json {
  const text = textOf(answer.parts) + textOf(answer.parts, "refusal");
  return { ...envelope(meta), choices: [choice(text, finishNames[answer.finish])], usage: writeChatUsage(answer.usage) };
}

export function writeCompletionsStream(meta: AnswerMeta): StreamWriter {
  let finish: Finish = "stop";
  let usage = noUsage;
  const event = (value: Json): string => `data: ${JSON.stringify({ ...envelope(meta), ...value })}\n\n`;
  return {
    write(next) {
      if (next.type === "text" || next.type === "refusal") return event({ choices: [choice(next.text, null)] });
      if (next.type === "finish") finish = next.reason;
      if (next.type === "usage") usage = next.usage;
      return "";
    },
    end() {
      const counts = meta.asked.includeUsage ? event({ choices: [], usage: writeChatUsage(usage) }) : "";
      return `${event({ choices: [choice("", finishNames[finish])] })}${counts}data: [DONE]\n\n`;
    },
  };
}
