// The official openai client of PyPI, unchanged, against each provider kind: chat and responses, streams, tools, images, structured output, errors.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../support/gateway.ts";
import { runPython } from "../support/python-openai.ts";
import { everyKind, kinds } from "../support/translations.ts";

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

/** Prints one JSON object: what the client made of each answer, in the order of the script. */
const program = `
import json, sys, openai
model = sys.argv[1]
client = openai.OpenAI(max_retries=0)
said = {}
messages = [{"role": "user", "content": "hi"}]
tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
picture = {"url": "data:image/png;base64,aGk="}

answer = client.chat.completions.create(model=model, messages=messages, tools=tools)
choice = answer.choices[0]
said["chat"] = [choice.message.content, choice.finish_reason, json.loads(choice.message.tool_calls[0].function.arguments), answer.usage.completion_tokens]

with client.chat.completions.stream(model=model, messages=messages, stream_options={"include_usage": True}) as stream:
    stream.until_done()
    final = stream.get_final_completion()
    said["chat stream"] = [final.choices[0].message.content, json.loads(final.choices[0].message.tool_calls[0].function.arguments), final.usage.completion_tokens]

answer = client.responses.create(model=model, input="hi")
call = [item for item in answer.output if item.type == "function_call"][0]
said["responses"] = [answer.output_text, json.loads(call.arguments), answer.usage.output_tokens]

with client.responses.stream(model=model, input="hi") as stream:
    stream.until_done()
    final = stream.get_final_response()
    said["responses stream"] = [final.output_text, final.status]

content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": picture}]
conversation = [
    {"role": "user", "content": content},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "2 degrees"},
]
schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}
answer = client.chat.completions.create(model=model, messages=conversation, tools=tools, response_format=schema, max_tokens=50)
said["much"] = answer.choices[0].message.content

answer = client.completions.create(model=model, prompt="Say", max_tokens=5)
said["completions"] = answer.choices[0].text

for name, ask in {
    "refused": lambda: client.chat.completions.create(model=model, messages=messages),
    "limited": lambda: client.responses.create(model=model, input="hi"),
    "broken": lambda: list(client.chat.completions.create(model=model, messages=messages, stream=True)),
    "blind": lambda: client.chat.completions.create(model=model.replace("/m", "/blind"), messages=[{"role": "user", "content": content}]),
    "unknown": lambda: client.chat.completions.create(model="nothing-of-that-name", messages=messages),
    "stranger": lambda: openai.OpenAI(api_key="wrong", max_retries=0).models.list(),
}.items():
    try:
        ask()
        said[name] = "no error"
    except Exception as error:
        said[name] = type(error).__name__
print(json.dumps(said))
`;

const rich = { words: ["Grüezi", " 🦀"], calls: [{ id: "call_1", name: "weather", arguments: { city: "Bern" } }] };

for (const kind of Object.keys(kinds))
  test(`openai of PyPI on ${kind}`, async () => {
    await upstream.script([
      rich,
      rich,
      rich,
      { words: ["Grüezi", " 🦀"] },
      { words: ["Cold"] },
      { words: ["so"] },
      { status: 400, errorBody: kinds[kind]?.error("too hot") },
      { status: 429, headers: { "retry-after": "0" } },
      { cutAfterChunks: 2 },
    ]);
    const said: Record<string, unknown> = Object(
      await runPython(program, [`${kind}/m`], { OPENAI_BASE_URL: `${gateway.url}/v1`, OPENAI_API_KEY: token }),
    );
    // A stream that is cut before anything of it was said is an answer with an error's status.
    assert.ok(
      ["APIError", "APIConnectionError", "InternalServerError", "RemoteProtocolError"].includes(String(said.broken)),
      String(said.broken),
    );
    assert.deepEqual(
      { ...said, broken: "" },
      {
        chat: ["Grüezi 🦀", "tool_calls", { city: "Bern" }, 3],
        "chat stream": ["Grüezi 🦀", { city: "Bern" }, 3],
        responses: ["Grüezi 🦀", { city: "Bern" }, 3],
        "responses stream": ["Grüezi 🦀", "completed"],
        much: "Cold",
        completions: "so",
        refused: "BadRequestError",
        limited: "RateLimitError",
        broken: "",
        blind: "BadRequestError",
        unknown: "NotFoundError",
        stranger: "AuthenticationError",
      },
    );
    const much = (await upstream.ledger())[4]?.body ?? "";
    assert.match(much, /aGk=/);
    assert.match(much, /2 degrees/);
  });
