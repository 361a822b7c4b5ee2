/** What the official openai client must be able to do, whichever way the gateway came to be there. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { type FakeUpstream, startFakeUpstream } from "./fake-upstream.ts";

export interface Reachable {
  /** Without /v1. */
  url: string;
  token: string;
  close(): Promise<void>;
}

/** @param start brings up a gateway whose one provider "fake" serves "fake-model" at the given base URL */
export function openaiClientSuite(start: (upstreamBaseUrl: string) => Promise<Reachable>): void {
  const messages = [{ role: "user" as const, content: "hi" }];
  let upstream: FakeUpstream;
  let gateway: Reachable;
  let client: OpenAI;

  before(async () => {
    upstream = await startFakeUpstream();
    gateway = await start(upstream.baseUrl);
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.token, maxRetries: 0 });
  });
  after(async () => {
    await gateway?.close();
    await upstream.close();
  });

  test("list and retrieve", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ["fake/fake-model"]);
    assert.equal((await client.models.retrieve("fake/fake-model")).owned_by, "fake");
  });

  test("chat", async () => {
    await upstream.script([{}]);
    const answer = await client.chat.completions.create({ model: "fake/fake-model", messages });
    assert.equal(answer.choices[0]?.message.content, "Hello from the fake model");
    assert.equal(answer.usage?.completion_tokens, 5);
  });

  test("streaming: the first delta arrives before the server sends its second", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const stream = await client.chat.completions.create({ model: "fake-model", messages, stream: true });
    const deltas: string[] = [];
    for await (const chunk of stream) {
      if (deltas.length === 0) {
        assert.equal((await upstream.ledger())[0]?.sentChunks, 1);
        await upstream.open("stream");
      }
      deltas.push(chunk.choices[0]?.delta.content ?? "");
    }
    assert.equal(deltas.join(""), "Hello from the fake model");
  });

  test("a stream that breaks is an error to the client, not an end", async () => {
    await upstream.script([{ cutAfterChunks: 2 }]);
    const stream = await client.chat.completions.create({ model: "fake-model", messages, stream: true });
    await assert.rejects(async () => {
      for await (const _ of stream);
    });
  });

  test("wrong token", async () => {
    const stranger = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "wrong", maxRetries: 0 });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  });

  test("unknown model", async () => {
    await assert.rejects(client.chat.completions.create({ model: "fake-modle", messages }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.match(error.message, /Did you mean "fake-model"\?/);
      return true;
    });
  });

  test("a client that aborts its stream aborts the upstream's", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const stream = await client.chat.completions.create({ model: "fake-model", messages, stream: true });
    for await (const _ of stream) break;
    assert.equal((await upstream.waitFor("aborted"))[0]?.state, "aborted");
  });
}
