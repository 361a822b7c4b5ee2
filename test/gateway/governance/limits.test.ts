// Limits and budgets of tokens, through a whole gateway: what is let in, what is said of it, and what it costs in the end.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { ConfigInput } from "../../../gateway/config/schema.ts";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { startGateway, type TestGateway, token } from "../../support/gateway.ts";

let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());

type Stack = NonNullable<NonNullable<NonNullable<NonNullable<ConfigInput["plugins"]>["entries"]>["openclaw-stack"]>["config"]>;
type Token = NonNullable<Stack["tokens"]>[number];

/** Prices so that one token costs one millionth, whichever way it goes. */
const price = { input: 1, output: 1 };

async function open(tokens: Token[], behaviours: Behaviour[] = [{}], stack: Stack = {}): Promise<TestGateway> {
  await upstream.script(behaviours);
  return startGateway(configOf(tokens, stack));
}

function configOf(tokens: Token[], stack: Stack = {}): ConfigInput {
  return {
    gateway: { auth: { token } },
    models: {
      providers: {
        fake: {
          api: "openai-completions",
          baseUrl: upstream.baseUrl,
          models: [{ id: "fake-model", cost: price }, { id: "free-model" }, { id: "other" }],
        },
      },
    },
    plugins: { entries: { "openclaw-stack": { config: { ...stack, tokens } } } },
  };
}

const answerSchema = z.looseObject({
  usage: z.object({ total_tokens: z.number() }).default({ total_tokens: 0 }),
  type: z.string().optional(),
  error: z.looseObject({ message: z.string(), code: z.string(), type: z.string(), param: z.string().nullish() }).optional(),
  data: z.array(z.object({ id: z.string() })).default([]),
});

async function read(answer: Response) {
  const { error, ...rest } = answerSchema.parse(await answer.json());
  return { ...rest, error: error ?? { message: "", code: "", type: "", param: undefined } };
}

const body = (more: object = {}): string =>
  JSON.stringify({ model: "fake-model", messages: [{ role: "user", content: "Hello" }], max_tokens: 20, ...more });

const ask = (gateway: TestGateway, bearer: string, payload = body(), path = "/v1/chat/completions"): Promise<Response> =>
  fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
    body: payload,
  });

async function status(answer: Promise<Response>): Promise<number> {
  const response = await answer;
  await response.arrayBuffer();
  return response.status;
}

async function metric(gateway: TestGateway, line: string): Promise<number> {
  const response = await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  const text = await response.text();
  const found = text.split("\n").find((one) => one.startsWith(`${line} `));
  return found === undefined ? Number.NaN : Number(found.slice(line.length + 1));
}

describe("requests a minute", () => {
  test("of a token: so many and no more, with headers and Retry-After; others are not touched", async () => {
    const gateway = await open([
      { id: "ci", token: "ci-token", limits: { requestsPerMinute: 3 } },
      { id: "free", token: "free-token" },
    ]);
    try {
      for (const left of ["2", "1", "0"]) {
        const answer = await ask(gateway, "ci-token");
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("x-ratelimit-limit-requests"), "3");
        assert.equal(answer.headers.get("x-ratelimit-remaining-requests"), left);
        assert.match(answer.headers.get("ratelimit") ?? "", new RegExp(`^"requests";r=${left};t=\\d+$`));
        assert.equal(answer.headers.get("ratelimit-policy"), '"requests";q=3;w=60');
        await answer.arrayBuffer();
      }
      const refused = await ask(gateway, "ci-token");
      assert.equal(refused.status, 429);
      const wait = Number(refused.headers.get("retry-after"));
      assert.ok(wait >= 30 && wait <= 61, `${wait} s`);
      const { error } = await read(refused);
      assert.deepEqual([error.code, error.type], ["rate_limit_exceeded", "rate_limit_error"]);
      assert.match(error.message, /token ci is limited to 3 requests a minute/);
      assert.equal(await status(ask(gateway, "free-token")), 200);
      assert.equal((await upstream.ledger()).length, 4, "what was refused was not sent");
      assert.equal(await metric(gateway, 'openclaw_limits_rejected_total{reason="requests",token="ci"}'), 1);
    } finally {
      await gateway.close();
    }
  });

  test("rateLimit: of every token that sets none itself, and of all together", async () => {
    const gateway = await open([{ id: "own", token: "own-token", limits: { requestsPerMinute: 50 } }], [{}], {
      rateLimit: { maxRequestsPerMinute: 5, maxRequestsPerMinutePerToken: 2 },
    });
    try {
      assert.deepEqual(
        [await status(ask(gateway, token)), await status(ask(gateway, token)), await status(ask(gateway, token))],
        [200, 200, 429],
      );
      const answers: number[] = [];
      for (let count = 0; count < 5; count += 1) answers.push(await status(ask(gateway, "own-token")));
      assert.deepEqual(answers, [200, 200, 200, 429, 429], "five of the gateway, two of them spent before");
    } finally {
      await gateway.close();
    }
  });

  test("/v1/messages says it in Anthropic's words", async () => {
    const gateway = await open([{ id: "ci", token: "ci-token", limits: { requestsPerMinute: 1 } }]);
    try {
      const first = await ask(gateway, "ci-token", body(), "/v1/messages");
      await first.arrayBuffer();
      assert.equal(first.headers.get("anthropic-ratelimit-requests-remaining"), "0");
      assert.ok(!Number.isNaN(Date.parse(first.headers.get("anthropic-ratelimit-requests-reset") ?? "")));
      assert.equal(first.headers.get("x-ratelimit-limit-requests"), null);
      const refused = await ask(gateway, "ci-token", body(), "/v1/messages");
      assert.equal(refused.status, 429);
      const answer = await read(refused);
      assert.deepEqual([answer.type, answer.error.type], ["error", "rate_limit_error"]);
    } finally {
      await gateway.close();
    }
  });

  test("without limits nothing is said and nothing is counted", async () => {
    const gateway = await open([{ id: "ci", token: "ci-token" }]);
    try {
      const answer = await ask(gateway, "ci-token");
      assert.equal(answer.status, 200);
      for (const name of answer.headers.keys()) assert.doesNotMatch(name, /ratelimit/);
      await answer.arrayBuffer();
    } finally {
      await gateway.close();
    }
  });
});

test("tokens a minute: guessed when a call begins, counted when it ends", async () => {
  const gateway = await open([{ id: "ci", token: "ci-token", limits: { tokensPerMinute: 1000 } }], [{}]);
  try {
    const big = body({ max_tokens: 900 });
    const first = await ask(gateway, "ci-token", big);
    const { usage } = await read(first);
    assert.ok(usage.total_tokens < 100, "the answer is short");
    assert.ok(Number(first.headers.get("x-ratelimit-remaining-tokens")) <= 100, "all that it might take was set aside");
    const second = await ask(gateway, "ci-token", big);
    assert.equal(second.status, 200, "what was not used has come back");
    await second.arrayBuffer();
    await upstream.script([{ gate: "held" }, {}]);
    const held = ask(gateway, "ci-token", big);
    await upstream.waitFor("open");
    const refused = await ask(gateway, "ci-token", big);
    assert.equal(refused.status, 429, "two of that size at the same time are too much");
    assert.match((await read(refused)).error.message, /1000 model tokens a minute/);
    await upstream.open("held");
    assert.equal(await status(held), 200);
  } finally {
    await gateway.close();
  }
});

test("sound is let in where tokens are limited, though nobody can guess what it takes", async () => {
  const gateway = await open([{ id: "ci", token: "ci-token", limits: { tokensPerMinute: 100 } }]);
  try {
    const form = new FormData();
    form.set("file", new Blob(["RIFF"]), "a.wav");
    form.set("model", "other");
    const headers = { authorization: "Bearer ci-token" };
    const answer = await fetch(`${gateway.url}/v1/audio/transcriptions`, { method: "POST", headers, body: form });
    assert.equal(answer.status, 200, await answer.text());
  } finally {
    await gateway.close();
  }
});

test("a model with a price that answers for one without is paid from the budget", async () => {
  const gateway = await open(
    [{ id: "ci", token: "ci-token", budget: { amount: 0.00003, window: "total" } }],
    [{ status: 500 }, { words: Array.from({ length: 20 }, () => " a") }, {}],
    { routing: { fallbacks: { "fake/free-model": ["fake/fake-model"] } } },
  );
  try {
    assert.equal(await status(ask(gateway, "ci-token", body({ model: "fake/free-model" }))), 200);
    const sent = await upstream.ledger();
    assert.deepEqual(
      sent.map(({ model }) => model),
      ["free-model", "fake-model"],
    );
    assert.equal(await status(ask(gateway, "ci-token")), 200, "counted once: there is still something left");
    assert.equal(await status(ask(gateway, "ci-token")), 429, "and all of it is counted");
  } finally {
    await gateway.close();
  }
});

test("at the same time: freed by an end, by a failure, and by a client that leaves", async () => {
  const gateway = await open([{ id: "ci", token: "ci-token", limits: { concurrent: 2 } }], [{ gate: "a" }]);
  try {
    const leaving = new AbortController();
    const left = fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer ci-token", "content-type": "application/json" },
      body: body(),
      signal: leaving.signal,
    }).catch(() => undefined);
    const staying = ask(gateway, "ci-token");
    await upstream.waitFor("open", 2);
    assert.equal(await status(ask(gateway, "ci-token")), 429);
    leaving.abort();
    await left;
    await upstream.waitFor("aborted", 1);
    await upstream.script([{ status: 400, errorBody: { error: { message: "no" } } }, {}]);
    assert.equal(await status(ask(gateway, "ci-token")), 400);
    assert.equal(await status(ask(gateway, "ci-token")), 200);
    await upstream.open("a");
    await status(staying);
    assert.deepEqual((await Promise.all([1, 2].map(() => status(ask(gateway, "ci-token"))))).sort(), [200, 200]);
  } finally {
    await gateway.close();
  }
});

describe("budget", () => {
  test("is spent by what calls cost; then 429 insufficient_quota, and only free models answer", async () => {
    const gateway = await open([{ id: "ci", token: "ci-token", budget: { amount: 0.0001 } }]);
    try {
      let let_in = 0;
      let spent = 0;
      let last = new Response();
      for (let count = 0; count < 100; count += 1) {
        last = await ask(gateway, "ci-token");
        if (last.status !== 200) break;
        let_in += 1;
        spent += (await read(last)).usage.total_tokens;
      }
      assert.ok(let_in > 1 && spent >= 100, `${let_in} calls, ${spent} millionths`);
      assert.ok(spent - 100 < spent / let_in, "by less than one call too much");
      assert.equal(last.status, 429);
      assert.equal(last.headers.get("x-should-retry"), "false");
      assert.ok(Number(last.headers.get("retry-after")) > 0);
      const { error } = await read(last);
      assert.deepEqual([error.code, error.type], ["insufficient_quota", "insufficient_quota"]);
      assert.match(error.message, /budget of the token ci is used up: 0.0001 USD a month/);
      assert.equal(await status(ask(gateway, "ci-token", body({ model: "free-model" }))), 200);
      assert.equal(await metric(gateway, 'openclaw_budget_left{token="ci"}'), 0);
      assert.equal(await metric(gateway, 'openclaw_limits_rejected_total{reason="budget",token="ci"}'), 1);
    } finally {
      await gateway.close();
    }
  });

  test("64 at once overspend it by no more than the calls under way", async () => {
    const gateway = await open([{ id: "ci", token: "ci-token", budget: { amount: 0.001, window: "total" } }]);
    try {
      let spent = 0;
      let dearest = 0;
      const one = async (): Promise<void> => {
        const deadline = Date.now() + 60_000;
        while (Date.now() < deadline) {
          const answer = await ask(gateway, "ci-token");
          if (answer.status === 429) {
            const { error } = await read(answer);
            assert.equal(error.code, "insufficient_quota");
            if (answer.headers.get("x-should-retry") === "false") return;
            // Set aside for calls under way: there may be some again when they end.
            await pause(5);
            continue;
          }
          const cost: number = (await read(answer)).usage.total_tokens;
          spent += cost;
          dearest = Math.max(dearest, cost);
        }
      };
      await Promise.all(Array.from({ length: 64 }, one));
      assert.ok(spent <= 1000 + 64 * dearest, `${spent} of 1000 were spent`);
      assert.ok(spent >= 1000 - 64 * dearest, `${spent} of 1000 were spent`);
      const served = (await upstream.ledger()).filter(({ path }) => path.endsWith("/chat/completions")).length;
      assert.equal(served * dearest, spent, "the upstream's own count");
    } finally {
      await gateway.close();
    }
  });

  test("outlives a restart of the gateway", async () => {
    const tokens = [{ id: "ci", token: "ci-token", budget: { amount: 0.00002 } }];
    const first = await open(tokens);
    try {
      let answered = 200;
      for (let calls = 0; calls < 50 && answered === 200; calls += 1) answered = await status(ask(first, "ci-token"));
      assert.equal(answered, 429);
      await first.app.finish();
      const second = await startGateway(configOf(tokens), first.folder);
      try {
        assert.equal(await status(ask(second, "ci-token")), 429);
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  });
});

describe("models", () => {
  test("a token asks only for those that it may, and sees no others", async () => {
    const gateway = await open([{ id: "ci", token: "ci-token", models: ["fake/o*", "free-model"] }]);
    try {
      const listed = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: "Bearer ci-token" } });
      const { data } = await read(listed);
      assert.deepEqual(
        data.map(({ id }) => id),
        ["fake/free-model", "fake/other"],
      );
      const hidden = await fetch(`${gateway.url}/v1/models/fake/fake-model`, { headers: { authorization: "Bearer ci-token" } });
      assert.equal(hidden.status, 404);
      await hidden.arrayBuffer();
      assert.equal(await status(ask(gateway, "ci-token", body({ model: "fake/other" }))), 200);
      const refused = await ask(gateway, "ci-token");
      assert.equal(refused.status, 404);
      const { error } = await read(refused);
      assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
      const unknown = await read(await ask(gateway, "ci-token", body({ model: "fake-mode" })));
      assert.equal(unknown.error.message, error.message, "nothing tells a hidden model from none");
      const typo = await read(await ask(gateway, "ci-token", body({ model: "fake/othr" })));
      assert.match(typo.error.message, /Did you mean "fake\/other"\?$/, "names that it may use are offered");
      assert.doesNotMatch(`${error.message} ${typo.error.message}`, /fake-model/);
      const near = await read(await ask(gateway, token, body({ model: "fake-mode" })));
      assert.match(near.error.message, /Did you mean .*fake-model/);
      assert.equal(await status(ask(gateway, token)), 200, "the gateway's own token may ask for all");
    } finally {
      await gateway.close();
    }
  });
});
