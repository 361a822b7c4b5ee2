// Streams of Ollama as they are documented: thinking, tool calls in one line and in several, failures.
import { type Fixture, said, weather } from "./fixture.ts";

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

export const ollama: Fixture[] = [
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
