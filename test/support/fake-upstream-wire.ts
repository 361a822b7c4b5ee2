// How the fake model server says an answer in the wire format of the API that was asked.
// Anthropic: https://docs.anthropic.com/en/docs/build-with-claude/streaming (types RawMessageStreamEvent of @anthropic-ai/sdk).
// Responses: https://platform.openai.com/docs/api-reference/responses-streaming (types ResponseStreamEvent of openai).
// Ollama: https://github.com/ollama/ollama/blob/main/docs/api.md (generate a chat completion).

export interface Said {
  words: string[];
  thoughts: string[];
  calls: { id: string; name: string; arguments: object }[];
  model: string;
  finish: "stop" | "length" | "tools";
}

export interface Wire {
  contentType: string;
  whole(said: Said): object;
  /** One piece a word, ready to be written; `pad` makes each word larger. */
  pieces(said: Said): string[];
}

const input = 7;
const outputOf = (said: Said): number => said.words.length + said.thoughts.length + said.calls.length;
const sse = (type: string, value: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`;

const anthropicStop = { stop: "end_turn", length: "max_tokens", tools: "tool_use" };

const anthropic: Wire = {
  contentType: "text/event-stream; charset=utf-8",
  whole: (said) => ({
    id: "msg_fake",
    type: "message",
    role: "assistant",
    model: said.model,
    content: [
      ...(said.thoughts.length > 0 ? [{ type: "thinking", thinking: said.thoughts.join(""), signature: "c2ln" }] : []),
      ...(said.words.length > 0 ? [{ type: "text", text: said.words.join(""), citations: null }] : []),
      ...said.calls.map((call) => ({ type: "tool_use", id: call.id, name: call.name, input: call.arguments })),
    ],
    stop_reason: anthropicStop[said.finish],
    stop_sequence: null,
    usage: {
      input_tokens: input - 2,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 2,
      output_tokens: outputOf(said),
    },
  }),
  pieces(said) {
    let index = -1;
    const block = (start: object, deltas: object[]): string[] => {
      index += 1;
      return [
        sse("content_block_start", { index, content_block: start }),
        ...deltas.map((delta) => sse("content_block_delta", { index, delta })),
        sse("content_block_stop", { index }),
      ];
    };
    const usage = { input_tokens: input - 2, cache_creation_input_tokens: 0, cache_read_input_tokens: 2, output_tokens: 1 };
    const message = { id: "msg_fake", type: "message", role: "assistant", content: [], model: said.model };
    return [
      sse("message_start", { message: { ...message, stop_reason: null, stop_sequence: null, usage } }),
      sse("ping", {}),
      ...(said.thoughts.length > 0
        ? block({ type: "thinking", thinking: "", signature: "" }, [
            ...said.thoughts.map((thinking) => ({ type: "thinking_delta", thinking })),
            { type: "signature_delta", signature: "c2ln" },
          ])
        : []),
      ...(said.words.length > 0
        ? block(
            { type: "text", text: "" },
            ["", ...said.words].map((text) => ({ type: "text_delta", text })),
          )
        : []),
      ...said.calls.flatMap((call) =>
        block(
          { type: "tool_use", id: call.id, name: call.name, input: {} },
          ["", ...halves(JSON.stringify(call.arguments))].map((partial_json) => ({ type: "input_json_delta", partial_json })),
        ),
      ),
      sse("message_delta", {
        delta: { stop_reason: anthropicStop[said.finish], stop_sequence: null },
        usage: { output_tokens: outputOf(said) },
      }),
      sse("message_stop", {}),
    ];
  },
};

const halves = (text: string): string[] => [text.slice(0, text.length / 2), text.slice(text.length / 2)];

function responseOf(said: Said, done: boolean): object {
  const { model, finish } = said;
  const cut = finish === "length";
  return {
    id: "resp_fake",
    object: "response",
    created_at: 1_700_000_000,
    model,
    status: done ? (cut ? "incomplete" : "completed") : "in_progress",
    error: null,
    incomplete_details: done && cut ? { reason: "max_output_tokens" } : null,
    output: done ? itemsOf(said) : [],
    usage: done
      ? {
          input_tokens: input,
          input_tokens_details: { cached_tokens: 2 },
          output_tokens: outputOf(said),
          output_tokens_details: { reasoning_tokens: said.thoughts.length },
          total_tokens: input + outputOf(said),
        }
      : null,
  };
}

function itemsOf({ words, thoughts, calls }: Said): object[] {
  const part = { type: "output_text", text: words.join(""), annotations: [] };
  return [
    ...(thoughts.length > 0
      ? [{ id: "rs_fake", type: "reasoning", summary: [{ type: "summary_text", text: thoughts.join("") }] }]
      : []),
    ...(words.length > 0 ? [{ id: "msg_fake", type: "message", role: "assistant", status: "completed", content: [part] }] : []),
    ...calls.map((call) => ({
      id: `fc_${call.id}`,
      type: "function_call",
      status: "completed",
      call_id: call.id,
      name: call.name,
      arguments: JSON.stringify(call.arguments),
    })),
  ];
}

const responses: Wire = {
  contentType: "text/event-stream",
  whole: (said) => responseOf(said, true),
  pieces(said) {
    let number = 0;
    let output_index = -1;
    const event = (type: string, value: object): string => {
      number += 1;
      return sse(type, { sequence_number: number - 1, ...value });
    };
    const pieces = [
      event("response.created", { response: responseOf(said, false) }),
      event("response.in_progress", { response: responseOf(said, false) }),
    ];
    if (said.thoughts.length > 0) {
      output_index += 1;
      const at = { item_id: "rs_fake", output_index, summary_index: 0 };
      pieces.push(
        event("response.output_item.added", { output_index, item: { id: "rs_fake", type: "reasoning", summary: [] } }),
      );
      for (const delta of said.thoughts) pieces.push(event("response.reasoning_summary_text.delta", { ...at, delta }));
      pieces.push(event("response.output_item.done", { output_index, item: itemsOf(said)[0] }));
    }
    if (said.words.length > 0) {
      output_index += 1;
      const at = { item_id: "msg_fake", output_index, content_index: 0 };
      const item = { id: "msg_fake", type: "message", role: "assistant", status: "in_progress", content: [] };
      pieces.push(event("response.output_item.added", { output_index, item }));
      pieces.push(event("response.content_part.added", { ...at, part: { type: "output_text", text: "", annotations: [] } }));
      for (const delta of said.words) pieces.push(event("response.output_text.delta", { ...at, delta, logprobs: [] }));
      pieces.push(event("response.output_text.done", { ...at, text: said.words.join(""), logprobs: [] }));
    }
    for (const call of said.calls) {
      output_index += 1;
      const item = { id: `fc_${call.id}`, type: "function_call", call_id: call.id, name: call.name, status: "in_progress" };
      const text = JSON.stringify(call.arguments);
      pieces.push(event("response.output_item.added", { output_index, item: { ...item, arguments: "" } }));
      for (const delta of halves(text))
        pieces.push(event("response.function_call_arguments.delta", { item_id: item.id, output_index, delta }));
      pieces.push(event("response.function_call_arguments.done", { item_id: item.id, output_index, arguments: text }));
      pieces.push(
        event("response.output_item.done", { output_index, item: { ...item, status: "completed", arguments: text } }),
      );
    }
    const last = said.finish === "length" ? "response.incomplete" : "response.completed";
    return [...pieces, event(last, { response: responseOf(said, true) })];
  },
};

const ollamaEnd = (said: Said): object => ({
  done: true,
  done_reason: said.finish === "length" ? "length" : "stop",
  total_duration: 5_000_000,
  prompt_eval_count: input,
  eval_count: outputOf(said),
});

const ollama: Wire = {
  contentType: "application/x-ndjson",
  whole: (said) => ({
    model: said.model,
    created_at: "2026-01-01T00:00:00Z",
    message: {
      role: "assistant",
      content: said.words.join(""),
      ...(said.thoughts.length > 0 ? { thinking: said.thoughts.join("") } : {}),
      ...(said.calls.length > 0 ? { tool_calls: said.calls.map(ollamaCall) } : {}),
    },
    ...ollamaEnd(said),
  }),
  pieces(said) {
    const head = { model: said.model, created_at: "2026-01-01T00:00:00Z" };
    const line = (message: object, more: object = { done: false }): string =>
      `${JSON.stringify({ ...head, message: { role: "assistant", ...message }, ...more })}\n`;
    return [
      ...said.thoughts.map((thinking) => line({ content: "", thinking })),
      ...said.words.map((content) => line({ content })),
      ...said.calls.map((call) => line({ content: "", tool_calls: [ollamaCall(call)] })),
      line({ content: "" }, ollamaEnd(said)),
    ];
  },
};

const ollamaCall = (call: Said["calls"][number]): object => ({ function: { name: call.name, arguments: call.arguments } });

const chatStop = { stop: "stop", length: "length", tools: "tool_calls" };
const chatUsage = (said: Said): object => ({
  prompt_tokens: input,
  completion_tokens: outputOf(said),
  total_tokens: input + outputOf(said),
  prompt_tokens_details: { cached_tokens: 2 },
});

/** Chat completions with thoughts and calls, as vLLM sends them: https://docs.vllm.ai/en/latest/features/reasoning_outputs.html */
const chat: Wire = {
  contentType: "text/event-stream",
  whole: (said) => ({
    id: "chatcmpl-fake",
    object: "chat.completion",
    created: 1_700_000_000,
    model: said.model,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: said.words.length > 0 ? said.words.join("") : null,
          ...(said.thoughts.length > 0 ? { reasoning_content: said.thoughts.join("") } : {}),
          ...(said.calls.length > 0 ? { tool_calls: said.calls.map((call) => chatCall(call)) } : {}),
        },
        finish_reason: chatStop[said.finish],
      },
    ],
    usage: chatUsage(said),
  }),
  pieces(said) {
    const head = { id: "chatcmpl-fake", object: "chat.completion.chunk", created: 1_700_000_000, model: said.model };
    const chunk = (delta: object, finish_reason: string | null = null): string =>
      `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
    return [
      chunk({ role: "assistant", content: "" }),
      ...said.thoughts.map((reasoning_content) => chunk({ reasoning_content })),
      ...said.words.map((content) => chunk({ content })),
      chunk({}),
      ...said.calls.flatMap((call, index) => {
        const { id, type, function: fn } = chatCall(call);
        return [
          chunk({ tool_calls: [{ index, id, type, function: { name: fn.name, arguments: "" } }] }),
          ...halves(fn.arguments).map((text) => chunk({ tool_calls: [{ index, function: { arguments: text } }] })),
        ];
      }),
      chunk({}, chatStop[said.finish]),
      `data: ${JSON.stringify({ ...head, choices: [], usage: chatUsage(said) })}\n\n`,
      "data: [DONE]\n\n",
    ];
  },
};

const chatCall = (call: Said["calls"][number]) => ({
  id: call.id,
  type: "function",
  function: { name: call.name, arguments: JSON.stringify(call.arguments) },
});

/** https://platform.openai.com/docs/api-reference/completions */
const completions: Wire = {
  contentType: "text/event-stream",
  whole: (said) => ({
    id: "cmpl-fake",
    object: "text_completion",
    created: 1_700_000_000,
    model: said.model,
    choices: [{ text: said.words.join(""), index: 0, logprobs: null, finish_reason: chatStop[said.finish] }],
    usage: chatUsage(said),
  }),
  pieces(said) {
    const head = { id: "cmpl-fake", object: "text_completion", created: 1_700_000_000, model: said.model };
    const chunk = (text: string, finish_reason: string | null): string =>
      `data: ${JSON.stringify({ ...head, choices: [{ text, index: 0, logprobs: null, finish_reason }] })}\n\n`;
    return [
      ...said.words.map((word) => chunk(word, null)),
      chunk("", chatStop[said.finish]),
      `data: ${JSON.stringify({ ...head, choices: [], usage: chatUsage(said) })}\n\n`,
      "data: [DONE]\n\n",
    ];
  },
};

/** https://github.com/ollama/ollama/blob/main/docs/api.md (generate a completion) */
const generate: Wire = {
  contentType: "application/x-ndjson",
  whole: (said) => ({
    model: said.model,
    created_at: "2026-01-01T00:00:00Z",
    response: said.words.join(""),
    ...ollamaEnd(said),
  }),
  pieces(said) {
    const head = { model: said.model, created_at: "2026-01-01T00:00:00Z" };
    return [
      ...said.words.map((response) => `${JSON.stringify({ ...head, response, done: false })}\n`),
      `${JSON.stringify({ ...head, response: "", ...ollamaEnd(said) })}\n`,
    ];
  },
};

/** By the end of the path. */
export function wireOf(path: string): Wire {
  if (path.endsWith("/messages")) return anthropic;
  if (path.endsWith("/responses")) return responses;
  if (path.endsWith("/api/chat")) return ollama;
  if (path.endsWith("/api/generate")) return generate;
  if (path.endsWith("/completions") && !path.endsWith("/chat/completions")) return completions;
  return chat;
}
