// Streams as providers document them, word for word in their shapes: with pings, comments, empty deltas, parallel and interleaved tool calls, failures.

export interface Fixture {
  kind: "openai-completions" | "openai-responses" | "anthropic-messages" | "ollama";
  name: string;
  /** Where the shape is published. */
  source: string;
  type: string;
  stream: string;
  expected: Expected;
}

export interface Expected {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: unknown }[];
  finish: string;
  usage: { input: number; output: number };
  /** The stream ends in a failure that says this. */
  failure?: RegExp;
}

const said = (more: Partial<Expected>): Expected => ({
  text: "",
  reasoning: "",
  calls: [],
  finish: "stop",
  usage: { input: 0, output: 0 },
  ...more,
});
const sse = "text/event-stream";
const weather = (city: string) => ({ name: "get_weather", arguments: { city } });

/** `event:` lines come from the data's own type. */
const typed = (events: object[]): string =>
  events.map((event) => `event: ${Reflect.get(event, "type")}\ndata: ${JSON.stringify(event)}\n\n`).join("");
const plain = (events: object[]): string =>
  `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`;

const chatHead = {
  id: "chatcmpl-123",
  object: "chat.completion.chunk",
  created: 1694268190,
  model: "gpt-4o-mini",
  system_fingerprint: "fp_44709d6fcb",
};
const chunk = (delta: object, finish_reason: string | null = null) => ({
  ...chatHead,
  choices: [{ index: 0, delta, logprobs: null, finish_reason }],
});
const chatUsage = (prompt_tokens: number, completion_tokens: number) => ({
  ...chatHead,
  choices: [],
  usage: {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: 3, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  },
});
const call = (index: number, id: string, name: string) =>
  chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] });
const args = (index: number, text: string) => chunk({ tool_calls: [{ index, function: { arguments: text } }] });

const chat: Fixture[] = [
  {
    kind: "openai-completions",
    name: "text with a comment, an empty delta and token counts",
    source: "https://platform.openai.com/docs/api-reference/chat-streaming/streaming (ChatCompletionChunk of openai)",
    type: sse,
    stream: `: OPENROUTER PROCESSING\n\n${plain([chunk({ role: "assistant", content: "", refusal: null }), chunk({ content: "Grüezi" }), chunk({}), chunk({ content: "" }), chunk({ content: " 🦀" }), chunk({}, "stop"), chatUsage(9, 4)])}`,
    expected: said({ text: "Grüezi 🦀", usage: { input: 9, output: 4 } }),
  },
  {
    kind: "openai-completions",
    name: "reasoning before text",
    source: "https://docs.vllm.ai/en/latest/features/reasoning_outputs.html (delta.reasoning, before delta.reasoning_content)",
    type: sse,
    stream: plain([
      chunk({ role: "assistant", content: "" }),
      chunk({ reasoning: "9.8 is" }),
      chunk({ reasoning: " more" }),
      chunk({ content: "9.8" }),
      chunk({}, "length"),
      chatUsage(5, 6),
    ]),
    expected: said({ text: "9.8", reasoning: "9.8 is more", finish: "length", usage: { input: 5, output: 6 } }),
  },
  {
    kind: "openai-completions",
    name: "two tool calls in a row",
    source:
      "https://platform.openai.com/docs/guides/function-calling#streaming (ChatCompletionChunk.Choice.Delta.ToolCall of openai)",
    type: sse,
    stream: plain([
      chunk({ role: "assistant", content: null }),
      call(0, "call_a", "get_weather"),
      args(0, '{"ci'),
      args(0, 'ty":"Zürich"}'),
      call(1, "call_b", "get_weather"),
      args(1, '{"city":"Bern"}'),
      chunk({}, "tool_calls"),
      chatUsage(8, 7),
    ]),
    expected: said({ calls: [weather("Zürich"), weather("Bern")], finish: "tools", usage: { input: 8, output: 7 } }),
  },
  {
    kind: "openai-completions",
    name: "two tool calls whose arguments come in turns",
    source:
      "https://platform.openai.com/docs/api-reference/chat-streaming/streaming (tool_calls[].index of ChatCompletionChunk)",
    type: sse,
    stream: plain([
      chunk({ role: "assistant", content: null }),
      call(0, "call_a", "get_weather"),
      call(1, "call_b", "get_weather"),
      args(1, '{"city"'),
      args(0, '{"city":"Zü'),
      args(1, ':"Bern"}'),
      args(0, 'rich"}'),
      chunk({}, "tool_calls"),
      chatUsage(8, 7),
    ]),
    expected: said({ calls: [weather("Zürich"), weather("Bern")], finish: "tools", usage: { input: 8, output: 7 } }),
  },
  {
    kind: "openai-completions",
    name: "a failure in the middle",
    source:
      "https://openrouter.ai/docs/api-reference/errors (errors during streaming), vLLM's serving_chat.py (create_streaming_error_response)",
    type: sse,
    stream: `data: ${JSON.stringify(chunk({ role: "assistant", content: "Grü" }))}\n\ndata: {"error":{"message":"the engine died","type":"InternalServerError","param":null,"code":500}}\n\ndata: [DONE]\n\n`,
    expected: said({ failure: /the engine died/ }),
  },
];

const block = (index: number, content_block: object, deltas: object[]) => [
  { type: "content_block_start", index, content_block },
  ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index },
];
const message = (blocks: object[], stop_reason: string) =>
  typed([
    {
      type: "message_start",
      message: {
        id: "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY",
        type: "message",
        role: "assistant",
        content: [],
        model: "claude-opus-4-8",
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 20, cache_creation_input_tokens: 4, cache_read_input_tokens: 1, output_tokens: 1 },
      },
    },
    { type: "ping" },
    ...blocks,
    { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 15 } },
    { type: "message_stop" },
  ]);
const messagesSource = "https://docs.anthropic.com/en/docs/build-with-claude/streaming";
const messagesUsage = { input: 25, output: 15 };

const messages: Fixture[] = [
  {
    kind: "anthropic-messages",
    name: "text with pings and an event of a later version",
    source: `${messagesSource}#basic-streaming-request (RawMessageStreamEvent of @anthropic-ai/sdk)`,
    type: sse,
    stream: message(
      [
        ...block(
          0,
          { type: "text", text: "" },
          ["Grüezi", "", " 🦀"].map((text) => ({ type: "text_delta", text })),
        ),
        { type: "ping" },
        { type: "of_tomorrow", index: 3 },
      ],
      "end_turn",
    ),
    expected: said({ text: "Grüezi 🦀", usage: messagesUsage }),
  },
  {
    kind: "anthropic-messages",
    name: "thinking, text and two tools, one without arguments in pieces",
    source: `${messagesSource}#streaming-request-with-extended-thinking, #streaming-request-with-tool-use`,
    type: sse,
    stream: message(
      [
        ...block(0, { type: "thinking", thinking: "", signature: "" }, [
          { type: "thinking_delta", thinking: "Let me" },
          { type: "thinking_delta", thinking: " see" },
          { type: "signature_delta", signature: "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds" },
        ]),
        ...block(1, { type: "text", text: "" }, [{ type: "text_delta", text: "Okay" }]),
        ...block(
          2,
          { type: "tool_use", id: "toolu_01", name: "get_weather", input: {} },
          ["", '{"city": "Zü', 'rich"}'].map((partial_json) => ({ type: "input_json_delta", partial_json })),
        ),
        ...block(3, { type: "tool_use", id: "toolu_02", name: "now", input: {} }, []),
      ],
      "tool_use",
    ),
    expected: said({
      text: "Okay",
      reasoning: "Let me see",
      calls: [weather("Zürich"), { name: "now", arguments: {} }],
      finish: "tools",
      usage: messagesUsage,
    }),
  },
  {
    kind: "anthropic-messages",
    name: "the limit was reached",
    source: "https://docs.anthropic.com/en/api/handling-stop-reasons (stop_reason max_tokens)",
    type: sse,
    stream: message(block(0, { type: "text", text: "" }, [{ type: "text_delta", text: "cut" }]), "max_tokens"),
    expected: said({ text: "cut", finish: "length", usage: messagesUsage }),
  },
  {
    kind: "anthropic-messages",
    name: "a failure in the middle",
    source: `${messagesSource}#error-events`,
    type: sse,
    stream: message([], "end_turn").replace(
      /event: message_delta[\s\S]*$/,
      typed([
        ...block(0, { type: "text", text: "" }, [{ type: "text_delta", text: "Grü" }]),
        { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
      ]),
    ),
    expected: said({ failure: /Overloaded/ }),
  },
];

const responseOf = (status: string, more: object) => ({
  id: "resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654",
  object: "response",
  created_at: 1741487325,
  status,
  error: null,
  incomplete_details: null,
  instructions: "You are a helpful assistant.",
  max_output_tokens: null,
  model: "gpt-4.1-2025-04-14",
  output: [],
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: true,
  temperature: 1,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  truncation: "disabled",
  usage: null,
  user: null,
  metadata: {},
  ...more,
});
const usage = {
  input_tokens: 37,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 11,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 48,
};
const numbered = (events: object[]): string => typed(events.map((event, sequence_number) => ({ ...event, sequence_number })));
const textItem = (text: string, status = "completed") => ({
  id: "msg_1",
  type: "message",
  status,
  role: "assistant",
  content: status === "completed" ? [{ type: "output_text", text, annotations: [] }] : [],
});
const begun = [
  { type: "response.created", response: responseOf("in_progress", {}) },
  { type: "response.in_progress", response: responseOf("in_progress", {}) },
];
const sayText = (output_index: number, pieces: string[]) => {
  const at = { item_id: "msg_1", output_index, content_index: 0 };
  const text = pieces.join("");
  return [
    { type: "response.output_item.added", output_index, item: textItem("", "in_progress") },
    { type: "response.content_part.added", ...at, part: { type: "output_text", text: "", annotations: [] } },
    ...pieces.map((delta) => ({ type: "response.output_text.delta", ...at, delta })),
    { type: "response.output_text.done", ...at, text },
    { type: "response.content_part.done", ...at, part: { type: "output_text", text, annotations: [] } },
    { type: "response.output_item.done", output_index, item: textItem(text) },
  ];
};
const callItem = (n: number, text: string, status = "completed") => ({
  type: "function_call",
  id: `fc_${n}`,
  call_id: `call_${n}`,
  name: "get_weather",
  arguments: text,
  status,
});
const argument = (output_index: number, delta: string) => ({
  type: "response.function_call_arguments.delta",
  item_id: `fc_${output_index}`,
  output_index,
  delta,
});
const callDone = (output_index: number, text: string) => [
  { type: "response.function_call_arguments.done", item_id: `fc_${output_index}`, output_index, arguments: text },
  { type: "response.output_item.done", output_index, item: callItem(output_index, text) },
];
const responsesSource = "https://platform.openai.com/docs/api-reference/responses-streaming";

const responses: Fixture[] = [
  {
    kind: "openai-responses",
    name: "text",
    source: `${responsesSource} (ResponseStreamEvent of openai)`,
    type: sse,
    stream: numbered([
      ...begun,
      ...sayText(0, ["Grüezi", " 🦀"]),
      { type: "response.completed", response: responseOf("completed", { output: [textItem("Grüezi 🦀")], usage }) },
    ]),
    expected: said({ text: "Grüezi 🦀", usage: { input: 37, output: 11 } }),
  },
  {
    kind: "openai-responses",
    name: "a summary of the reasoning, then the limit",
    source: `${responsesSource}/response/reasoning_summary_text, ${responsesSource}/response/incomplete`,
    type: sse,
    stream: numbered([
      ...begun,
      { type: "response.output_item.added", output_index: 0, item: { id: "rs_1", type: "reasoning", summary: [] } },
      {
        type: "response.reasoning_summary_part.added",
        item_id: "rs_1",
        output_index: 0,
        summary_index: 0,
        part: { type: "summary_text", text: "" },
      },
      { type: "response.reasoning_summary_text.delta", item_id: "rs_1", output_index: 0, summary_index: 0, delta: "Let me" },
      { type: "response.reasoning_summary_text.delta", item_id: "rs_1", output_index: 0, summary_index: 0, delta: " see" },
      {
        type: "response.output_item.done",
        output_index: 0,
        item: { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Let me see" }] },
      },
      ...sayText(1, ["cut"]),
      {
        type: "response.incomplete",
        response: responseOf("incomplete", {
          incomplete_details: { reason: "max_output_tokens" },
          output: [{ id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Let me see" }] }, textItem("cut")],
          usage,
        }),
      },
    ]),
    expected: said({ text: "cut", reasoning: "Let me see", finish: "length", usage: { input: 37, output: 11 } }),
  },
  {
    kind: "openai-responses",
    name: "two tool calls in turns, one without pieces",
    source:
      "https://platform.openai.com/docs/guides/function-calling?api-mode=responses#streaming (output_index of ResponseFunctionCallArgumentsDeltaEvent)",
    type: sse,
    stream: numbered([
      ...begun,
      { type: "response.output_item.added", output_index: 0, item: callItem(0, "", "in_progress") },
      argument(0, '{"city":'),
      { type: "response.output_item.added", output_index: 1, item: callItem(1, "", "in_progress") },
      ...callDone(1, '{"city":"Bern"}'),
      argument(0, '"Zürich"}'),
      ...callDone(0, '{"city":"Zürich"}'),
      {
        type: "response.completed",
        response: responseOf("completed", {
          output: [callItem(0, '{"city":"Zürich"}'), callItem(1, '{"city":"Bern"}')],
          usage,
        }),
      },
    ]),
    expected: said({ calls: [weather("Zürich"), weather("Bern")], finish: "tools", usage: { input: 37, output: 11 } }),
  },
  {
    kind: "openai-responses",
    name: "a failure in the middle",
    source: `${responsesSource}/response/failed`,
    type: sse,
    stream: numbered([
      ...begun,
      ...sayText(0, ["Grü"]),
      {
        type: "response.failed",
        response: responseOf("failed", {
          error: { code: "server_error", message: "The model failed to generate a response." },
        }),
      },
    ]),
    expected: said({ failure: /failed to generate a response/ }),
  },
];

const ollamaLine = (text: object, more: object = { done: false }): string =>
  `${JSON.stringify({ model: "llama3.2", created_at: "2023-08-04T08:52:19.385406455-07:00", message: { role: "assistant", content: "", ...text }, ...more })}\n`;
const ollamaEnd = (done_reason: string) => ({
  done: true,
  done_reason,
  total_duration: 4883583458,
  load_duration: 1334875,
  prompt_eval_count: 26,
  prompt_eval_duration: 342546000,
  eval_count: 28,
  eval_duration: 4535599000,
});
const ollamaSource = "https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion";
const ndjson = "application/x-ndjson";

const ollama: Fixture[] = [
  {
    kind: "ollama",
    name: "text with an empty piece and an empty line",
    source: `${ollamaSource} (ChatResponse of ollama)`,
    type: ndjson,
    stream: `${ollamaLine({ content: "Grüezi", images: null })}${ollamaLine({})}\n${ollamaLine({ content: " 🦀" })}${ollamaLine({}, ollamaEnd("stop"))}`,
    expected: said({ text: "Grüezi 🦀", usage: { input: 26, output: 28 } }),
  },
  {
    kind: "ollama",
    name: "thinking, then the limit",
    source: "https://docs.ollama.com/capabilities/thinking (message.thinking), done_reason length",
    type: ndjson,
    stream:
      ollamaLine({ thinking: "Let me" }) +
      ollamaLine({ thinking: " see" }) +
      ollamaLine({ content: "cut" }) +
      ollamaLine({}, ollamaEnd("length")),
    expected: said({ text: "cut", reasoning: "Let me see", finish: "length", usage: { input: 26, output: 28 } }),
  },
  {
    kind: "ollama",
    name: "parallel tool calls in one line and in two",
    source: "https://docs.ollama.com/capabilities/tool-calling (ToolCall of ollama)",
    type: ndjson,
    stream:
      ollamaLine({
        tool_calls: [
          { function: { name: "get_weather", arguments: { city: "Zürich" } } },
          { function: { index: 1, name: "get_weather", arguments: { city: "Bern" } } },
        ],
      }) +
      ollamaLine({ tool_calls: [{ id: "call_x", function: { name: "now", arguments: {} } }] }) +
      ollamaLine({}, ollamaEnd("stop")),
    expected: said({
      calls: [weather("Zürich"), weather("Bern"), { name: "now", arguments: {} }],
      finish: "tools",
      usage: { input: 26, output: 28 },
    }),
  },
  {
    kind: "ollama",
    name: "a failure in the middle",
    source: "https://docs.ollama.com/api/errors (errors that occur while streaming)",
    type: ndjson,
    stream: `${ollamaLine({ content: "Grü" })}{"error":"an error was encountered while running the model"}\n`,
    expected: said({ failure: /encountered while running the model/ }),
  },
];

export const fixtures: Fixture[] = [...chat, ...messages, ...responses, ...ollama];
