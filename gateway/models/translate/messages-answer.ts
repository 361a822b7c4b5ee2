// Answers of Anthropic's messages, read and written: https://docs.anthropic.com/en/docs/build-with-claude/streaming

import { type Json, jsonOf, listOf, numberOr, parseJson, textOr } from "./json.ts";
import {
  type Answer,
  type AnswerEvent,
  type AnswerMeta,
  type Finish,
  noUsage,
  type StreamWriter,
  type TokenUsage,
} from "./neutral.ts";
import { mixed, streamError } from "./stream-error.ts";

const finishOf: Readonly<Record<string, Finish>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tools",
  refusal: "filter",
};

function stopReason(finish: Finish, stopSequence: string | undefined): string {
  if (stopSequence !== undefined) return "stop_sequence";
  return { stop: "end_turn", length: "max_tokens", tools: "tool_use", filter: "refusal" }[finish];
}

function readFinish(value: Json): AnswerEvent[] {
  if (typeof value.stop_reason !== "string") return [];
  const stopSequence = typeof value.stop_sequence === "string" ? value.stop_sequence : undefined;
  return [{ type: "finish", reason: finishOf[value.stop_reason] ?? "stop", stopSequence }];
}

/** `input_tokens` leaves out what was read from the cache or written to it. */
function readUsage(usage: Json, before: TokenUsage = noUsage): TokenUsage {
  const hasInput = typeof usage.input_tokens === "number";
  const cached = numberOr(usage.cache_read_input_tokens);
  const cacheWrite = numberOr(usage.cache_creation_input_tokens);
  return {
    input: hasInput ? numberOr(usage.input_tokens) + cached + cacheWrite : before.input,
    cached: hasInput ? cached : before.cached,
    cacheWrite: hasInput ? cacheWrite : before.cacheWrite,
    output: numberOr(usage.output_tokens, before.output),
    reasoning: 0,
  };
}

export function readMessagesAnswer(answer: Json): AnswerEvent[] {
  const events = listOf(answer.content).flatMap((value, index): AnswerEvent[] => {
    const block = jsonOf(value);
    if (block.type === "text") return [{ type: "text", text: textOr(block.text) }];
    if (block.type === "thinking") {
      const signature = textOr(block.signature);
      return [
        { type: "reasoning", text: textOr(block.thinking) },
        ...(signature === "" ? [] : [{ type: "signature" as const, text: signature }]),
      ];
    }
    if (block.type !== "tool_use") return [];
    return [
      { type: "call", index, id: textOr(block.id), name: textOr(block.name) },
      { type: "arguments", index, text: JSON.stringify(block.input ?? {}) },
    ];
  });
  return [...events, ...readFinish(answer), { type: "usage", usage: readUsage(jsonOf(answer.usage)) }];
}

export function readMessagesStream(): (event: Json) => AnswerEvent[] {
  let usage = noUsage;
  /** Calls whose arguments were given at once, or not at all. */
  const empty = new Map<number, Json>();
  return (event) => {
    const index = numberOr(event.index);
    switch (event.type) {
      case "message_start":
        usage = readUsage(jsonOf(jsonOf(event.message).usage));
        return [{ type: "usage", usage }];
      case "content_block_start": {
        const block = jsonOf(event.content_block);
        if (block.type === "text" && textOr(block.text) !== "") return [{ type: "text", text: textOr(block.text) }];
        if (block.type === "thinking" && textOr(block.thinking) !== "")
          return [{ type: "reasoning", text: textOr(block.thinking) }];
        if (block.type !== "tool_use") return [];
        empty.set(index, jsonOf(block.input));
        return [{ type: "call", index, id: textOr(block.id), name: textOr(block.name) }];
      }
      case "content_block_delta": {
        const delta = jsonOf(event.delta);
        if (delta.type === "text_delta") return [{ type: "text", text: textOr(delta.text) }];
        if (delta.type === "thinking_delta") return [{ type: "reasoning", text: textOr(delta.thinking) }];
        if (delta.type === "signature_delta") return [{ type: "signature", text: textOr(delta.signature) }];
        if (delta.type !== "input_json_delta" || textOr(delta.partial_json) === "") return [];
        empty.delete(index);
        return [{ type: "arguments", index, text: textOr(delta.partial_json) }];
      }
      case "content_block_stop": {
        const input = empty.get(index);
        empty.delete(index);
        return input ? [{ type: "arguments", index, text: JSON.stringify(input) }] : [];
      }
      case "message_delta":
        usage = readUsage(jsonOf(event.usage), usage);
        return [...readFinish(jsonOf(event.delta)), { type: "usage", usage }];
      case "error":
        throw streamError(event);
      default:
        return [];
    }
  };
}

const writeUsage = (usage: TokenUsage): Json => ({
  input_tokens: usage.input - usage.cached - usage.cacheWrite,
  cache_creation_input_tokens: usage.cacheWrite,
  cache_read_input_tokens: usage.cached,
  output_tokens: usage.output,
});

const envelope = (meta: AnswerMeta): Json => ({ id: `msg_${meta.id}`, type: "message", role: "assistant", model: meta.model });

export function writeMessagesAnswer(answer: Answer, meta: AnswerMeta): Json {
  const content = answer.parts.flatMap((part): Json[] => {
    if (part.type === "reasoning") return [{ type: "thinking", thinking: part.text, signature: part.signature ?? "" }];
    if (part.type === "call")
      return [{ type: "tool_use", id: part.id, name: part.name, input: parseJson(part.arguments) ?? {} }];
    return part.text === "" ? [] : [{ type: "text", text: part.text }];
  });
  return {
    ...envelope(meta),
    content,
    stop_reason: stopReason(answer.finish, answer.stopSequence),
    stop_sequence: answer.stopSequence ?? null,
    usage: writeUsage(answer.usage),
  };
}

type BlockKind = "text" | "thinking" | "tool_use";

export function writeMessagesStream(meta: AnswerMeta): StreamWriter {
  let begun = false;
  let index = -1;
  let open: BlockKind | undefined;
  let openCall = -1;
  let usage = noUsage;
  let finish: Finish = "stop";
  let stopSequence: string | undefined;
  const event = (type: string, value: Json): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`;

  function start(): string {
    if (begun) return "";
    begun = true;
    const message = { ...envelope(meta), content: [], stop_reason: null, stop_sequence: null, usage: writeUsage(usage) };
    return event("message_start", { message });
  }
  function close(): string {
    if (open === undefined) return "";
    open = undefined;
    return event("content_block_stop", { index });
  }
  /** A block of this kind is under way afterwards. */
  function into(kind: BlockKind, block: Json): string {
    if (open === kind && kind !== "tool_use") return "";
    const before = start() + close();
    open = kind;
    index += 1;
    return before + event("content_block_start", { index, content_block: { type: kind, ...block } });
  }
  const delta = (value: Json): string => event("content_block_delta", { index, delta: value });

  return {
    write(next) {
      switch (next.type) {
        case "text":
        case "refusal":
          return next.text === "" ? "" : into("text", { text: "" }) + delta({ type: "text_delta", text: next.text });
        case "reasoning":
          return into("thinking", { thinking: "", signature: "" }) + delta({ type: "thinking_delta", thinking: next.text });
        case "signature":
          return open === "thinking" ? delta({ type: "signature_delta", signature: next.text }) : "";
        case "call":
          openCall = next.index;
          return into("tool_use", { id: next.id, name: next.name, input: {} });
        case "arguments":
          // Blocks of this API follow one another.
          if (open !== "tool_use" || openCall !== next.index) throw mixed();
          return delta({ type: "input_json_delta", partial_json: next.text });
        case "finish":
          finish = next.reason;
          stopSequence = next.stopSequence;
          return "";
        case "usage":
          usage = next.usage;
          return "";
      }
    },
    end() {
      const reason = { stop_reason: stopReason(finish, stopSequence), stop_sequence: stopSequence ?? null };
      return `${start()}${close()}${event("message_delta", { delta: reason, usage: writeUsage(usage) })}${event("message_stop", {})}`;
    },
  };
}
