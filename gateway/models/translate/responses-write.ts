// Answers of OpenAI's responses, written: https://platform.openai.com/docs/api-reference/responses/object
import type { Json } from "./json.ts";
import { type Answer, type AnswerEvent, type AnswerMeta, collect, type StreamWriter, type TokenUsage } from "./neutral.ts";
import { mixed } from "./stream-error.ts";

const writeUsage = (usage: TokenUsage): Json => ({
  input_tokens: usage.input,
  input_tokens_details: { cached_tokens: usage.cached },
  output_tokens: usage.output,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.input + usage.output,
});

type Said = Answer["parts"][number];

/** One item a part; the ids count, so that the events of a stream name the same ones. */
function writeItem(part: Said, index: number, meta: AnswerMeta, status: "in_progress" | "completed"): Json {
  if (part.type === "reasoning") {
    const summary = status === "completed" ? [{ type: "summary_text", text: part.text }] : [];
    return { id: itemId("rs", index, meta), type: "reasoning", summary };
  }
  if (part.type === "call") {
    const { id: call_id, name } = part;
    return { id: itemId("fc", index, meta), type: "function_call", status, call_id, name, arguments: part.arguments };
  }
  const content = status === "completed" ? [writePart(part)] : [];
  return { id: itemId("msg", index, meta), type: "message", role: "assistant", status, content };
}

const itemId = (kind: string, index: number, meta: AnswerMeta): string => `${kind}_${meta.id}_${index}`;

const writePart = (part: { type: string; text: string }): Json =>
  part.type === "refusal"
    ? { type: "refusal", refusal: part.text }
    : { type: "output_text", text: part.text, annotations: [], logprobs: [] };

function envelope(meta: AnswerMeta, status: string): Json {
  const { asked } = meta;
  return {
    id: `resp_${meta.id}`,
    object: "response",
    created_at: meta.created,
    status,
    model: meta.model,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    output: [],
    parallel_tool_calls: asked.parallelTools ?? true,
    temperature: asked.sampling.temperature ?? null,
    top_p: asked.sampling.top_p ?? null,
    max_output_tokens: asked.maxTokens ?? null,
    tool_choice:
      typeof asked.toolChoice === "object" ? { type: "function", ...asked.toolChoice } : (asked.toolChoice ?? "auto"),
    tools: asked.tools.map(({ name, description, schema, strict }) => ({
      type: "function",
      name,
      description: description ?? null,
      parameters: schema,
      strict: strict ?? false,
    })),
    usage: null,
  };
}

export function writeResponsesAnswer(answer: Answer, meta: AnswerMeta): Json {
  const cut = answer.finish === "length" || answer.finish === "filter";
  const reason = answer.finish === "length" ? "max_output_tokens" : "content_filter";
  return {
    ...envelope(meta, cut ? "incomplete" : "completed"),
    incomplete_details: cut ? { reason } : null,
    output: answer.parts.map((part, index) => writeItem(part, index, meta, "completed")),
    usage: writeUsage(answer.usage),
  };
}

export function writeResponsesStream(meta: AnswerMeta): StreamWriter {
  let number = 0;
  let begun = false;
  const done: Said[] = [];
  let open: Said | undefined;
  let openCall = -1;
  /** What the last event repeats: finish and usage. */
  const last: AnswerEvent[] = [];
  const event = (type: string, value: Json): string => {
    number += 1;
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number - 1, ...value })}\n\n`;
  };
  const at = (part: Said): Json => ({
    item_id: writeItem(part, done.length, meta, "completed").id,
    output_index: done.length,
  });

  function start(): string {
    if (begun) return "";
    begun = true;
    const response = envelope(meta, "in_progress");
    return event("response.created", { response }) + event("response.in_progress", { response });
  }

  function close(): string {
    if (!open) return "";
    const part = open;
    const place = at(part);
    let out = "";
    if (part.type === "reasoning") {
      const summary = { ...place, summary_index: 0 };
      out += event("response.reasoning_summary_text.done", { ...summary, text: part.text });
      out += event("response.reasoning_summary_part.done", { ...summary, part: { type: "summary_text", text: part.text } });
    } else if (part.type === "call") {
      out += event("response.function_call_arguments.done", { ...place, name: part.name, arguments: part.arguments });
    } else {
      const content = { ...place, content_index: 0 };
      out +=
        part.type === "refusal"
          ? event("response.refusal.done", { ...content, refusal: part.text })
          : event("response.output_text.done", { ...content, text: part.text, logprobs: [] });
      out += event("response.content_part.done", { ...content, part: writePart(part) });
    }
    out += event("response.output_item.done", {
      output_index: done.length,
      item: writeItem(part, done.length, meta, "completed"),
    });
    done.push(part);
    open = undefined;
    return out;
  }

  function into(part: Said): string {
    let out = start() + close();
    open = part;
    const place = at(part);
    out += event("response.output_item.added", {
      output_index: done.length,
      item: writeItem(part, done.length, meta, "in_progress"),
    });
    if (part.type === "reasoning") {
      const added = { type: "summary_text", text: "" };
      out += event("response.reasoning_summary_part.added", { ...place, summary_index: 0, part: added });
    } else if (part.type !== "call") {
      out += event("response.content_part.added", { ...place, content_index: 0, part: writePart(part) });
    }
    return out;
  }

  function say(type: "text" | "refusal" | "reasoning", delta: string): string {
    if (delta === "") return "";
    const out = open?.type === type ? "" : into({ type, text: "" });
    if (open?.type === type) open = { ...open, text: open.text + delta };
    const place = open ? at(open) : {};
    if (type === "reasoning")
      return out + event("response.reasoning_summary_text.delta", { ...place, summary_index: 0, delta });
    const more = type === "text" ? { logprobs: [] } : {};
    return (
      out +
      event(type === "text" ? "response.output_text.delta" : "response.refusal.delta", {
        ...place,
        content_index: 0,
        delta,
        ...more,
      })
    );
  }

  return {
    write(next) {
      switch (next.type) {
        case "text":
        case "refusal":
        case "reasoning":
          return say(next.type, next.text);
        case "call":
          openCall = next.index;
          return into({ type: "call", id: next.id, name: next.name, arguments: "" });
        case "arguments": {
          if (open?.type !== "call" || openCall !== next.index) throw mixed();
          open = { ...open, arguments: open.arguments + next.text };
          return event("response.function_call_arguments.delta", { ...at(open), delta: next.text });
        }
        case "finish":
        case "usage":
          last.push(next);
          return "";
        default:
          return "";
      }
    },
    end() {
      const before = start() + close();
      const response = writeResponsesAnswer({ ...collect(last), parts: done }, meta);
      return before + event(response.status === "incomplete" ? "response.incomplete" : "response.completed", { response });
    },
  };
}
