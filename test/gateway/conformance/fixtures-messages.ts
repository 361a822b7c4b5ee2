// Streams of Anthropic's messages as they are documented: pings, events of later versions, thinking, tools, failures.
import { type Fixture, said, sse, typed, weather } from "./fixture.ts";

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

export const messages: Fixture[] = [
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
