// Idempotency keys: a request that is sent again is answered once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway } from "../../support/gateway.ts";
import { metricsOf } from "../../support/two-upstreams.ts";

let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());

const second = "second-token-0123456789";

async function withGateway(run: (gateway: TestGateway) => Promise<void>, idempotency: object = {}): Promise<void> {
  const stack = {
    tokens: [{ id: "second", token: second }],
    idempotency,
    usage: { enabled: false },
    routing: { breaker: { failures: 1000 } },
  };
  const gateway = await startGateway(fakeConfig(upstream.baseUrl, stack));
  try {
    await run(gateway);
  } finally {
    await gateway.close();
  }
}

interface Answer {
  status: number;
  replayed: string | null;
  text: string;
}

async function ask(
  gateway: TestGateway,
  key: string,
  body: object = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await chat(gateway.url, { model: "fake-model", ...body }, { ...bearer, "idempotency-key": key, ...headers });
  return { status: response.status, replayed: response.headers.get("idempotent-replayed"), text: await response.text() };
}

const messages = (gateway: TestGateway, key: string, content: string): Promise<Response> =>
  fetch(`${gateway.url}/v1/messages`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ model: "fake-model", max_tokens: 9, messages: [{ role: "user", content }] }),
  });

test("the same key and body is given the first answer, and the upstream is asked once", async () => {
  await upstream.script([{}]);
  await withGateway(async (gateway) => {
    const first = await ask(gateway, "k-1");
    const again = await ask(gateway, "k-1");
    assert.deepEqual([first.status, first.replayed, again.status, again.replayed], [200, null, 200, "true"]);
    assert.equal(again.text, first.text);
    await ask(gateway, "k-2");
    assert.equal((await upstream.ledger()).length, 2);
    assert.match(await metricsOf(gateway), /openclaw_idempotent_requests_total\{result="replayed"\} 1\n/);
  });
});

test("a repetition waits for the first, also when the first has left meanwhile", async () => {
  await withGateway(async (gateway) => {
    for (const leaves of [false, true]) {
      await upstream.script([{ gate: "go" }]);
      const leave = new AbortController();
      const headers = { ...bearer, "idempotency-key": `wait-${leaves}` };
      const first = chat(gateway.url, { model: "fake-model" }, headers, leave.signal).then(
        (response) => response.text(),
        () => "left",
      );
      await upstream.waitFor("open");
      const again = ask(gateway, `wait-${leaves}`);
      const joined = `openclaw_idempotent_requests_total{result="joined"} ${leaves ? 2 : 1}\n`;
      while (!(await metricsOf(gateway)).includes(joined));
      if (leaves) {
        leave.abort();
        assert.equal(await first, "left");
      }
      await upstream.open("go");
      const { status, replayed, text } = await again;
      assert.deepEqual([status, replayed], [200, "true"]);
      if (!leaves) assert.equal(text, await first);
      assert.equal((await upstream.ledger()).length, 1);
    }
  });
});

test("the same key with another body is refused by name, in the shape of the API", async () => {
  await upstream.script([{}]);
  await withGateway(async (gateway) => {
    await ask(gateway, "k");
    const refused = await ask(gateway, "k", { temperature: 1 });
    assert.equal(refused.status, 422);
    const error: unknown = Reflect.get(Object(JSON.parse(refused.text)), "error");
    assert.deepEqual(
      ["type", "code", "param"].map((field) => Reflect.get(Object(error), field)),
      ["invalid_request_error", "idempotency_conflict", "Idempotency-Key"],
    );
    await (await messages(gateway, "m", "hi")).text();
    const anthropic = await messages(gateway, "m", "other");
    assert.equal(anthropic.status, 422);
    const body: unknown = await anthropic.json();
    assert.equal(Reflect.get(Object(body), "type"), "error");
    assert.match(JSON.stringify(body), /"type":"invalid_request_error","message":"Idempotency-Key: /);
  });
});

test("while the first is under way another body is refused as well", async () => {
  await upstream.script([{ gate: "go" }]);
  await withGateway(async (gateway) => {
    const first = ask(gateway, "k");
    await upstream.waitFor("open");
    assert.equal((await ask(gateway, "k", { temperature: 1 })).status, 422);
    await upstream.open("go");
    assert.equal((await first).status, 200);
  });
});

test("a key belongs to its token", async () => {
  await upstream.script([{}]);
  await withGateway(async (gateway) => {
    await ask(gateway, "k");
    const theirs = await ask(gateway, "k", { temperature: 1 }, { authorization: `Bearer ${second}` });
    assert.deepEqual([theirs.status, theirs.replayed], [200, null]);
    assert.equal((await upstream.ledger()).length, 2);
  });
});

test("what may be different next time is not kept: failures of the upstream and its limits", async () => {
  await withGateway(async (gateway) => {
    for (const behaviour of [{ status: 500 }, { status: 429 }, { cutAfterBytes: 30 }]) {
      await upstream.script([behaviour, {}]);
      const key = JSON.stringify(behaviour);
      assert.notEqual((await ask(gateway, key)).status, 200);
      // A limit closes the upstream for a second or so.
      let again = await ask(gateway, key);
      while (again.status === 429 || again.status === 503) again = await ask(gateway, key);
      assert.deepEqual([again.status, again.replayed], [200, null], key);
    }
  });
});

test("a refusal of the request itself is kept", async () => {
  const errorBody = {
    error: { message: "temperature is too high", type: "invalid_request_error", param: "temperature", code: null },
  };
  await upstream.script([{ status: 400, errorBody }, {}]);
  await withGateway(async (gateway) => {
    const first = await ask(gateway, "k");
    const again = await ask(gateway, "k");
    assert.deepEqual([first.status, again.status, again.replayed], [400, 400, "true"]);
    assert.equal(again.text, first.text);
    assert.match(again.text, /temperature is too high/);
    assert.equal((await upstream.ledger()).length, 1);
  });
});

test("keys that cannot be one are refused; streams, and gateways where it is turned off, take no notice", async () => {
  await upstream.script([{}]);
  await withGateway(async (gateway) => {
    const refused = await ask(gateway, "x".repeat(256));
    assert.equal(refused.status, 400);
    assert.match(refused.text, /"param":"Idempotency-Key"/);
    await ask(gateway, "s", { stream: true });
    const again = await ask(gateway, "s", { stream: true });
    assert.deepEqual([again.status, again.replayed], [200, null]);
  });
  await upstream.script([{}]);
  await withGateway(
    async (gateway) => {
      await ask(gateway, "k");
      assert.equal((await ask(gateway, "k", { temperature: 1 })).status, 200);
    },
    { enabled: false },
  );
});
