// The record of usage as users see it: /api/usage after calls of models, equal to the metrics.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway } from "../support/gateway.ts";
import { metricsOf } from "../support/two-upstreams.ts";

let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());

const priced = (baseUrl: string) =>
  fakeConfig(
    baseUrl,
    { tokens: [{ id: "team", token: "team-token-0123456789" }] },
    {
      models: {
        providers: {
          fake: { api: "openai-completions", baseUrl, models: [{ id: "fake-model", cost: { input: 2, output: 10 } }] },
        },
      },
    },
  );

async function usageOf(
  gateway: TestGateway,
  query = "",
  headers: Record<string, string> = bearer,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${gateway.url}/api/usage${query}`, { headers });
  assert.equal(response.status, 200, await response.clone().text());
  const body: unknown = await response.json();
  return Object(body);
}

test("tokens and cost of each token, equal to the metrics", async () => {
  const gateway = await startGateway(priced(upstream.baseUrl));
  try {
    await upstream.script([{}]);
    for (let round = 0; round < 3; round += 1) await (await chat(gateway.url, { model: "fake-model" })).text();
    const team = { authorization: "Bearer team-token-0123456789" };
    await (await chat(gateway.url, { model: "fake-model", stream: true }, team)).text();

    const all = await usageOf(gateway, "?groupBy=token,model");
    assert.deepEqual(all.usage, [
      {
        token: "team",
        model: "fake-model",
        requests: 1,
        inputTokens: 7,
        outputTokens: 5,
        cachedTokens: 0,
        estimatedTokens: 0,
        estimatedRequests: 0,
        cost: { USD: 64e-6 },
      },
      {
        token: "token",
        model: "fake-model",
        requests: 3,
        inputTokens: 21,
        outputTokens: 15,
        cachedTokens: 0,
        estimatedTokens: 0,
        estimatedRequests: 0,
        cost: { USD: 192e-6 },
      },
    ]);
    const own = await usageOf(gateway, "?groupBy=token", team);
    assert.deepEqual(
      Object(own.usage).map((row: { token: string }) => row.token),
      ["team"],
    );
    const text = await metricsOf(gateway);
    assert.match(text, /openclaw_llm_tokens_total\{provider="fake",model="fake-model",direction="input"\} 28\n/);
    assert.match(text, /openclaw_llm_tokens_total\{provider="fake",model="fake-model",direction="output"\} 20\n/);
    assert.match(text, /openclaw_usage_records_total\{result="written"\} 4\n/);
  } finally {
    await gateway.close();
  }
});

test("a token without operator.admin sees no other's usage, and what is asked for wrongly is named", async () => {
  const gateway = await startGateway(priced(upstream.baseUrl));
  try {
    const team = { authorization: "Bearer team-token-0123456789" };
    const ask = async (query: string, headers: Record<string, string>) => {
      const response = await fetch(`${gateway.url}/api/usage${query}`, { headers });
      const body: unknown = await response.json();
      return [response.status, Object(Object(body).error).param];
    };
    assert.deepEqual(await ask("?token=token", team), [403, "token"]);
    assert.deepEqual(await ask("?groupBy=colour", bearer), [400, "groupBy"]);
    assert.deepEqual(await ask("?from=yesterday", bearer), [400, "from"]);
    assert.deepEqual(await ask("?from=2026-01-02&to=2026-01-01", bearer), [400, "from"]);
    for (const name of ["groupBy", "from", "token"])
      assert.deepEqual(await ask(`?${name}=day&${name}=day`, bearer), [400, name], "said twice");
    assert.deepEqual(await ask("", {}), [401, null]);
  } finally {
    await gateway.close();
  }
});

test("a client that leaves a stream is accounted by what was delivered, and flagged", async () => {
  const gateway = await startGateway(priced(upstream.baseUrl));
  try {
    await upstream.script([{ words: Array.from({ length: 40 }, (_, index) => (index === 0 ? "word" : " word")), gateAt: 20 }]);
    const leaving = new AbortController();
    const response = await chat(gateway.url, { model: "fake-model", stream: true }, bearer, leaving.signal);
    let text = "";
    const reader = response.body?.getReader();
    while (reader && text.split("content").length <= 20) text += new TextDecoder().decode((await reader.read()).value);
    leaving.abort();
    await upstream.waitFor("aborted");
    const report = await usageOf(gateway, "?groupBy=outcome,estimated");
    assert.deepEqual(report.usage, [
      {
        outcome: "cancelled",
        estimated: "true",
        requests: 1,
        inputTokens: 1,
        outputTokens: 20,
        cachedTokens: 0,
        estimatedTokens: 21,
        estimatedRequests: 1,
        cost: { USD: 202e-6 },
      },
    ]);
  } finally {
    await gateway.close();
  }
});

test("usage that cannot be is estimated, and ruins neither the books nor a budget", async () => {
  const nines = "9".repeat(400);
  const answerOf = (input: string, output: string): string =>
    `{"choices":[{"message":{"role":"assistant","content":"two words"}}],"usage":{"prompt_tokens":${input},"completion_tokens":${output}}}`;
  const behaviours = [answerOf(nines, nines), answerOf("5", nines), answerOf("900000000000", "5")];
  const gateway = await startGateway(
    fakeConfig(
      upstream.baseUrl,
      { tokens: [{ id: "team", token: "team-token-0123456789", budget: { amount: 1 }, limits: { tokensPerMinute: 10_000 } }] },
      {
        models: {
          providers: {
            fake: {
              api: "openai-completions",
              baseUrl: upstream.baseUrl,
              models: [{ id: "fake-model", cost: { input: 1, output: 1 } }],
            },
          },
        },
      },
    ),
  );
  try {
    await upstream.script([...behaviours.map((text) => ({ recorded: { type: "application/json", text } })), {}]);
    const team = { authorization: "Bearer team-token-0123456789" };
    for (let round = 0; round < 4; round += 1) {
      const answer = await chat(gateway.url, { model: "fake-model" }, team);
      const text = await answer.text();
      assert.equal(answer.status, 200, text);
    }
    const report = await usageOf(gateway, "?groupBy=estimated");
    const [said, estimated] = Object(report.usage);
    assert.deepEqual([said.estimated, said.requests], ["false", 1]);
    assert.deepEqual([estimated.estimated, estimated.requests], ["true", 3]);
    assert.ok(estimated.outputTokens < 100 && estimated.inputTokens < 100, JSON.stringify(estimated));
  } finally {
    await gateway.close();
  }
});
