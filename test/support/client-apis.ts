/** The client APIs as the conformance suite sees them: how to ask, and how to read what came back in plain terms. */

import { type Json, join, json, list, number, text } from "./loose-json.ts";

export interface Heard {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: unknown }[];
  finish: string;
  usage: { input: number; output: number };
}

/** Events of a stream; fails on a line that is none. */
function events(stream: string): Json[] {
  return stream
    .split(/\r?\n\r?\n/)
    .map((block) =>
      block
        .split(/\r?\n/)
        .find((line) => line.startsWith("data: "))
        ?.slice(6),
    )
    .filter((data) => data !== undefined && data !== "[DONE]")
    .map((data) => json(JSON.parse(data ?? "")));
}

const tool = {
  name: "weather",
  description: "the weather",
  schema: { type: "object", properties: { city: { type: "string" } } },
};
const schema = {
  type: "object",
  properties: { answer: { type: "string" } },
  required: ["answer"],
  additionalProperties: false,
};
const args = { city: "Zürich 🏔️" };
const image = "data:image/png;base64,aGk=";

interface ClientApi {
  path: string;
  ask(model: string, text: string, stream: boolean): Json;
  /** System, image, tool call, its result, a schema. */
  askMuch(model: string): Json;
  read(answer: unknown): Heard;
  readStream(text: string): Heard;
  readError(answer: unknown): string;
}

/** https://platform.openai.com/docs/api-reference/chat */
const chatFinish: Record<string, string> = { stop: "stop", length: "length", tool_calls: "tools" };
const chat: ClientApi = {
  path: "/v1/chat/completions",
  ask: (model, content, stream) => ({
    model,
    messages: [{ role: "user", content }],
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  }),
  askMuch: (model) => ({
    model,
    max_tokens: 100,
    temperature: 0.5,
    messages: [
      { role: "system", content: "Be brief" },
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: image } },
        ],
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: JSON.stringify(args) } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "12 °C" },
      { role: "user", content: "Thanks" },
    ],
    tools: [{ type: "function", function: { name: tool.name, description: tool.description, parameters: tool.schema } }],
    response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } },
  }),
  read(answer) {
    const [choice] = list(json(answer).choices);
    const message = json(choice?.message);
    const usage = json(json(answer).usage);
    return {
      text: text(message.content),
      reasoning: text(message.reasoning_content),
      calls: list(message.tool_calls).map(({ function: fn }) => ({
        name: text(json(fn).name),
        arguments: JSON.parse(text(json(fn).arguments)),
      })),
      finish: chatFinish[text(choice?.finish_reason)] ?? "?",
      usage: { input: number(usage.prompt_tokens), output: number(usage.completion_tokens) },
    };
  },
  readStream(stream) {
    if (!stream.trimEnd().endsWith("data: [DONE]")) throw new Error("no terminator");
    const all = events(stream);
    const choices = all.flatMap((event) => list(event.choices));
    const deltas = choices.map((choice) => json(choice.delta));
    const calls: { name: string; arguments: string }[] = [];
    for (const part of deltas.flatMap((delta) => list(delta.tool_calls))) {
      const index = number(part.index);
      calls[index] ??= { name: text(json(part.function).name), arguments: "" };
      calls[index].arguments += text(json(part.function).arguments);
    }
    const usage = json(all.findLast((event) => event.usage)?.usage);
    return {
      text: join(deltas, "content"),
      reasoning: join(deltas, "reasoning_content"),
      calls: calls.map((call) => ({ name: call.name, arguments: JSON.parse(call.arguments) })),
      finish: chatFinish[text(choices.findLast((choice) => choice.finish_reason)?.finish_reason)] ?? "?",
      usage: { input: number(usage.prompt_tokens), output: number(usage.completion_tokens) },
    };
  },
  readError: (answer) => text(json(json(answer).error).message),
};

/** https://docs.anthropic.com/en/api/messages */
const messagesFinish: Record<string, string> = { end_turn: "stop", max_tokens: "length", tool_use: "tools" };
function readBlocks(blocks: Json[], stopReason: unknown, usage: Json): Heard {
  return {
    text: join(blocks, "text"),
    reasoning: join(blocks, "thinking"),
    calls: blocks
      .filter((block) => block.type === "tool_use")
      .map(({ name, input }) => ({ name: text(name), arguments: input })),
    finish: messagesFinish[text(stopReason)] ?? "?",
    usage: {
      input: number(usage.input_tokens) + number(usage.cache_read_input_tokens) + number(usage.cache_creation_input_tokens),
      output: number(usage.output_tokens),
    },
  };
}
const messages: ClientApi = {
  path: "/v1/messages",
  ask: (model, content, stream) => ({ model, max_tokens: 100, messages: [{ role: "user", content }], stream }),
  askMuch: (model) => ({
    model,
    max_tokens: 100,
    temperature: 0.5,
    system: [{ type: "text", text: "Be brief", cache_control: { type: "ephemeral" } }],
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } },
        ],
      },
      { role: "assistant", content: [{ type: "tool_use", id: "call_1", name: "weather", input: args }] },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_1", content: [{ type: "text", text: "12 °C" }] },
          { type: "text", text: "Thanks" },
        ],
      },
    ],
    tools: [{ name: tool.name, description: tool.description, input_schema: tool.schema }],
    output_config: { format: { type: "json_schema", schema } },
  }),
  read(answer) {
    const { content, stop_reason, usage } = json(answer);
    return readBlocks(list(content), stop_reason, json(usage));
  },
  readStream(stream) {
    const all = events(stream);
    if (all.at(-1)?.type !== "message_stop" || all[0]?.type !== "message_start") throw new Error("no terminator");
    const blocks: Json[] = [];
    let usage: Json = {};
    let stopReason: unknown;
    let open = false;
    for (const event of all) {
      const block = blocks[number(event.index)] ?? {};
      const delta = json(event.delta);
      if (event.type === "message_start") usage = json(json(event.message).usage);
      else if (event.type === "content_block_start") {
        if (open || event.index !== blocks.length) throw new Error("blocks overlap");
        open = true;
        blocks.push({ ...json(event.content_block), json: "" });
      } else if (event.type === "content_block_delta") {
        if (delta.type === "text_delta") block.text = text(block.text) + text(delta.text);
        if (delta.type === "thinking_delta") block.thinking = text(block.thinking) + text(delta.thinking);
        if (delta.type === "input_json_delta") block.json = text(block.json) + text(delta.partial_json);
      } else if (event.type === "content_block_stop") {
        open = false;
        if (block.type === "tool_use") block.input = JSON.parse(text(block.json));
      } else if (event.type === "message_delta") {
        stopReason = delta.stop_reason;
        usage = { ...usage, ...json(event.usage) };
      }
    }
    return readBlocks(blocks, stopReason, usage);
  },
  readError(answer) {
    if (json(answer).type !== "error") return "not in Anthropic's shape";
    return text(json(json(answer).error).message);
  },
};

/** https://platform.openai.com/docs/api-reference/responses */
function readResponse(value: unknown): Heard {
  const response = json(value);
  const output = list(response.output);
  const usage = json(response.usage);
  const calls = output.filter((item) => item.type === "function_call");
  const cut = json(response.incomplete_details).reason === "max_output_tokens";
  const finish = response.status === "completed" ? (calls.length > 0 ? "tools" : "stop") : cut ? "length" : "?";
  return {
    text: output.map((item) => join(list(item.content), "text")).join(""),
    reasoning: output.map((item) => join(list(item.summary), "text")).join(""),
    calls: calls.map((item) => ({ name: text(item.name), arguments: JSON.parse(text(item.arguments)) })),
    finish,
    usage: { input: number(usage.input_tokens), output: number(usage.output_tokens) },
  };
}
const responses: ClientApi = {
  path: "/v1/responses",
  ask: (model, input, stream) => ({ model, input, stream }),
  askMuch: (model) => ({
    model,
    max_output_tokens: 100,
    temperature: 0.5,
    instructions: "Be brief",
    input: [
      {
        role: "user",
        content: [
          { type: "input_text", text: "What is this?" },
          { type: "input_image", image_url: image, detail: "auto" },
        ],
      },
      { type: "reasoning", id: "rs_1", summary: [] },
      { type: "function_call", call_id: "call_1", name: "weather", arguments: JSON.stringify(args) },
      { type: "function_call_output", call_id: "call_1", output: "12 °C" },
      { type: "message", role: "user", content: "Thanks" },
    ],
    tools: [{ type: "function", name: tool.name, description: tool.description, parameters: tool.schema, strict: false }],
    text: { format: { type: "json_schema", name: "answer", schema, strict: true } },
  }),
  read: readResponse,
  readStream(stream) {
    const all = events(stream);
    const last = json(all.at(-1)?.response);
    if (!last.output) throw new Error("no terminator");
    if (all.some((event, index) => event.sequence_number !== index)) throw new Error("events are not numbered");
    // The pieces say the same as the whole at the end.
    const heard = readResponse(last);
    const of = (type: string) =>
      join(
        all.filter((event) => event.type === type),
        "delta",
      );
    if (of("response.output_text.delta") !== heard.text) throw new Error("the pieces of text differ from the whole");
    if (of("response.reasoning_summary_text.delta") !== heard.reasoning) throw new Error("the pieces of reasoning differ");
    return heard;
  },
  readError: (answer) => text(json(json(answer).error).message),
};

export const clientApis = { "chat-completions": chat, messages, responses };
export type ClientName = keyof typeof clientApis;
