// The exact cache: what is given again, to whom, for how long, and what never is.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ConfigInput } from "../../../gateway/config/schema.ts";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway } from "../../support/gateway.ts";
import { metricsOf, startWithFallback } from "../../support/two-upstreams.ts";

let upstream: FakeUpstream;
let other: FakeUpstream;
before(async () => {
  [upstream, other] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([upstream.close(), other.close()]));

type Stack = Parameters<typeof fakeConfig>[1];
const second = "second-token-0123456789";

async function withGateway(stack: Stack, run: (gateway: TestGateway) => Promise<void>, more: ConfigInput = {}): Promise<void> {
  const tokens = [{ id: "second", token: second }];
  const gateway = await startGateway(fakeConfig(upstream.baseUrl, { tokens, ...stack }, more));
  try {
    await run(gateway);
  } finally {
    await gateway.close();
  }
}

interface Asked {
  status: number;
  cache: string | null;
  headers: Headers;
  text: string;
}

async function ask(gateway: TestGateway, body: object = {}, headers: Record<string, string> = {}): Promise<Asked> {
  const response = await chat(gateway.url, { model: "fake-model", ...body }, { ...bearer, ...headers });
  const text = await response.text();
  return { status: response.status, cache: response.headers.get("x-openclaw-cache"), headers: response.headers, text };
}

const on = { cache: { enabled: true } };

for (const stream of [false, true]) {
  test(`the second identical request is answered without the upstream, byte for byte (${stream ? "stream" : "JSON"})`, async () => {
    await upstream.script([{}]);
    await withGateway(on, async (gateway) => {
      const first = await ask(gateway, { stream });
      const again = await ask(gateway, { stream });
      assert.deepEqual([first.cache, again.cache], ["miss", "hit"]);
      assert.equal(again.text, first.text);
      assert.match(again.text, stream ? /Hello[\s\S]*\[DONE\]\n\n$/ : /Hello from the fake model/);
      assert.equal(again.headers.get("content-type"), first.headers.get("content-type"));
      assert.match(again.headers.get("age") ?? "", /^\d+$/);
      assert.equal(again.headers.get("x-openclaw-provider"), "fake");
      assert.equal(again.headers.get("x-openclaw-tries"), "0");
      assert.notEqual(again.headers.get("x-request-id"), first.headers.get("x-request-id"));
      assert.equal((await upstream.ledger()).length, 1);
      const figures = await metricsOf(gateway);
      assert.match(figures, /openclaw_cache_requests_total\{result="hit"\} 1\n/);
      assert.match(figures, /openclaw_cache_requests_total\{result="miss"\} 1\n/);
      assert.match(figures, /openclaw_cache_entries\{store="cache"\} 1\n/);
      assert.match(figures, /openclaw_llm_requests_total\{provider="fake",model="fake-model",outcome="ok"\} 1\n/);
    });
  });
}

test("without the setting nothing is kept, and no header says otherwise", async () => {
  await upstream.script([{}]);
  await withGateway({}, async (gateway) => {
    const answers = [await ask(gateway), await ask(gateway)];
    assert.deepEqual(
      answers.map(({ cache }) => cache),
      [null, null],
    );
    assert.equal((await upstream.ledger()).length, 2);
  });
});

test("another token is never given an answer, unless answers are shared on purpose", async () => {
  const asSecond = { authorization: `Bearer ${second}` };
  for (const shared of [false, true]) {
    await upstream.script([{}]);
    await withGateway({ cache: { enabled: true, shared } }, async (gateway) => {
      await ask(gateway);
      const theirs = await ask(gateway, {}, asSecond);
      assert.equal(theirs.cache, shared ? "hit" : "miss");
      assert.equal((await upstream.ledger()).length, shared ? 1 : 2);
      assert.equal((await ask(gateway, {}, asSecond)).cache, "hit");
    });
  }
});

test("people behind one trusted proxy are not given each other's answers", async () => {
  await upstream.script([{}]);
  const auth = { mode: "trusted-proxy" as const, trustedProxy: { userHeader: "x-user" } };
  await withGateway(
    on,
    async (gateway) => {
      const cacheOf = async (user: string): Promise<string | null> => (await ask(gateway, {}, { "x-user": user })).cache;
      assert.deepEqual([await cacheOf("ann"), await cacheOf("bob"), await cacheOf("ann")], ["miss", "miss", "hit"]);
    },
    { gateway: { auth, trustedProxies: ["127.0.0.1"] } },
  );
});

test("another body, API, model or version of the API is another request; another name of the model is not", async () => {
  await upstream.script([{}]);
  await withGateway(on, async (gateway) => {
    await ask(gateway);
    assert.equal((await ask(gateway, { temperature: 0.5 })).cache, "miss");
    assert.equal((await ask(gateway, { stream: true })).cache, "miss");
    assert.equal((await ask(gateway, {}, { "openai-beta": "x=1" })).cache, "miss");
    assert.equal((await ask(gateway, { model: "fake/fake-model" })).cache, "hit");
    const responses = await fetch(`${gateway.url}/v1/responses`, {
      method: "POST",
      headers: { ...bearer, "content-type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], model: "fake-model", input: "hi" }),
    });
    assert.equal(responses.headers.get("x-openclaw-cache"), "miss");
    await responses.text();
  });
});

test("a request opts out, asks anew, or says how old an answer may be", async () => {
  await upstream.script([{}]);
  await withGateway(on, async (gateway) => {
    await ask(gateway);
    assert.equal((await ask(gateway, {}, { "x-openclaw-cache": "off" })).cache, "bypass");
    assert.equal((await ask(gateway, {}, { "cache-control": "no-store" })).cache, "bypass");
    assert.equal((await ask(gateway, {}, { "cache-control": "no-cache" })).cache, "miss");
    assert.equal((await ask(gateway, {}, { "cache-control": "max-age=0" })).cache, "miss");
    assert.equal((await ask(gateway, {}, { "cache-control": "max-age=60" })).cache, "hit");
    assert.equal((await upstream.ledger()).length, 5);
  });
});

test("only the listed models are kept", async () => {
  await upstream.script([{}]);
  await withGateway({ cache: { enabled: true, models: ["fake/other"] } }, async (gateway) => {
    await ask(gateway);
    assert.equal((await ask(gateway)).cache, "bypass");
  });
});

test("failures, cut streams, errors inside a stream or a 200, and answers still in the making are not kept", async () => {
  const sse = (text: string): string =>
    `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
  const bad = [
    { stream: false, behaviour: { status: 500 } },
    { stream: false, behaviour: { status: 400 } },
    { stream: false, behaviour: { cutAfterBytes: 30 } },
    { stream: false, behaviour: { answer: { error: { message: "no", code: "x" } } } },
    { stream: false, behaviour: { answer: { id: "r", status: "queued" } } },
    { stream: true, behaviour: { cutAfterChunks: 2 } },
    { stream: true, behaviour: { raw: sse('data: {"error":{"message":"no"}}\n\ndata: [DONE]\n\n') } },
  ];
  await withGateway({ ...on, routing: { breaker: { failures: 1000 } } }, async (gateway) => {
    for (const { stream, behaviour } of bad) {
      await upstream.script([behaviour, {}]);
      await ask(gateway, { stream }).catch(() => undefined);
      const after = await ask(gateway, { stream }, { "x-openclaw-cache": "off" });
      assert.equal(after.status, 200);
      await upstream.script([{}]);
      const again = await ask(gateway, { stream, user: JSON.stringify(behaviour) });
      assert.equal(again.cache, "miss");
      await upstream.script([behaviour, {}]);
      const body = { stream, user: `again ${JSON.stringify(behaviour)}` };
      await ask(gateway, body).catch(() => undefined);
      assert.equal((await ask(gateway, body)).cache, "miss", JSON.stringify(behaviour));
    }
  });
});

test("a fallback's answer is given, and not kept in the place of the model's own", async () => {
  await Promise.all([upstream.script([{ status: 500 }, {}]), other.script([{}])]);
  const gateway = await startWithFallback(upstream.baseUrl, other, {
    ...on,
    routing: { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 1000 } },
  });
  try {
    const first = await ask(gateway, { model: "a/fake-model" });
    assert.equal(first.headers.get("x-openclaw-provider"), "b");
    const second = await ask(gateway, { model: "a/fake-model" });
    assert.deepEqual([second.cache, second.headers.get("x-openclaw-provider")], ["miss", "a"]);
    const third = await ask(gateway, { model: "a/fake-model" });
    assert.deepEqual([third.cache, third.headers.get("x-openclaw-provider")], ["hit", "a"]);
  } finally {
    await gateway.close();
  }
});

test("an answer longer than what is kept is passed on whole, and not kept", async () => {
  await withGateway({ cache: { enabled: true, maxAnswerBytes: 2000 } }, async (gateway) => {
    for (const stream of [false, true]) {
      await upstream.script([{ words: Array.from({ length: 60 }, (_, at) => `word ${at} ${"x".repeat(100)}`) }]);
      const first = await ask(gateway, { stream });
      const again = await ask(gateway, { stream });
      assert.equal(again.cache, "miss");
      assert.match(first.text, /word 59/);
      assert.equal(first.text, again.text);
    }
  });
});

test("the log line of a hit has its tokens and says where they are from", async () => {
  await upstream.script([{}]);
  await withGateway(on, async (gateway) => {
    await ask(gateway);
    await ask(gateway);
    const lines = gateway.lines.filter((line) => line.includes('"/v1/chat/completions"'));
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /"llm_tokens":12/);
    assert.match(lines[1] ?? "", /"cache":"hit"/);
  });
});
