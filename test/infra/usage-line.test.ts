// What `npm run status` says of today's usage, asked of a real gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import { usageLine } from "../../infra/operate/usage-line.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { chat, startGateway, token } from "../support/gateway.ts";

test("today's calls, tokens and cost; nothing where the gateway does not say", async () => {
  const upstream = await startFakeUpstream();
  await upstream.script([{ words: ["one", " two"] }]);
  const gateway = await startGateway({
    gateway: { auth: { token } },
    models: {
      providers: {
        fake: {
          api: "openai-completions",
          baseUrl: upstream.baseUrl,
          models: [{ id: "fake-model", cost: { input: 1_000_000, output: 2_000_000 } }],
        },
      },
    },
  });
  try {
    for (let count = 0; count < 3; count += 1) await (await chat(gateway.url, { model: "fake-model" })).text();
    const line = (await usageLine(gateway.url, token)) ?? "";
    const [, calls, input, output, cost] =
      /^Used today \(UTC\): (\d+) calls of models, (\d+) tokens in, (\d+) out, cost (\d+) \S+$/.exec(line) ?? [];
    assert.equal(Number(calls), 3, line);
    assert.ok(Number(input) > 0 && Number(output) > 0, line);
    assert.equal(Number(cost), Number(input) + 2 * Number(output), line);
    assert.equal(await usageLine(gateway.url, "another token"), undefined);
  } finally {
    await Promise.all([gateway.close(), upstream.close()]);
  }
  assert.equal(await usageLine(gateway.url, token), undefined);
});
