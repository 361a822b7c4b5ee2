// The official openai client against each provider kind: chat and responses, as a whole and streamed.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../support/gateway.ts";
import { kinds } from "../support/translations.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
let client: OpenAI;

before(async () => {
  upstream = await startFakeUpstream();
  const providers: NonNullable<NonNullable<ConfigInput["models"]>["providers"]> = {};
  for (const [api, { base }] of Object.entries(kinds))
    Object.assign(providers, { [api]: { api, baseUrl: `http://127.0.0.1:${upstream.port}${base}`, models: ["m"] } });
  gateway = await startGateway({ gateway: { auth: { token } }, models: { providers } });
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: token, maxRetries: 0 });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const messages = [{ role: "user" as const, content: "hi" }];
const rich: Behaviour = { words: ["Grüezi", " wohl"], calls: [{ id: "call_1", name: "weather", arguments: { city: "Bern" } }] };

for (const kind of Object.keys(kinds)) {
  describe(kind, () => {
    const model = `${kind}/m`;

    test("chat", async () => {
      await upstream.script([rich]);
      const answer = await client.chat.completions.create({ model, messages });
      const [choice] = answer.choices;
      assert.equal(choice?.message.content, "Grüezi wohl");
      assert.equal(choice.finish_reason, "tool_calls");
      const [call] = choice.message.tool_calls ?? [];
      assert.ok(call?.type === "function");
      assert.deepEqual([call.function.name, call.function.arguments], ["weather", '{"city":"Bern"}']);
      assert.equal(answer.usage?.prompt_tokens, 7);
    });

    test("chat, streamed", async () => {
      await upstream.script([rich]);
      const stream = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
      const answer = await stream.finalChatCompletion();
      assert.equal(answer.choices[0]?.message.content, "Grüezi wohl");
      assert.equal(answer.choices[0].message.tool_calls?.length, 1);
      assert.equal(answer.usage?.completion_tokens, 3);
    });

    test("responses", async () => {
      await upstream.script([rich]);
      const answer = await client.responses.create({ model, input: "hi" });
      assert.equal(answer.output_text, "Grüezi wohl");
      assert.equal(answer.status, "completed");
      const call = answer.output.find((item) => item.type === "function_call");
      assert.equal(call?.arguments, '{"city":"Bern"}');
    });

    test("responses, streamed", async () => {
      await upstream.script([{ words: ["Grüezi", " wohl"] }]);
      const stream = client.responses.stream({ model, input: "hi" });
      const deltas: string[] = [];
      stream.on("response.output_text.delta", (event) => deltas.push(event.delta));
      const answer = await stream.finalResponse();
      assert.deepEqual(deltas, ["Grüezi", " wohl"]);
      assert.equal(answer.output_text, "Grüezi wohl");
      assert.equal(answer.usage?.output_tokens, 2);
    });

    test("an error has the client's class", async () => {
      await upstream.script([{ status: 400, errorBody: kinds[kind]?.error("too hot") }]);
      await assert.rejects(client.responses.create({ model, input: "hi" }), OpenAI.BadRequestError);
    });
  });
}
