// Identical requests at the same time share one call of the upstream: who joins, who leaves, who reads slowly, who is told of failures.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, chat, fakeConfig, startGateway, type TestGateway, token } from "../../support/gateway.ts";
import { metricsOf } from "../../support/two-upstreams.ts";

let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());

type Stack = Parameters<typeof fakeConfig>[1];
const second = "second-token-0123456789";

async function withGateway(run: (gateway: TestGateway) => Promise<void>, cache: object = {}, stack: Stack = {}): Promise<void> {
  const tokens = [{ id: "second", token: second }];
  const gateway = await startGateway(
    fakeConfig(upstream.baseUrl, { tokens, cache: { enabled: true, ...cache }, usage: { enabled: false }, ...stack }),
  );
  try {
    await run(gateway);
  } finally {
    await gateway.close();
  }
}

/** Waits for a figure, which tells that a request has got so far. */
async function untilFigure(gateway: TestGateway, line: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) if ((await metricsOf(gateway)).includes(line)) return;
  assert.fail(`no ${line}`);
}

const coalesced = (count: number): string => `openclaw_cache_requests_total{result="coalesced"} ${count}\n`;
const body = (stream: boolean) => ({ model: "fake-model", stream });

for (const stream of [false, true]) {
  test(`64 identical requests cost one call, and all are given the same (${stream ? "stream" : "JSON"})`, async () => {
    await upstream.script([{ gate: "go" }]);
    await withGateway(async (gateway) => {
      const all = Array.from({ length: 64 }, () => chat(gateway.url, body(stream)));
      await untilFigure(gateway, coalesced(63));
      await upstream.open("go");
      const texts = await Promise.all(all.map(async (response) => (await response).text()));
      assert.equal(new Set(texts).size, 1);
      assert.match(texts[0] ?? "", stream ? /Hello[\s\S]*\[DONE\]\n\n$/ : /Hello from the fake model/);
      const ledger = await upstream.ledger();
      assert.deepEqual(
        ledger.map(({ state }) => state),
        ["finished"],
      );
      const marks = (await Promise.all(all)).map((response) => response.headers.get("x-openclaw-cache"));
      assert.deepEqual(
        [marks.filter((mark) => mark === "miss").length, marks.filter((mark) => mark === "coalesced").length],
        [1, 63],
      );
      assert.ok((await Promise.all(all)).every((response) => response.headers.get("x-openclaw-provider") === "fake"));
    });
  });
}

test("who asks in the middle of a stream is given its beginning, then the live rest", async () => {
  await upstream.script([{ words: ["one", "two", "three", "four"], gateAt: 2 }]);
  await withGateway(async (gateway) => {
    const first = await chat(gateway.url, body(true));
    const reader = first.body?.getReader();
    const begun = Buffer.from((await reader?.read())?.value ?? []).toString("utf8");
    assert.match(begun, /one/);
    const late = await chat(gateway.url, body(true));
    assert.equal(late.headers.get("x-openclaw-cache"), "coalesced");
    const lateReader = late.body?.getReader();
    let lateText = Buffer.from((await lateReader?.read())?.value ?? []).toString("utf8");
    assert.match(lateText, /one/, "the beginning is there before the end");
    assert.doesNotMatch(lateText, /three/);
    await upstream.open("stream");
    for (let part = await lateReader?.read(); part && !part.done; part = await lateReader?.read())
      lateText += Buffer.from(part.value).toString("utf8");
    assert.match(lateText, /one[\s\S]*two[\s\S]*three[\s\S]*four[\s\S]*\[DONE\]\n\n$/);
    while (!(await reader?.read())?.done);
    assert.equal((await upstream.ledger()).length, 1);
  });
});

for (const leaver of ["first", "second"] as const) {
  test(`when the ${leaver} of two leaves the other one is served; when both leave the call is aborted`, async () => {
    await withGateway(async (gateway) => {
      await upstream.script([{ gateAt: 2 }]);
      const leave = { first: new AbortController(), second: new AbortController() };
      const one = await chat(gateway.url, body(true), bearer, leave.first.signal);
      const two = await chat(gateway.url, body(true), bearer, leave.second.signal);
      leave[leaver].abort();
      await untilFigure(gateway, 'openclaw_http_requests_total{route="/v1/chat/completions",status="499"} 1\n');
      assert.equal((await upstream.ledger())[0]?.state, "open");
      await upstream.open("stream");
      const text = await (leaver === "first" ? two : one).text();
      assert.match(text, /Hello[\s\S]*\[DONE\]\n\n$/);
      const figures = await metricsOf(gateway);
      assert.match(figures, /openclaw_llm_requests_total\{provider="fake",model="fake-model",outcome="ok"\} 1\n/);

      await upstream.script([{ hang: "mid-stream" }]);
      const both = new AbortController();
      const asked = [1, 2].map(() => chat(gateway.url, { ...body(true), user: "x" }, bearer, both.signal));
      await Promise.all(asked);
      both.abort();
      const ledger = await upstream.waitFor("aborted");
      assert.equal(ledger.length, 1);
    });
  });
}

test("requests that wait for one JSON answer: one leaves, the call goes on for the other", async () => {
  await upstream.script([{ gate: "go" }]);
  await withGateway(async (gateway) => {
    const leave = new AbortController();
    const one = chat(gateway.url, body(false), bearer, leave.signal).catch(() => undefined);
    await upstream.waitFor("open");
    const two = chat(gateway.url, body(false));
    await untilFigure(gateway, coalesced(1));
    leave.abort();
    await one;
    await upstream.open("go");
    assert.match(await (await two).text(), /Hello from/);
    assert.equal((await upstream.ledger()).length, 1);
  });
});

test("all are told of a failure, in the shape of their API, and nothing of it is kept", async () => {
  await upstream.script([{ gate: "go", status: 500 }, {}]);
  await withGateway(async (gateway) => {
    const all = Array.from({ length: 8 }, () => chat(gateway.url, body(false)));
    await untilFigure(gateway, coalesced(7));
    await upstream.open("go");
    for (const response of await Promise.all(all)) {
      assert.equal(response.status, 502);
      assert.match(await response.text(), /"code":"upstream_failed"/);
      assert.equal(response.headers.get("x-openclaw-provider"), "fake");
    }
    assert.equal((await chat(gateway.url, body(false))).status, 200);
  });
});

test("requests of two tokens do not share a call, unless answers are shared on purpose", async () => {
  for (const shared of [false, true]) {
    await upstream.script([{ gate: "go" }, { gate: "go-too" }]);
    await withGateway(
      async (gateway) => {
        const mine = chat(gateway.url, body(false));
        await upstream.waitFor("open");
        const theirs = chat(gateway.url, body(false), { authorization: `Bearer ${second}` });
        if (shared) await untilFigure(gateway, coalesced(1));
        else await upstream.waitFor("open", 2);
        await upstream.open("go");
        if (!shared) await upstream.open("go-too");
        assert.deepEqual([(await mine).status, (await theirs).status], [200, 200]);
        assert.equal((await upstream.ledger()).length, shared ? 1 : 2);
      },
      { shared },
    );
  }
});

test("without coalescing each has its own call", async () => {
  await upstream.script([{ gate: "go" }, { gate: "go-too" }]);
  await withGateway(
    async (gateway) => {
      const all = [chat(gateway.url, body(false)), chat(gateway.url, body(false))];
      await upstream.waitFor("open", 2);
      await upstream.open("go");
      await upstream.open("go-too");
      assert.deepEqual(
        (await Promise.all(all)).map(({ status }) => status),
        [200, 200],
      );
    },
    { coalesce: false },
  );
});

test("one that does not read neither holds back the other nor fills the memory: it is let go", async () => {
  // Far more than the sockets between hold.
  await upstream.script([{ words: Array.from({ length: 1200 }, () => "x".repeat(20_000)), gateAt: 1 }]);
  await withGateway(
    async (gateway) => {
      const fast = await chat(gateway.url, body(true));
      const slow = await lazySocket(gateway);
      await untilFigure(gateway, coalesced(1));
      await upstream.open("stream");
      const text = await fast.text();
      assert.match(text, /\[DONE\]\n\n$/);
      assert.ok(text.length > 24_000_000);
      await untilFigure(gateway, 'openclaw_http_requests_total{route="/v1/chat/completions",status="200"} 1\n');
      const rest = await drain(slow);
      assert.match(rest, /"code":"slow_reader"/);
      assert.doesNotMatch(rest, /\[DONE\]/);
      assert.deepEqual(
        (await upstream.ledger()).map(({ state }) => state),
        ["finished"],
      );
    },
    { maxAnswerBytes: 4_000_000 },
  );
});

/** Asks, and reads nothing. */
async function lazySocket(gateway: TestGateway): Promise<Socket> {
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.pause();
  const text = JSON.stringify({ messages: [{ role: "user", content: "hi" }], ...body(true) });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
  return socket;
}

async function drain(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString("latin1")).slice(-100_000);
  });
  socket.resume();
  await Promise.race([once(socket, "close"), once(socket, "end")]);
  return text;
}
