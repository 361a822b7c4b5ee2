// Streams of OpenAI's responses as they are documented: summaries of reasoning, interleaved tool calls, failures.
import { type Fixture, said, sse, typed, weather } from "./fixture.ts";

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

export const responses: Fixture[] = [
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
