// Completions of a text and embeddings on every provider kind: native, or translated; what cannot be said is named.
// Shapes: https://platform.openai.com/docs/api-reference/completions and …/embeddings (CompletionCreateParams, CreateEmbeddingResponse of openai),
// https://github.com/ollama/ollama/blob/main/docs/api.md (GenerateRequest, EmbedRequest of ollama)
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../../support/gateway.ts";
import { everyKind, kinds } from "../../support/translations.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
let client: OpenAI;
before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(everyKind(upstream.port));
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: token, maxRetries: 0 });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const native = ["openai-completions", "openai-responses"];

for (const kind of Object.keys(kinds)) {
  describe(`completions on ${kind}`, () => {
    const model = `${kind}/m`;

    test("as a whole", async () => {
      await upstream.script([{ words: ["Grüezi", " 🦀"], finish: "length" }]);
      const answer = await client.completions.create({ model, prompt: "Say", max_tokens: 5 });
      assert.deepEqual(
        [answer.object, answer.choices[0]?.text, answer.choices[0]?.finish_reason],
        ["text_completion", "Grüezi 🦀", "length"],
      );
      assert.deepEqual([answer.usage?.prompt_tokens, answer.usage?.completion_tokens], [7, 2]);
    });

    test("streamed, with and without token counts", async () => {
      for (const include_usage of [true, false]) {
        await upstream.script([{ words: ["Grüezi", " 🦀"], splitBytes: 5 }]);
        const stream = await client.completions.create({
          model,
          prompt: "Say",
          stream: true,
          stream_options: { include_usage },
        });
        let text = "";
        let counted = 0;
        for await (const chunk of stream) {
          text += chunk.choices[0]?.text ?? "";
          counted += chunk.usage ? 1 : 0;
        }
        assert.equal(text, "Grüezi 🦀");
        if (include_usage || !native.includes(kind)) assert.equal(counted, include_usage ? 1 : 0);
      }
    });

    for (const [field, value] of Object.entries({
      echo: true,
      logprobs: 2,
      best_of: 3,
      n: 2,
      prompt: ["one", "two"],
      suffix: "end",
    }))
      test(`${field} passes, or is an error that names it`, async () => {
        await upstream.script([{}]);
        const asked = client.completions.create({ model, prompt: "Say", [field]: value });
        if (native.includes(kind) || (field === "suffix" && kind === "ollama")) {
          await asked;
          assert.deepEqual(JSON.parse((await upstream.ledger())[0]?.body ?? "")[field], value);
          return;
        }
        await assert.rejects(asked, (error) => error instanceof OpenAI.BadRequestError && error.param === field);
        assert.deepEqual(await upstream.ledger(), []);
      });
  });
}

test("ollama: a completion is asked of /api/generate", async () => {
  await upstream.script([{}]);
  await client.completions.create({ model: "ollama/m", prompt: ["Say"], max_tokens: 9, temperature: 0.1 });
  const [entry] = await upstream.ledger();
  assert.equal(entry?.path, "/api/generate");
  assert.deepEqual(JSON.parse(entry.body), {
    model: "m",
    prompt: "Say",
    options: { num_predict: 9, temperature: 0.1 },
    stream: false,
  });
});

describe("embeddings on ollama", () => {
  const answer = {
    model: "m",
    embeddings: [
      [0.5, -1],
      [0.25, 2],
    ],
    prompt_eval_count: 9,
  };

  test("as the official client asks for them, in base64", async () => {
    await upstream.script([{ answer }]);
    const embeddings = await client.embeddings.create({ model: "ollama/m", input: ["a", "b"], dimensions: 2 });
    assert.deepEqual(
      embeddings.data.map(({ embedding, index }) => [index, [...embedding]]),
      [
        [0, [0.5, -1]],
        [1, [0.25, 2]],
      ],
    );
    assert.equal(embeddings.usage.prompt_tokens, 9);
    const [entry] = await upstream.ledger();
    assert.deepEqual(
      [entry?.path, JSON.parse(entry?.body ?? "")],
      ["/api/embed", { model: "m", input: ["a", "b"], dimensions: 2 }],
    );
  });

  test("as numbers, of one text; tokens are refused", async () => {
    await upstream.script([{ answer }]);
    const embeddings = await client.embeddings.create({ model: "ollama/m", input: "a", encoding_format: "float" });
    assert.deepEqual(embeddings.data[0]?.embedding, [0.5, -1]);
    await assert.rejects(client.embeddings.create({ model: "ollama/m", input: [1, 2] }), /input\[0\]/);
  });

  test("a failure keeps its text", async () => {
    await upstream.script([{ status: 404, errorBody: { error: 'model "m" not found, try pulling it first' } }]);
    await assert.rejects(client.embeddings.create({ model: "ollama/m", input: "a" }), /try pulling it first/);
  });
});

test("ollama: the address may be the server's, that of its chat completions, or that of its API", async () => {
  for (const suffix of ["", "/", "/v1", "/v1/", "/api"]) {
    const one = await startGateway({
      gateway: { auth: { token } },
      models: { providers: { o: { api: "ollama", baseUrl: `http://127.0.0.1:${upstream.port}${suffix}` } } },
    });
    try {
      await upstream.script([{}], ["llama3.2:latest"]);
      const other = new OpenAI({ baseURL: `${one.url}/v1`, apiKey: token, maxRetries: 0 });
      const answer = await other.chat.completions.create({ model: "o/any", messages: [{ role: "user", content: "hi" }] });
      assert.equal(answer.choices[0]?.message.content, "Hello from the fake model");
      assert.equal((await upstream.ledger())[0]?.path, "/api/chat");
      await one.app.context.runtime().health.check();
      assert.deepEqual(
        (await other.models.list()).data.map(({ id }) => id),
        ["o/llama3.2:latest"],
      );
    } finally {
      await one.close();
    }
  }
});

test("ollama: an image's address is refused by its field", async () => {
  const image_url = { url: "https://example.org/a.png" };
  const asked = client.chat.completions.create({
    model: "ollama/m",
    messages: [{ role: "user", content: [{ type: "image_url", image_url }] }],
  });
  await assert.rejects(
    asked,
    (error) => error instanceof OpenAI.BadRequestError && error.param === "messages[0].content[0].image_url.url",
  );
});
