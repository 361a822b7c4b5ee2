// Streams of chat completions as providers document them: comments, empty deltas, parallel and interleaved tool calls, failures.
import { type Fixture, plain, said, sse, weather } from "./fixture.ts";

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

export const chat: Fixture[] = [
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
