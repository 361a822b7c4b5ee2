// Choices of tools, effort of thinking, formats and stops: from every client API to every kind, or an error that names the field in the client's words.
// Shapes: ChatCompletionToolChoiceOption, ReasoningEffort, ResponseFormatJSONObject (openai); ToolChoice, ThinkingConfigParam,
// OutputConfig (@anthropic-ai/sdk); ToolChoiceOptions, Reasoning (openai, responses); ChatRequest (ollama).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, startGateway, type TestGateway } from "../../support/gateway.ts";
import { clientApis, everyKind, kinds } from "../../support/translations.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(everyKind(upstream.port));
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

type Fields = Record<string, unknown>;
/** By API and by kind: the fields that say it; `error`: the field that cannot be said there; undefined: it cannot be asked for. */
interface Setting {
  /** In the place of "m". */
  model?: string;
  asked: Record<string, Fields | undefined>;
  written: Record<string, Fields | { error: string }>;
}

const name = "weather";
const settings: Record<string, Setting> = {
  "any tool": {
    asked: {
      "chat-completions": { tool_choice: "required" },
      messages: { tool_choice: { type: "any" } },
      responses: { tool_choice: "required" },
    },
    written: {
      "openai-completions": { tool_choice: "required" },
      "anthropic-messages": { tool_choice: { type: "any" } },
      "openai-responses": { tool_choice: "required" },
      ollama: { error: "tool_choice" },
    },
  },
  "one tool": {
    asked: {
      "chat-completions": { tool_choice: { type: "function", function: { name } } },
      messages: { tool_choice: { type: "tool", name } },
      responses: { tool_choice: { type: "function", name } },
    },
    written: {
      "openai-completions": { tool_choice: { type: "function", function: { name } } },
      "anthropic-messages": { tool_choice: { type: "tool", name } },
      "openai-responses": { tool_choice: { type: "function", name } },
      ollama: { error: "tool_choice" },
    },
  },
  "no tool": {
    asked: {
      "chat-completions": { tool_choice: "none" },
      messages: { tool_choice: { type: "none" } },
      responses: { tool_choice: "none" },
    },
    written: {
      "openai-completions": { tool_choice: "none" },
      "anthropic-messages": { tool_choice: { type: "none" } },
      "openai-responses": { tool_choice: "none" },
      ollama: { tools: undefined },
    },
  },
  "one call at a time": {
    asked: {
      "chat-completions": { parallel_tool_calls: false },
      messages: { tool_choice: { type: "auto", disable_parallel_tool_use: true } },
      responses: { parallel_tool_calls: false },
    },
    written: {
      "openai-completions": { parallel_tool_calls: false },
      "anthropic-messages": { tool_choice: { type: "auto", disable_parallel_tool_use: true } },
      "openai-responses": { parallel_tool_calls: false },
      ollama: { error: "parallel_tool_calls" },
    },
  },
  "much thought": {
    asked: {
      "chat-completions": { reasoning_effort: "high" },
      messages: { output_config: { effort: "high" } },
      responses: { reasoning: { effort: "high" } },
    },
    written: {
      "openai-completions": { reasoning_effort: "high" },
      "anthropic-messages": { thinking: { type: "enabled", budget_tokens: 24_576 }, max_tokens: 24_676 },
      "openai-responses": { reasoning: { effort: "high", summary: "auto" } },
      ollama: { think: true },
    },
  },
  "thought by tokens": {
    asked: {
      "chat-completions": undefined,
      messages: { thinking: { type: "enabled", budget_tokens: 2000 } },
      responses: undefined,
    },
    written: {
      "openai-completions": { reasoning_effort: "low" },
      "anthropic-messages": {},
      "openai-responses": { reasoning: { effort: "low", summary: "auto" } },
      ollama: { think: true },
    },
  },
  "no thought": {
    asked: {
      "chat-completions": { reasoning_effort: "none" },
      messages: undefined,
      responses: { reasoning: { effort: "none" } },
    },
    written: {
      "openai-completions": { reasoning_effort: "none" },
      "anthropic-messages": { thinking: undefined },
      "openai-responses": { reasoning: { effort: "none", summary: "auto" } },
      ollama: { think: false },
    },
  },
  "much thought, of a model that is told how hard to try": {
    model: "claude-opus-4-7",
    asked: {
      "chat-completions": { reasoning_effort: "high" },
      messages: undefined,
      responses: { reasoning: { effort: "high" } },
    },
    written: { "anthropic-messages": { thinking: { type: "adaptive" }, output_config: { effort: "high" } } },
  },
  "few words": {
    asked: { "chat-completions": { verbosity: "low" }, messages: undefined, responses: { text: { verbosity: "low" } } },
    written: {
      "openai-completions": { verbosity: "low" },
      "anthropic-messages": { error: "verbosity" },
      "openai-responses": { text: { verbosity: "low" } },
      ollama: { error: "verbosity" },
    },
  },
  "as many words as usual": {
    asked: {
      "chat-completions": { verbosity: "medium" },
      messages: undefined,
      responses: { text: { verbosity: "medium", format: { type: "json_object" } } },
    },
    written: {
      "openai-completions": { verbosity: "medium" },
      "openai-responses": { text: { verbosity: "medium" } },
      ollama: { verbosity: undefined },
    },
  },
  "JSON of any shape": {
    asked: {
      "chat-completions": { response_format: { type: "json_object" } },
      messages: undefined,
      responses: { text: { format: { type: "json_object" } } },
    },
    written: {
      "openai-completions": { response_format: { type: "json_object" } },
      "anthropic-messages": { error: "response_format" },
      "openai-responses": { text: { format: { type: "json_object" } } },
      ollama: { format: "json" },
    },
  },
  "a stop": {
    asked: { "chat-completions": { stop: "END" }, messages: { stop_sequences: ["END"] }, responses: undefined },
    written: {
      "openai-completions": { stop: ["END"] },
      "anthropic-messages": { stop_sequences: ["END"] },
      "openai-responses": { error: "stop" },
      ollama: { options: { stop: ["END"], num_predict: 100 } },
    },
  },
};

/** How an API names a field that others name otherwise. */
const words: Record<string, Fields> = {
  messages: { stop: "stop_sequences", parallel_tool_calls: "tool_choice.disable_parallel_tool_use" },
  responses: { response_format: "text.format", verbosity: "text.verbosity" },
};
const limits: Fields = { "chat-completions": { max_tokens: 100 }, messages: {}, responses: { max_output_tokens: 100 } };
const schema = { type: "object", properties: { city: { type: "string" } } };
const tools: Fields = {
  "chat-completions": [{ type: "function", function: { name, parameters: schema } }],
  messages: [{ name, input_schema: schema }],
  responses: [{ type: "function", name, parameters: schema, strict: false }],
};

for (const [what, { model = "m", asked, written }] of Object.entries(settings))
  describe(what, () => {
    for (const [apiName, api] of Object.entries(clientApis))
      for (const kind of Object.keys(kinds)) {
        const fields = asked[apiName];
        const expected = written[kind];
        if (!fields || !expected || kinds[kind]?.native === apiName) continue;
        test(`${apiName} on ${kind}`, async () => {
          await upstream.script([{}]);
          const body = {
            ...api.ask(`${kind}/${model}`, "hi", false),
            ...Object(limits[apiName]),
            tools: tools[apiName],
            ...fields,
          };
          const response = await fetch(`${gateway.url}${api.path}`, {
            method: "POST",
            headers: bearer,
            body: JSON.stringify(body),
          });
          const answer: unknown = await response.json();
          const sent = (await upstream.ledger())[0]?.body;
          if ("error" in expected) {
            assert.equal(response.status, 400);
            assert.ok(
              api.readError(answer).includes(String(words[apiName]?.[String(expected.error)] ?? expected.error)),
              api.readError(answer),
            );
            assert.equal(sent, undefined);
            return;
          }
          assert.equal(response.status, 200, JSON.stringify(answer));
          const got: Fields = JSON.parse(sent ?? "");
          for (const [field, value] of Object.entries(expected)) assert.deepEqual(got[field], value, field);
        });
      }
  });

describe("the field that an upstream's error names", () => {
  /** By client API and kind: what the upstream says, and what the client is told. */
  const cases: [string, string, string, string | null][] = [
    ["chat-completions", "openai-responses", "max_output_tokens", "max_tokens"],
    ["chat-completions", "openai-responses", "input[2].content", "messages"],
    ["chat-completions", "openai-responses", "text.format.schema", null],
    ["chat-completions", "openai-responses", "temperature", "temperature"],
    ["responses", "openai-completions", "max_tokens", "max_output_tokens"],
    ["responses", "openai-completions", "messages[0].role", "input"],
    ["responses", "openai-completions", "response_format", "text.format"],
    ["responses", "openai-completions", "something_else", null],
  ];
  for (const [apiName, kind, said, told] of cases)
    test(`${said} of ${kind} to ${apiName}`, async () => {
      const api = Object.entries(clientApis).find(([one]) => one === apiName)?.[1];
      assert.ok(api);
      const error = { message: "this is wrong", type: "invalid_request_error", param: said, code: null };
      await upstream.script([{ status: 400, errorBody: { error } }]);
      const response = await fetch(`${gateway.url}${api.path}`, {
        method: "POST",
        headers: bearer,
        body: JSON.stringify(api.ask(`${kind}/m`, "hi", false)),
      });
      assert.equal(response.status, 400);
      const answer: unknown = await response.json();
      const got: unknown = Reflect.get(Object(answer), "error");
      assert.deepEqual([Reflect.get(Object(got), "message"), Reflect.get(Object(got), "param")], ["this is wrong", told]);
    });
});
