// LangChain, unchanged, against each provider kind: invoke, stream, tools, structured output, images, embeddings, errors.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type AIMessageChunk, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../support/gateway.ts";
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

const calls = [{ id: "call_1", name: "weather", arguments: { city: "Bern" } }];
const weather = { name: "weather", description: "the weather", schema: z.object({ city: z.string() }) };

for (const kind of Object.keys(kinds)) {
  for (const useResponsesApi of [false, true]) {
    describe(`@langchain/openai by ${useResponsesApi ? "responses" : "chat"} on ${kind}`, () => {
      const model = (name = "m") =>
        new ChatOpenAI({
          model: `${kind}/${name}`,
          apiKey: token,
          maxRetries: 0,
          useResponsesApi,
          configuration: { baseURL: `${gateway.url}/v1` },
        });

      test("invoke and stream", async () => {
        await upstream.script([{ words: ["Grüezi", " wohl"], splitBytes: 40 }]);
        const answer = await model().invoke("hi");
        assert.equal(answer.text, "Grüezi wohl");
        assert.equal(answer.usage_metadata?.output_tokens, 2);
        let whole: AIMessageChunk | undefined;
        for await (const chunk of await model().stream("hi")) whole = whole ? whole.concat(chunk) : chunk;
        assert.equal(whole?.text, "Grüezi wohl");
        assert.equal(whole?.usage_metadata?.output_tokens, 2);
      });

      test("tools, and their results", async () => {
        await upstream.script([{ words: [], calls }, { words: [], calls }, { words: ["Cold"] }]);
        const withTools = model().bindTools([weather]);
        const asked = new HumanMessage("How is the weather?");
        const answer = await withTools.invoke([asked]);
        assert.deepEqual(
          answer.tool_calls?.map(({ name, args }) => [name, args]),
          [["weather", { city: "Bern" }]],
        );
        let whole: AIMessageChunk | undefined;
        for await (const chunk of await withTools.stream([asked])) whole = whole ? whole.concat(chunk) : chunk;
        assert.deepEqual(whole?.tool_calls?.[0]?.args, { city: "Bern" });
        const result = new ToolMessage({ tool_call_id: answer.tool_calls?.[0]?.id ?? "", content: "2 °C" });
        assert.equal((await withTools.invoke([asked, answer, result])).text, "Cold");
        assert.match((await upstream.ledger()).at(-1)?.body ?? "", /2 °C/);
      });

      test("structured output", async () => {
        await upstream.script([{ words: ['{"city":', '"Bern"}'] }]);
        const structured = model().withStructuredOutput(weather.schema, { name: "place", method: "jsonSchema" });
        assert.deepEqual(await structured.invoke("Where?"), { city: "Bern" });
        assert.match((await upstream.ledger())[0]?.body ?? "", /"city":\{"type":"string"/);
      });

      test("images, and an error for a model that reads none", async () => {
        await upstream.script([{ words: ["a cat"] }]);
        const content = [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } },
        ];
        assert.equal((await model().invoke([new HumanMessage({ content })])).text, "a cat");
        assert.match((await upstream.ledger())[0]?.body ?? "", /aGk=/);
        await assert.rejects(model("blind").invoke([new HumanMessage({ content })]), /does not read images/);
      });

      test("an upstream's refusal", async () => {
        await upstream.script([{ status: 400, errorBody: kinds[kind]?.error("too hot") }]);
        await assert.rejects(model().invoke("hi"), /too hot/);
      });
    });
  }
}

test("embeddings on a provider of another API", async () => {
  await upstream.script([{ answer: { model: "m", embeddings: [[0.5, -1]], prompt_eval_count: 1 } }]);
  const embeddings = new OpenAIEmbeddings({
    model: "ollama/m",
    apiKey: token,
    maxRetries: 0,
    configuration: { baseURL: `${gateway.url}/v1` },
  });
  assert.deepEqual(await embeddings.embedQuery("hi"), [0.5, -1]);
});
