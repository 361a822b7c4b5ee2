// Every client API on every provider kind: what is sent upstream, and what comes back, as a whole and streamed.
// Fixtures follow the published types: openai (resources/chat/completions, resources/responses), @anthropic-ai/sdk
// (resources/messages) and Ollama's docs/api.md; the upstream's side is in test/support/fake-upstream-wire.ts.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, startGateway, type TestGateway, token } from "../support/gateway.ts";
import { type ClientName, clientApis, kinds } from "../support/translations.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;

before(async () => {
  upstream = await startFakeUpstream();
  const providers: NonNullable<NonNullable<ConfigInput["models"]>["providers"]> = {};
  for (const [api, { base }] of Object.entries(kinds))
    Object.assign(providers, {
      [api]: {
        api,
        baseUrl: `http://127.0.0.1:${upstream.port}${base}`,
        apiKey: "upstream-key",
        models: [
          { id: "m", input: ["text", "image"] },
          { id: "blind", input: ["text"] },
        ],
      },
    });
  gateway = await startGateway({ gateway: { auth: { token } }, models: { providers } });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const post = (path: string, body: object): Promise<Response> =>
  fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const call = { id: "call_1", name: "weather", arguments: { city: "Zürich 🏔️" } };
const rich: Behaviour = { thoughts: ["Let me", " see"], words: ["Grüezi", " 🦀", " wohl"], calls: [call] };

for (const kind of Object.keys(kinds)) {
  for (const [name, api] of Object.entries(clientApis)) {
    describe(`${name} on ${kind}`, () => {
      const expected = {
        text: "Grüezi 🦀 wohl",
        reasoning: "Let me see",
        calls: [{ name: "weather", arguments: call.arguments }],
        finish: "tools",
      };

      test("as a whole", async () => {
        await upstream.script([rich]);
        const response = await post(api.path, api.ask(`${kind}/m`, "hi", false));
        const body: unknown = await response.json();
        assert.equal(response.status, 200, JSON.stringify(body));
        const { usage, ...said } = api.read(body);
        assert.deepEqual(said, expected);
        assert.deepEqual(usage, { input: 7, output: 6 });
      });

      for (const [how, shape] of [
        ["streamed", {}],
        ["streamed in odd chunks", { splitBytes: 7 }],
        ["streamed byte by byte with CR LF", { splitBytes: 1, crlf: true }],
        ["streamed by a server that does not stream", { ignoreStream: true }],
      ] as const) {
        test(how, async () => {
          // What passes as bytes stays as it is.
          if (kinds[kind]?.native === name && how.endsWith("not stream")) return;
          await upstream.script([{ ...rich, ...shape }]);
          const response = await post(api.path, api.ask(`${kind}/m`, "hi", true));
          assert.equal(response.status, 200);
          const { usage, ...said } = api.readStream(await response.text());
          assert.deepEqual(said, expected);
          assert.deepEqual(usage, { input: 7, output: 6 });
        });
      }

      test("the limit was reached", async () => {
        await upstream.script([{ words: ["one"], finish: "length" }]);
        const whole = api.read(await (await post(api.path, api.ask(`${kind}/m`, "hi", false))).json());
        assert.deepEqual([whole.text, whole.finish], ["one", "length"]);
        const streamed = api.readStream(await (await post(api.path, api.ask(`${kind}/m`, "hi", true))).text());
        assert.deepEqual([streamed.text, streamed.finish], ["one", "length"]);
      });

      test("tools, an image, a tool's result and a schema arrive upstream", async () => {
        await upstream.script([{}]);
        const response = await post(api.path, api.askMuch(`${kind}/m`));
        assert.equal(response.status, 200, await response.clone().text());
        const [entry] = await upstream.ledger();
        assert.deepEqual(kinds[kind]?.heard(JSON.parse(entry?.body ?? "")), {
          model: "m",
          system: "Be brief",
          texts: ["What is this?", "Thanks"],
          image: "aGk=",
          tool: "weather",
          call: call.arguments,
          result: "12 °C",
          schema: "answer",
          maxTokens: 100,
          temperature: 0.5,
        });
        assert.equal(entry?.path, kinds[kind]?.path ?? entry?.path);
      });

      test("an upstream's refusal keeps its text, in the shape of the API that was called", async () => {
        const errorBody = kinds[kind]?.error("temperature is too hot");
        await upstream.script([{ status: 400, errorBody }]);
        const response = await post(api.path, api.ask(`${kind}/m`, "hi", true));
        assert.equal(response.status, 400);
        assert.match(api.readError(await response.json()), /temperature is too hot/);
      });

      test("a stream that ends without its terminator is no end", async () => {
        if (kinds[kind]?.native === name) return;
        await upstream.script([{ cutAfterChunks: 4 }]);
        const response = await post(api.path, api.ask(`${kind}/m`, "hi", true));
        // Before the first piece the failure is told by the status, later by a broken connection.
        if (response.status !== 200) assert.equal(response.status, 502);
        else await assert.rejects(response.text());
      });
    });
  }
}

const cannot: readonly [ClientName, string, object, string][] = [
  ["chat-completions", "anthropic-messages", { seed: 1 }, "seed"],
  ["chat-completions", "anthropic-messages", { n: 2 }, "n"],
  ["chat-completions", "anthropic-messages", { logit_bias: { 1: 2 } }, "logit_bias"],
  ["chat-completions", "anthropic-messages", { response_format: { type: "json_object" } }, "response_format"],
  ["chat-completions", "openai-responses", { stop: ["x"] }, "stop"],
  ["responses", "anthropic-messages", { previous_response_id: "resp_1" }, "previous_response_id"],
  ["messages", "openai-completions", { container: "x" }, "container"],
  ["messages", "openai-completions", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, "tools[0].type"],
];
for (const [name, kind, more, field] of cannot) {
  test(`${name} on ${kind}: ${field} cannot be translated, and the error says so`, async () => {
    if (!(kind in kinds)) return;
    const response = await post(clientApis[name].path, { ...clientApis[name].ask(`${kind}/m`, "hi", false), ...more });
    assert.equal(response.status, 400);
    assert.ok(clientApis[name].readError(await response.json()).includes(field));
  });
}

test("the first piece is sent on before the upstream sends its last", async () => {
  await upstream.script([{ gateAt: 5 }]);
  const response = await post("/v1/chat/completions", clientApis["chat-completions"].ask("anthropic-messages/m", "hi", true));
  const reader = response.body?.getReader();
  let text = "";
  while (!text.includes("Hello")) {
    const next = await reader?.read();
    assert.ok(next && !next.done);
    text += Buffer.from(next.value).toString("utf8");
  }
  await upstream.open("stream");
  await reader?.cancel();
});

test("a client that leaves a translated stream aborts the upstream's", async () => {
  await upstream.script([{ hang: "before-headers" }]);
  const abort = new AbortController();
  const pending = fetch(`${gateway.url}/v1/messages`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: JSON.stringify(clientApis.messages.ask("openai-completions/m", "hi", true)),
    signal: abort.signal,
  });
  await upstream.waitFor("open");
  abort.abort();
  await assert.rejects(pending.then((response) => response.text()));
  assert.equal((await upstream.waitFor("aborted"))[0]?.state, "aborted");
});

test("tokens are counted in every API", async () => {
  await upstream.script([{}]);
  for (const kind of Object.keys(kinds))
    for (const api of Object.values(clientApis)) await (await post(api.path, api.ask(`${kind}/m`, "hi", true))).text();
  const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
  for (const kind of Object.keys(kinds))
    assert.match(metrics, new RegExp(`openclaw_llm_tokens_total\\{provider="${kind}",model="m",direction="output"\\} [1-9]`));
});

describe("count_tokens", () => {
  const body = { messages: [{ role: "user", content: "How many tokens are in this sentence?" }] };

  test("is asked of a provider that can count", async () => {
    await upstream.script([{ answer: { input_tokens: 14 } }]);
    const response = await post("/v1/messages/count_tokens", { model: "anthropic-messages/m", ...body });
    assert.deepEqual(await response.json(), { input_tokens: 14 });
    assert.equal((await upstream.ledger())[0]?.path, "/v1/messages/count_tokens");
  });

  test("is estimated for the others, and says so", async () => {
    const response = await post("/v1/messages/count_tokens", { model: "openai-completions/m", ...body });
    assert.deepEqual(await response.json(), { input_tokens: 14, estimated: true });
  });
});

for (const [name, api] of Object.entries(clientApis)) {
  test(`${name}: an image for a model that reads none is refused, and nothing is sent`, async () => {
    await upstream.script([{}]);
    for (const kind of Object.keys(kinds)) {
      const response = await post(api.path, api.askMuch(`${kind}/blind`));
      assert.equal(response.status, 400);
      assert.match(api.readError(await response.json()), /blind does not read images/);
    }
    assert.deepEqual(await upstream.ledger(), []);
    assert.equal((await post(api.path, api.ask("openai-completions/blind", 'the word "image"', false))).status, 200);
  });

  test(`${name} on the demonstration`, async () => {
    const demo = await startGateway({
      plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true, delayMs: 0 } } } } },
    });
    try {
      for (const stream of [false, true]) {
        const response = await fetch(`${demo.url}${api.path}`, {
          method: "POST",
          body: JSON.stringify(api.ask("demo", "hi", stream)),
        });
        const heard = stream ? api.readStream(await response.text()) : api.read(await response.json());
        assert.match(heard.text, /^This is the demonstration model/);
        assert.equal(heard.finish, "stop");
      }
    } finally {
      await demo.close();
    }
  });
}

describe("embeddings, completions, rerank", () => {
  for (const path of ["/v1/embeddings", "/v1/completions", "/v1/rerank"]) {
    test(`${path} passes to a provider that has it`, async () => {
      await upstream.script([{ answer: { object: "list", data: [{ index: 0, embedding: [0.5] }] } }]);
      const response = await post(path, { model: "openai-completions/m", input: "x" });
      assert.deepEqual(await response.json(), { object: "list", data: [{ index: 0, embedding: [0.5] }] });
      const [entry] = await upstream.ledger();
      assert.deepEqual([entry?.path, JSON.parse(entry?.body ?? "")], [path, { model: "m", input: "x" }]);
    });
  }

  test("a provider that has none says so", async () => {
    const response = await post("/v1/embeddings", { model: "anthropic-messages/m", input: "x" });
    assert.equal(response.status, 400);
    assert.match(clientApis["chat-completions"].readError(await response.json()), /does not offer embeddings/);
  });
});

describe("Anthropic's shape of errors", () => {
  for (const [name, path, body, status, type] of [
    ["no such model", "/v1/messages", { model: "nope", messages: [], max_tokens: 1 }, 404, "not_found_error"],
    [
      "a wrong field",
      "/v1/messages",
      { model: "openai-completions/m", messages: 5, max_tokens: 1 },
      400,
      "invalid_request_error",
    ],
    ["a wrong path below", "/v1/messages/nothing", {}, 404, "not_found_error"],
  ] as const) {
    test(name, async () => {
      const response = await post(path, body);
      const failure: unknown = await response.json();
      assert.equal(response.status, status);
      assert.equal(Reflect.get(Object(failure), "type"), "error");
      assert.equal(Reflect.get(Object(Reflect.get(Object(failure), "error")), "type"), type);
    });
  }

  test("headers of the API go on to a provider that speaks it, credentials of the client do not", async () => {
    await upstream.script([{}]);
    await fetch(`${gateway.url}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": token, "anthropic-version": "2023-01-01", "anthropic-beta": "a,b" },
      body: JSON.stringify(clientApis.messages.ask("anthropic-messages/m", "hi", false)),
    });
    const headers = (await upstream.ledger())[0]?.headers;
    assert.deepEqual(
      [headers?.["anthropic-version"], headers?.["anthropic-beta"], headers?.["x-api-key"], headers?.authorization],
      ["2023-01-01", "a,b", "upstream-key", undefined],
    );
  });
});
