// Answers of OpenAI's chat completions, read and written: https://platform.openai.com/docs/api-reference/chat/streaming
import { type Json, jsonOf, listOf, numberOr, textOr } from "./json.ts";
import {
  type Answer,
  type AnswerEvent,
  type AnswerMeta,
  type Finish,
  newCallId,
  noUsage,
  type StreamWriter,
  type TokenUsage,
  textOf,
} from "./neutral.ts";
import { streamError } from "./stream-error.ts";

const finishOf: Readonly<Record<string, Finish>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tools",
  function_call: "tools",
  content_filter: "filter",
};
const finishNames: Readonly<Record<Finish, string>> = {
  stop: "stop",
  length: "length",
  tools: "tool_calls",
  filter: "content_filter",
};

export function readChatUsage(value: unknown): AnswerEvent[] {
  const usage = jsonOf(value);
  if (typeof usage.prompt_tokens !== "number" && typeof usage.completion_tokens !== "number") return [];
  return [
    {
      type: "usage",
      usage: {
        input: numberOr(usage.prompt_tokens),
        cached: numberOr(jsonOf(usage.prompt_tokens_details).cached_tokens),
        cacheWrite: 0,
        output: numberOr(usage.completion_tokens),
        reasoning: numberOr(jsonOf(usage.completion_tokens_details).reasoning_tokens),
      },
    },
  ];
}

/** `message` of an answer and `delta` of a stream say the same things. */
function readSaid(said: Json): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  // vLLM and DeepSeek say reasoning_content, newer vLLM and OpenRouter say reasoning.
  const reasoning = textOr(said.reasoning_content, textOr(said.reasoning));
  if (reasoning !== "") events.push({ type: "reasoning", text: reasoning });
  if (textOr(said.content) !== "") events.push({ type: "text", text: textOr(said.content) });
  if (textOr(said.refusal) !== "") events.push({ type: "refusal", text: textOr(said.refusal) });
  return events;
}

export function readChatAnswer(answer: Json): AnswerEvent[] {
  const choice = jsonOf(listOf(answer.choices)[0]);
  const message = jsonOf(choice.message);
  const events = readSaid(message);
  for (const [index, value] of listOf(message.tool_calls).entries()) {
    const call = jsonOf(value);
    const fn = jsonOf(call.function);
    events.push({ type: "call", index, id: textOr(call.id) || newCallId(), name: textOr(fn.name) });
    events.push({ type: "arguments", index, text: textOr(fn.arguments) });
  }
  events.push({ type: "finish", reason: finishOf[textOr(choice.finish_reason)] ?? "stop" });
  return [...events, ...readChatUsage(answer.usage)];
}

export function readChatStream(): (event: Json) => AnswerEvent[] {
  const begun = new Set<number>();
  return (event) => {
    if (event.error) throw streamError(event);
    const choice = jsonOf(listOf(event.choices)[0]);
    const delta = jsonOf(choice.delta);
    const events = readSaid(delta);
    for (const [place, value] of listOf(delta.tool_calls).entries()) {
      const call = jsonOf(value);
      const fn = jsonOf(call.function);
      const index = numberOr(call.index, place);
      if (!begun.has(index)) {
        begun.add(index);
        events.push({ type: "call", index, id: textOr(call.id) || newCallId(), name: textOr(fn.name) });
      }
      if (textOr(fn.arguments) !== "") events.push({ type: "arguments", index, text: textOr(fn.arguments) });
    }
    if (typeof choice.finish_reason === "string")
      events.push({ type: "finish", reason: finishOf[choice.finish_reason] ?? "stop" });
    return [...events, ...readChatUsage(event.usage)];
  };
}

export const writeChatUsage = (usage: TokenUsage): Json => ({
  prompt_tokens: usage.input,
  completion_tokens: usage.output,
  total_tokens: usage.input + usage.output,
  prompt_tokens_details: { cached_tokens: usage.cached },
  completion_tokens_details: { reasoning_tokens: usage.reasoning },
});

export function writeChatAnswer(answer: Answer, meta: AnswerMeta): Json {
  const reasoning = textOf(answer.parts, "reasoning");
  const refusal = textOf(answer.parts, "refusal");
  const calls = answer.parts.flatMap((part) =>
    part.type === "call" ? [{ id: part.id, type: "function", function: { name: part.name, arguments: part.arguments } }] : [],
  );
  const text = textOf(answer.parts);
  const message = {
    role: "assistant",
    content: text === "" && (calls.length > 0 || refusal !== "") ? null : text,
    refusal: refusal === "" ? null : refusal,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
  return {
    id: `chatcmpl-${meta.id}`,
    object: "chat.completion",
    created: meta.created,
    model: meta.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishNames[answer.finish] }],
    usage: writeChatUsage(answer.usage),
  };
}

export function writeChatStream(meta: AnswerMeta): StreamWriter {
  const head = {
    id: `chatcmpl-${meta.id}`,
    object: "chat.completion.chunk",
    created: meta.created,
    model: meta.model,
  };
  const places = new Map<number, number>();
  let begun = false;
  let finish: Finish = "stop";
  let usage = noUsage;
  const chunk = (delta: Json, reason: string | null = null): string => {
    const role = begun ? {} : { role: "assistant" };
    begun = true;
    const choices = [{ index: 0, delta: { ...role, ...delta }, logprobs: null, finish_reason: reason }];
    return `data: ${JSON.stringify({ ...head, choices })}\n\n`;
  };
  return {
    write(event) {
      switch (event.type) {
        case "text":
          return chunk({ content: event.text });
        case "refusal":
          return chunk({ refusal: event.text });
        case "reasoning":
          return chunk({ reasoning_content: event.text });
        case "call": {
          const index = places.size;
          places.set(event.index, index);
          const fn = { name: event.name, arguments: "" };
          return chunk({ tool_calls: [{ index, id: event.id, type: "function", function: fn }] });
        }
        case "arguments":
          return chunk({ tool_calls: [{ index: places.get(event.index) ?? 0, function: { arguments: event.text } }] });
        case "finish":
          finish = event.reason;
          return "";
        case "usage":
          usage = event.usage;
          return "";
        default:
          return "";
      }
    },
    end() {
      const counts = { ...head, choices: [], usage: writeChatUsage(usage) };
      const last = meta.asked.includeUsage ? `data: ${JSON.stringify(counts)}\n\n` : "";
      return `${chunk({}, finishNames[finish])}${last}data: [DONE]\n\n`;
    },
  };
}
