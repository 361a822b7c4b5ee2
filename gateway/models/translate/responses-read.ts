// Answers of OpenAI's responses, read: https://platform.openai.com/docs/api-reference/responses-streaming
import { type Json, jsonOf, listOf, numberOr, textOr } from "./json.ts";
import type { AnswerEvent } from "./neutral.ts";
import { streamError } from "./stream-error.ts";

function readUsage(value: unknown): AnswerEvent[] {
  const usage = jsonOf(value);
  if (typeof usage.output_tokens !== "number") return [];
  return [
    {
      type: "usage",
      usage: {
        input: numberOr(usage.input_tokens),
        cached: numberOr(jsonOf(usage.input_tokens_details).cached_tokens),
        cacheWrite: 0,
        output: usage.output_tokens,
        reasoning: numberOr(jsonOf(usage.output_tokens_details).reasoning_tokens),
      },
    },
  ];
}

function readEnd(response: Json, called: boolean): AnswerEvent[] {
  if (response.status === "failed") throw streamError(response);
  const reason = jsonOf(response.incomplete_details).reason;
  const cut = response.status === "incomplete" ? (reason === "content_filter" ? "filter" : "length") : undefined;
  return [{ type: "finish", reason: cut ?? (called ? "tools" : "stop") }, ...readUsage(response.usage)];
}

const textsOf = (value: unknown): string =>
  listOf(value)
    .map((part) => textOr(jsonOf(part).text))
    .join("");

export function readResponsesAnswer(answer: Json): AnswerEvent[] {
  let called = false;
  const events = listOf(answer.output).flatMap((value, index): AnswerEvent[] => {
    const item = jsonOf(value);
    if (item.type === "reasoning") {
      const text = textsOf(item.summary) || textsOf(item.content);
      return text === "" ? [] : [{ type: "reasoning", text }];
    }
    if (item.type === "message")
      return listOf(item.content).map((entry): AnswerEvent => {
        const part = jsonOf(entry);
        return part.type === "refusal"
          ? { type: "refusal", text: textOr(part.refusal) }
          : { type: "text", text: textOr(part.text) };
      });
    if (item.type !== "function_call") return [];
    called = true;
    return [
      { type: "call", index, id: textOr(item.call_id), name: textOr(item.name) },
      { type: "arguments", index, text: textOr(item.arguments) },
    ];
  });
  return [...events, ...readEnd(answer, called)];
}

export function readResponsesStream(): (event: Json) => AnswerEvent[] {
  let called = false;
  /** Calls whose arguments have not come in pieces. */
  const silent = new Set<number>();
  return (event) => {
    const index = numberOr(event.output_index);
    switch (event.type) {
      case "response.output_text.delta":
        return [{ type: "text", text: textOr(event.delta) }];
      case "response.refusal.delta":
        return [{ type: "refusal", text: textOr(event.delta) }];
      case "response.reasoning_summary_text.delta":
      case "response.reasoning_text.delta":
        return [{ type: "reasoning", text: textOr(event.delta) }];
      case "response.output_item.added": {
        const item = jsonOf(event.item);
        if (item.type !== "function_call") return [];
        called = true;
        silent.add(index);
        return [{ type: "call", index, id: textOr(item.call_id), name: textOr(item.name) }];
      }
      case "response.function_call_arguments.delta":
        silent.delete(index);
        return [{ type: "arguments", index, text: textOr(event.delta) }];
      case "response.output_item.done":
        return silent.delete(index) ? [{ type: "arguments", index, text: textOr(jsonOf(event.item).arguments) }] : [];
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
        return readEnd(jsonOf(event.response), called);
      case "error":
        throw streamError(event);
      default:
        return [];
    }
  };
}
