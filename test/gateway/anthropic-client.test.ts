// The official Anthropic client, unchanged, against each provider kind: messages as a whole and streamed, tools, images, counts, errors.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../support/gateway.ts";
import { everyKind, kinds } from "../support/translations.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
let client: Anthropic;
before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(everyKind(upstream.port));
  client = new Anthropic({ baseURL: gateway.url, apiKey: token, maxRetries: 0 });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const calls = [
  { id: "call_1", name: "weather", arguments: { city: "Bern" } },
  { id: "call_2", name: "weather", arguments: { city: "Zürich" } },
];
const tools: Anthropic.Tool[] = [
  { name: "weather", description: "the weather", input_schema: { type: "object", properties: { city: { type: "string" } } } },
];
const png: Anthropic.ImageBlockParam = { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } };

for (const kind of Object.keys(kinds)) {
  describe(`@anthropic-ai/sdk on ${kind}`, () => {
    const ask = (content: Anthropic.MessageParam["content"], model = `${kind}/m`) => ({
      model,
      max_tokens: 100,
      messages: [{ role: "user" as const, content }],
    });

    test("a message with thoughts and tools", async () => {
      await upstream.script([{ thoughts: ["Let me"], words: ["Grüezi"], calls }]);
      const message = await client.messages.create({ ...ask("hi"), tools });
      assert.deepEqual(
        message.content.map((block) => block.type),
        ["thinking", "text", "tool_use", "tool_use"],
      );
      const used = message.content.flatMap((block) => (block.type === "tool_use" ? [block.input] : []));
      assert.deepEqual(used, [{ city: "Bern" }, { city: "Zürich" }]);
      assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["tool_use", 4]);
    });

    test("streamed", async () => {
      await upstream.script([{ words: ["Grüezi", " wohl"], calls, splitBytes: 11 }]);
      const stream = client.messages.stream({ ...ask("hi"), tools });
      const pieces: string[] = [];
      stream.on("text", (piece) => pieces.push(piece));
      const message = await stream.finalMessage();
      assert.deepEqual(
        pieces.filter((piece) => piece !== ""),
        ["Grüezi", " wohl"],
      );
      const used = message.content.flatMap((block) => (block.type === "tool_use" ? [block.input] : []));
      assert.deepEqual(used, [{ city: "Bern" }, { city: "Zürich" }]);
      assert.equal(message.stop_reason, "tool_use");
      assert.equal(message.usage.output_tokens, 4);
    });

    test("a conversation goes on with a tool's result and an image", async () => {
      await upstream.script([{ words: ["Cold"] }]);
      const message = await client.messages.create({
        ...ask([{ type: "text", text: "What is this?" }, png]),
        messages: [
          ...ask([{ type: "text", text: "What is this?" }, png]).messages,
          { role: "assistant", content: [{ type: "tool_use", id: "call_1", name: "weather", input: { city: "Bern" } }] },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", content: "2 °C" }] },
        ],
        tools,
      });
      assert.equal(message.content[0]?.type === "text" && message.content[0].text, "Cold");
      const body = (await upstream.ledger())[0]?.body ?? "";
      assert.match(body, /aGk=/);
      assert.match(body, /2 °C/);
    });

    test("tokens are counted", async () => {
      await upstream.script([{ answer: { input_tokens: 2 } }]);
      assert.ok((await client.messages.countTokens({ model: `${kind}/m`, messages: ask("hello").messages })).input_tokens > 0);
    });

    test("errors have the client's classes", async () => {
      await upstream.script([{ status: 400, errorBody: kinds[kind]?.error("too hot") }]);
      await assert.rejects(
        client.messages.create(ask("hi")),
        (error) => error instanceof Anthropic.BadRequestError && /too hot/.test(error.message),
      );
      await upstream.script([{ status: 429, headers: { "retry-after": "1" } }]);
      await assert.rejects(client.messages.create(ask("hi")), Anthropic.RateLimitError);
      await assert.rejects(client.messages.create(ask([png], `${kind}/blind`)), /does not read images/);
      await assert.rejects(client.messages.create(ask("hi", `${kind}/nothing`)), Anthropic.NotFoundError);
      const stranger = new Anthropic({ baseURL: gateway.url, apiKey: "wrong", maxRetries: 0 });
      await assert.rejects(stranger.messages.create(ask("hi")), Anthropic.AuthenticationError);
    });

    test("a stream that breaks is an error, not an end", async () => {
      await upstream.script([{ cutAfterChunks: 4 }]);
      await assert.rejects(client.messages.stream(ask("hi")).finalMessage());
    });
  });
}
