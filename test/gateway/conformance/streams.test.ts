// Every documented stream to every client API, cut in odd ways; the official SDKs' own stream readers and strict shapes judge what comes out.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, startGateway, type TestGateway, token } from "../../support/gateway.ts";
import { type ClientName, clientApis, everyKind, kinds } from "../../support/translations.ts";
import type { Expected } from "./fixture.ts";
import { fixtures } from "./fixtures.ts";
import { checkEvents } from "./shapes.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
let openai: OpenAI;
let anthropic: Anthropic;
before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(everyKind(upstream.port));
  openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: token, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: gateway.url, apiKey: token, maxRetries: 0 });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const cuts = {
  "as it comes": {},
  "byte by byte": { splitBytes: 1 },
  "in threes with CR LF": { splitBytes: 3, crlf: true },
} as const;

/** What the SDK of the API makes of the stream. */
const read: { [api in ClientName]: (model: string) => Promise<unknown> } = {
  "chat-completions": (model) =>
    openai.chat.completions
      .stream({ model, messages: [{ role: "user", content: "hi" }], stream_options: { include_usage: true } })
      .finalChatCompletion(),
  messages: (model) =>
    anthropic.messages.stream({ model, max_tokens: 100, messages: [{ role: "user", content: "hi" }] }).finalMessage(),
  responses: (model) => openai.responses.stream({ model, input: "hi" }).finalResponse(),
};

for (const { kind, name, source, type, stream, expected } of fixtures) {
  describe(`${kind}: ${name} (${source})`, () => {
    for (const [apiName, api] of Object.entries(clientApis)) {
      const same = kinds[kind]?.native === apiName;
      for (const [how, cut] of Object.entries(cuts)) {
        test(`to ${apiName}, ${how}`, async () => {
          await upstream.script([{ recorded: { type, text: stream }, ...cut }]);
          const response = await ask(api.path, api.ask(`${kind}/m`, "hi", true));
          if (expected.failure && !same) return fails(response, expected.failure);
          // What is of the same shape passes as it is, to the byte; what has no end of its own breaks off, with an error event.
          if (same) {
            const passed = "crlf" in cut ? stream.replaceAll("\n", "\r\n") : stream;
            const { text, broken } = await drain(response);
            assert.equal(text.slice(0, passed.length), passed);
            assert.equal(broken, text.length > passed.length);
            return;
          }
          const text = await response.text();
          checkEvents(apiName, text);
          assert.deepEqual(sortless(api.readStream(text)), sortless(expected));
        });
      }

      if (!expected.failure)
        test(`to the SDK's ${apiName}`, async () => {
          await upstream.script([{ recorded: { type, text: stream } }]);
          const heard = api.read(await sdkRead(apiName, `${kind}/m`));
          // The SDK's answer keeps only what its types know.
          assert.deepEqual({ ...heard, reasoning: expected.reasoning }, { ...expected, usage: heard.usage });
          assert.deepEqual(heard.usage, expected.usage);
        });
    }
  });
}

const sdkRead = (name: string, model: string): Promise<unknown> => {
  const reader = Object.entries(read).find(([key]) => key === name)?.[1];
  if (!reader) throw new Error(`no SDK reads ${name}`);
  return reader(model);
};

const sortless = ({ text, reasoning, calls, finish, usage }: Expected) => ({ text, reasoning, calls, finish, usage });

const ask = (path: string, body: object): Promise<Response> =>
  fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** Told by the status, or by an error event and a connection that breaks. */
async function fails(response: Response, pattern: RegExp): Promise<void> {
  const { text, broken } = await drain(response);
  assert.match(text, pattern);
  assert.ok(response.status >= 500 || broken, "a failed stream ended as if it were whole");
  assert.doesNotMatch(text, /\[DONE\]|message_stop|response\.completed/);
}

async function drain(response: Response): Promise<{ text: string; broken: boolean }> {
  const chunks: Buffer[] = [];
  let broken = false;
  try {
    for await (const chunk of response.body ?? []) chunks.push(Buffer.from(chunk));
  } catch {
    broken = true;
  }
  return { text: Buffer.concat(chunks).toString("utf8"), broken };
}
