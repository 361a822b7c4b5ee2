// What the gateway adds to calls that pass as bytes: token counts of streams, images only for those that read them, models that are not listed.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { CallSink } from "../../../gateway/models/provider.ts";
import { askForUsage } from "../../../gateway/models/stream-usage.ts";
import { readUsage, Tail, type Usage } from "../../../gateway/models/usage.ts";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, fakeConfig, startGateway, type TestGateway, token } from "../../support/gateway.ts";

let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());

const post = (gateway: TestGateway, body: object): Promise<Response> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], ...body }),
  });

/** What the client gets and what is counted, for a stream that came in chunks of this size. */
function strip(stream: string, size: number): { text: string; usage: Usage | undefined } {
  let text = "";
  let usage: Usage | undefined;
  const sink: CallSink = {
    head() {},
    data(chunk) {
      text += chunk.toString("latin1");
      return true;
    },
    usage(told) {
      usage = told;
    },
    end() {},
    fail() {},
  };
  const call = {
    api: "chat-completions",
    model: "m",
    body: Buffer.from('{"stream":true}'),
    stream: true,
    requestId: "r",
    traceparent: undefined,
  } as const;
  const changed = askForUsage(call, sink, undefined);
  assert.deepEqual(JSON.parse(changed?.body.toString("utf8") ?? ""), { stream: true, stream_options: { include_usage: true } });
  const bytes = Buffer.from(stream);
  for (let at = 0; at < bytes.length; at += size) changed?.sink.data(bytes.subarray(at, at + size));
  changed?.sink.end();
  return { text: Buffer.from(text, "latin1").toString("utf8"), usage };
}

describe("token counts of a stream whose client did not ask for them", () => {
  const said = 'data: {"choices":[{"delta":{"content":"\\"choices\\":[] 🦀"}}],"usage":null}\n\n';
  const counts =
    'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}}\n\n';
  const filtered = 'data: {"choices":[],"prompt_filter_results":[]}\n\n';
  const done = "data: [DONE]\n\n";

  for (const size of [1, 2, 7, 64, 10_000])
    for (const crlf of [false, true])
      test(`chunks of ${size} bytes${crlf ? " with CR LF" : ""}: all but their event passes`, () => {
        const ends = (text: string): string => (crlf ? text.replaceAll("\n", "\r\n") : text);
        const { text, usage } = strip(ends(filtered + said + counts + done), size);
        assert.equal(text, ends(filtered + said + done));
        assert.deepEqual(usage, { input: 9, output: 4, cachedInput: 5 });
      });

  test("a last line without an end passes", () => {
    assert.equal(strip(`${said}data: [DONE]`, 5).text, `${said}data: [DONE]`);
  });

  test("are asked of the upstream, kept from the client, and counted", async () => {
    const gateway = await startGateway(fakeConfig(upstream.baseUrl));
    try {
      await upstream.script([{ splitBytes: 20 }]);
      const text = await (await post(gateway, { model: "fake-model", stream: true })).text();
      assert.deepEqual(JSON.parse((await upstream.ledger())[0]?.body ?? "").stream_options, { include_usage: true });
      assert.doesNotMatch(text, /"usage"/);
      assert.ok(text.endsWith("data: [DONE]\n\n"));
      const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
      assert.match(metrics, /openclaw_llm_tokens_total\{provider="fake",model="fake-model",direction="output"\} 5\n/);
      // A client that says what it wants gets just that.
      for (const include_usage of [true, false]) {
        await upstream.script([{ splitBytes: 20 }]);
        const body = { model: "fake-model", stream: true, stream_options: { include_usage } };
        await (await post(gateway, body)).text();
        assert.deepEqual(JSON.parse((await upstream.ledger())[0]?.body ?? "").stream_options, { include_usage });
      }
    } finally {
      await gateway.close();
    }
  });

  test("are not asked of a server that does not know the field", () => {
    const call = {
      api: "chat-completions",
      model: "m",
      body: Buffer.from("{}"),
      stream: true,
      requestId: "r",
      traceparent: undefined,
    } as const;
    const sink: CallSink = { head() {}, data: () => true, end() {}, fail() {} };
    assert.equal(askForUsage(call, sink, { id: "m", compat: { supportsUsageInStreaming: false } }), undefined);
    assert.equal(askForUsage({ ...call, api: "responses" }, sink, undefined), undefined);
    assert.equal(askForUsage({ ...call, stream: false }, sink, undefined), undefined);
  });
});

describe("caches in token counts", () => {
  test("Anthropic counts them beside the input, and says the input at the beginning", () => {
    const tail = new Tail(2048);
    tail.push(
      Buffer.from(
        'data: {"type":"message_start","message":{"usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}\n\n',
      ),
    );
    for (let i = 0; i < 40; i += 1) tail.push(Buffer.from(`data: ${"x".repeat(1000)}\n\n`));
    tail.push(Buffer.from('data: {"type":"message_delta","usage":{"output_tokens":15}}\n\n'));
    assert.deepEqual(readUsage(tail.text()), { input: 17, output: 15, cachedInput: 4, cacheWrite: 3 });
  });

  test("OpenAI counts them as a part of the input", () => {
    assert.deepEqual(
      readUsage('{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":8}}}'),
      {
        input: 10,
        output: 2,
        cachedInput: 8,
      },
    );
  });
});

describe("images", () => {
  const content = [{ type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }];
  const messages = [{ role: "user", content }];
  let gateway: TestGateway;

  before(async () => {
    const provider = (models: { id: string; input?: ("text" | "image")[] }[]) => ({
      api: "openai-completions" as const,
      baseUrl: upstream.baseUrl,
      models,
    });
    gateway = await startGateway({
      gateway: { auth: { token } },
      models: {
        providers: {
          one: provider([{ id: "blind", input: ["text"] }, { id: "undeclared" }]),
          two: provider([{ id: "seeing", input: ["text", "image"] }]),
          open: provider([]),
        },
      },
      plugins: {
        entries: {
          "openclaw-stack": {
            config: {
              routing: {
                pools: { some: { members: ["one/blind", "two/seeing"] }, none: { members: ["one/blind", "one/undeclared"] } },
                fallbacks: { "one/blind": ["one/undeclared", "two/seeing"] },
              },
            },
          },
        },
      },
    });
  });
  after(() => gateway.close());

  for (const [model, answering] of [
    ["some", "two/seeing"],
    ["one/blind", "two/seeing"],
    ["two/seeing", "two/seeing"],
    ["open/anything", "open/anything"],
  ])
    test(`${model}: ${answering} answers`, async () => {
      await upstream.script([{}]);
      for (let i = 0; i < 4; i += 1) {
        const response = await post(gateway, { model, messages });
        assert.equal(response.status, 200, await response.text());
        assert.equal(response.headers.get("x-openclaw-model"), answering);
      }
    });

  for (const model of ["one/undeclared", "none"])
    test(`${model}: refused, nothing is sent`, async () => {
      await upstream.script([{}]);
      const response = await post(gateway, { model, messages });
      assert.equal(response.status, 400);
      assert.match(await response.text(), /does not read images: ask one that does, or declare it/);
      assert.deepEqual(await upstream.ledger(), []);
    });

  test("texts go to all", async () => {
    await upstream.script([{}]);
    assert.equal((await post(gateway, { model: "one/blind" })).headers.get("x-openclaw-model"), "one/blind");
  });
});

test("a model that its server does not list is a 404 that names the nearest", async () => {
  const gateway = await startGateway({
    gateway: { auth: { token } },
    models: { providers: { fake: { api: "openai-completions", baseUrl: upstream.baseUrl, models: [{ id: "lama3" }] } } },
  });
  try {
    await upstream.script([{ status: 404, errorBody: { error: { message: "no such model" } } }], ["llama3", "other"]);
    await gateway.app.context.runtime().health.check();
    const response = await post(gateway, { model: "fake/lama3" });
    assert.equal(response.status, 404);
    const failure: { error?: { code?: string; message?: string } } = JSON.parse(await response.text());
    assert.equal(failure.error?.code, "model_not_found");
    assert.equal(decodeURI(response.headers.get("x-openclaw-note") ?? ""), '"lama3" is not in the list of fake');
    assert.match(failure.error.message ?? "", /did you mean "llama3"\? It lists "llama3", "other"/);
  } finally {
    await gateway.close();
    await upstream.script([{}], ["fake-model"]);
  }
});
