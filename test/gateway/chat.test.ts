// Chat completions through the gateway, in front of a fake model server in its own process.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway, token } from "../support/gateway.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;

before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(
    fakeConfig(upstream.baseUrl, {
      timeouts: { connectMs: 50, headersMs: 100, firstTokenMs: 300, betweenTokensMs: 300, totalMs: 15_000 },
      http: { sseKeepAliveMs: 200 },
    }),
  );
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

async function errorOf(response: Response) {
  const body: unknown = await response.json();
  assert.ok(typeof body === "object" && body !== null && "error" in body, "an error in OpenAI's shape");
  const { error } = body;
  assert.ok(
    typeof error === "object" && error !== null && "code" in error && "message" in error && "type" in error && "param" in error,
  );
  return { status: response.status, code: error.code, message: String(error.message), param: error.param };
}

/** Reads to the end; says whether that was a clean one. */
async function readAll(response: Response): Promise<{ text: string; clean: boolean }> {
  const reader = response.body?.getReader();
  let text = "";
  try {
    for (;;) {
      const next = await reader?.read();
      if (!next || next.done) return { text, clean: true };
      text += Buffer.from(next.value).toString("utf8");
    }
  } catch {
    return { text, clean: false };
  }
}

describe("answers", () => {
  test("the answer's bytes are the upstream's, and the request's bytes arrive unchanged", async () => {
    await upstream.script([{}]);
    const body = '{ "model" : "fake-model","messages":[{"role":"user","content":"caf\\u00e9 \u{1F980}"}],  "seed":1 }';
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { ...bearer, "content-type": "application/json" },
      body,
    });
    const direct = await fetch(`${upstream.baseUrl}/chat/completions`, { method: "POST", body });
    assert.equal(await response.text(), await direct.text());
    assert.equal(response.headers.get("x-openclaw-provider"), "fake");
    const [entry] = await upstream.ledger();
    assert.equal(entry?.body, body);
    assert.equal(entry?.headers.authorization, undefined, "the client's token goes no further");
  });

  test("only the model's name is rewritten", async () => {
    await upstream.script([{}]);
    await chat(gateway.url, { model: "fake/fake-model", metadata: { model: "fake/fake-model" } });
    const [entry] = await upstream.ledger();
    assert.deepEqual(JSON.parse(entry?.body ?? ""), {
      messages: [{ role: "user", content: "hi" }],
      model: "fake-model",
      metadata: { model: "fake/fake-model" },
    });
  });

  test("the first piece of a stream arrives before the upstream sends its second", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const response = await chat(gateway.url, { model: "fake-model", stream: true });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    assert.match(Buffer.from(first?.value ?? []).toString("utf8"), /Hello/);
    const [entry] = await upstream.ledger();
    assert.equal(entry?.sentChunks, 1);
    await upstream.open("stream");
    let rest = "";
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
      rest += Buffer.from(next.value).toString("utf8");
    assert.match(rest, /data: \[DONE\]\n\n$/);
  });

  test("a silent stream gets comments", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const response = await chat(gateway.url, { model: "fake-model", stream: true });
    const reader = response.body?.getReader();
    let text = "";
    while (!text.includes(": keep-alive\n\n")) {
      const next = await reader?.read();
      assert.ok(next && !next.done, "the stream ended without a comment");
      text += Buffer.from(next.value).toString("utf8");
    }
    await upstream.open("stream");
    await reader?.cancel();
  });

  test("tokens that the upstream reports are counted", async () => {
    await upstream.script([{}]);
    await (await chat(gateway.url, { model: "fake-model", stream: true })).text();
    const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
    assert.match(metrics, /openclaw_llm_tokens_total\{provider="fake",model="fake-model",direction="output"\} [1-9]/);
    assert.match(metrics, /openclaw_llm_requests_total\{provider="fake",model="fake-model",outcome="ok"\} [1-9]/);
  });
});

describe("upstream errors", () => {
  const cases: {
    name: string;
    behaviour: Parameters<FakeUpstream["script"]>[0][number];
    stream?: boolean;
    status: number;
    code: string;
  }[] = [
    { name: "401 is about the gateway's key", behaviour: { status: 401 }, status: 502, code: "upstream_auth" },
    { name: "500", behaviour: { status: 500 }, status: 502, code: "upstream_failed" },
    { name: "503", behaviour: { status: 503 }, stream: true, status: 502, code: "upstream_failed" },
    {
      name: "a redirect is not followed",
      behaviour: { status: 302, headers: { location: "http://127.0.0.1:1/" } },
      status: 502,
      code: "upstream_failed",
    },
    { name: "reset before headers", behaviour: { reset: "before-headers" }, status: 502, code: "upstream_failed" },
    {
      name: "silence before headers",
      behaviour: { hang: "before-headers" },
      stream: true,
      status: 504,
      code: "upstream_timeout",
    },
    { name: "JSON cut in the middle", behaviour: { cutAfterBytes: 40 }, status: 502, code: "upstream_cut" },
    { name: "not HTTP", behaviour: { raw: "SSH-2.0-OpenSSH_9.2\r\n" }, status: 502, code: "upstream_malformed" },
  ];
  for (const { name, behaviour, stream, status, code } of cases) {
    test(name, async () => {
      await upstream.script([behaviour]);
      const failure = await errorOf(await chat(gateway.url, { model: "fake-model", ...(stream ? { stream } : {}) }));
      assert.deepEqual({ status: failure.status, code: failure.code }, { status, code });
      assert.doesNotMatch(failure.message, /127\.0\.0\.1/);
    });
  }

  test("429 keeps Retry-After", async () => {
    await upstream.script([{ status: 429, headers: { "retry-after": "7" } }]);
    const response = await chat(gateway.url, { model: "fake-model" });
    assert.equal(response.headers.get("retry-after"), "7");
    assert.equal((await errorOf(response)).code, "upstream_rate_limited");
  });

  test("an upstream's 400 in OpenAI's shape is passed on", async () => {
    const errorBody = {
      error: { message: "temperature is too hot", type: "invalid_request_error", code: "too_hot", param: "temperature" },
    };
    await upstream.script([{ status: 400, errorBody }]);
    const response = await chat(gateway.url, { model: "fake-model" });
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), errorBody);
  });

  test("an upstream's 400 in another shape becomes ours", async () => {
    await upstream.script([{ status: 422, errorBody: "<html>" }]);
    assert.deepEqual(await errorOf(await chat(gateway.url, { model: "fake-model" })), {
      status: 422,
      code: "upstream_rejected",
      message: "provider fake refused the request (422)",
      param: null,
    });
  });

  for (const [name, behaviour, code] of [
    ["an upstream that dies", { cutAfterChunks: 2 }, "upstream_cut"],
    ["an upstream that falls silent", { hang: "mid-stream" }, "upstream_timeout"],
    ["an end of the connection without a terminator", { cutAfterChunks: 2, closeDelimited: true }, "upstream_cut"],
  ] as const) {
    test(`${name} mid-stream ends in an error event and a broken connection`, async () => {
      await upstream.script([behaviour]);
      const { text, clean } = await readAll(await chat(gateway.url, { model: "fake-model", stream: true }));
      assert.match(text, new RegExp(`\\n\\ndata: \\{"error":\\{.*"code":"${code}".*\\}\\}\\n\\n$`));
      assert.equal(clean, false);
    });
  }

  test("a provider that is not there", async () => {
    const gone = await startFakeUpstream();
    await gone.close();
    const alone = await startGateway(fakeConfig(gone.baseUrl));
    try {
      assert.equal((await errorOf(await chat(alone.url, { model: "fake-model" }))).code, "upstream_unreachable");
      const models = await fetch(`${alone.url}/readyz/models`);
      assert.equal(models.status, 503);
      const ready = await fetch(`${alone.url}/readyz`);
      assert.equal(ready.status, 200);
      assert.deepEqual(Reflect.get(Object(await ready.json()), "degraded"), ["model:fake"]);
    } finally {
      await alone.close();
    }
  });
});

describe("clients that leave or read slowly", () => {
  for (const [name, behaviour, stream] of [
    ["before headers", { hang: "before-headers" }, false],
    ["mid-stream", { gateAt: 1 }, true],
  ] as const) {
    test(`${name}: the upstream's call is dropped`, async () => {
      await upstream.script([behaviour]);
      const abort = new AbortController();
      const pending = chat(gateway.url, { model: "fake-model", stream }, bearer, abort.signal);
      if (stream) {
        const response = await pending;
        await response.body?.getReader().read();
      } else {
        pending.catch(() => undefined);
        await upstream.waitFor("open");
      }
      const begun = performance.now();
      abort.abort();
      const [entry] = await upstream.waitFor("aborted");
      assert.equal(entry?.state, "aborted");
      assert.ok(performance.now() - begun < 1000, "at once, not at the upstream's timeout");
    });
  }

  test("a slow reader holds the upstream back", async () => {
    const words = Array.from({ length: 400 }, (_, index) => `w${index}`);
    await upstream.script([{ words, chunkBytes: 65_536 }]);
    const slow = httpRequest(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { ...bearer, "content-type": "application/json" },
    });
    slow.end(JSON.stringify({ model: "fake-model", stream: true, messages: [] }));
    const response = await new Promise<import("node:http").IncomingMessage>((resolve) => slow.once("response", resolve));
    response.pause();
    // Sent chunks stand still once every buffer between is full.
    let before = -1;
    for (let count = 0; count !== before; ) {
      before = count;
      await sleep(120);
      count = (await upstream.ledger())[0]?.sentChunks ?? 0;
    }
    assert.ok(before < words.length, `${before} of ${words.length} chunks were taken in`);
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    response.resume();
    await new Promise((resolve) => response.once("close", resolve));
    assert.ok(bytes > words.length * 65_536, "and all arrives in the end");
  });
});

describe("requests", () => {
  const bad: [string, string, string, number, string][] = [
    ["not JSON", "{", "application/json", 400, "invalid_json"],
    ["a list", "[]", "application/json", 400, "invalid_request"],
    ["empty", "", "application/json", 400, "invalid_json"],
    ["a number as model", '{"model":5}', "application/json", 400, "invalid_request"],
    ["a text as stream", '{"model":"fake-model","stream":"yes"}', "application/json", 400, "invalid_request"],
    ["unknown model", '{"model":"fake-modle"}', "application/json", 404, "model_not_found"],
  ];
  for (const [name, body, type, status, code] of bad) {
    test(name, async () => {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { ...bearer, "content-type": type },
        body,
      });
      const failure = await errorOf(response);
      assert.deepEqual({ status: failure.status, code: failure.code }, { status, code });
    });
  }

  test("a content of the request never shows in an error", async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: bearer,
      body: '{"x": private words',
    });
    assert.doesNotMatch(await response.text(), /private/);
  });

  test("a request id is kept, and made where there is none", async () => {
    await upstream.script([{}]);
    const kept = await chat(gateway.url, { model: "fake-model" }, { ...bearer, "x-request-id": "abc.123" });
    assert.equal(kept.headers.get("x-request-id"), "abc.123");
    const [entry] = await upstream.ledger();
    assert.equal(entry?.headers["x-request-id"], "abc.123");
    assert.match((await chat(gateway.url, { model: "fake-model" })).headers.get("x-request-id") ?? "", /^[0-9a-f]{32}$/);
  });

  test("the access log has one line a request, without token or content", async () => {
    await upstream.script([{}]);
    gateway.lines.length = 0;
    await (await chat(gateway.url, { model: "fake-model" })).text();
    await sleep(20);
    const [line, ...more] = gateway.lines.map((text): Record<string, unknown> => JSON.parse(text));
    assert.equal(more.length, 0);
    assert.equal(line?.event, "request");
    assert.equal(line?.status, 200);
    assert.equal(line?.token_id, "token");
    assert.equal(line?.llm_tokens, 12);
    assert.doesNotMatch(gateway.lines.join(""), new RegExp(`${token}|"hi"`));
  });
});
