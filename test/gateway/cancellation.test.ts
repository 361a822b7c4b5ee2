// A client that leaves ends the upstream's work on every path, and counts as 499, not as the upstream's failure.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat, type TestGateway } from "../support/gateway.ts";
import { startSilentServer } from "../support/silent-server.ts";
import { metricsOf, startWithFallback, upstreamsOf } from "../support/two-upstreams.ts";

const count = Number(process.env.CANCELLATIONS ?? 100);
const patient = { connectMs: 60_000, headersMs: 60_000, firstTokenMs: 60_000, betweenTokensMs: 60_000, totalMs: 60_000 };
const routing = { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 1_000_000 } };

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

interface Path {
  name: string;
  stream: boolean;
  first: Behaviour;
  /** "a" answers with `first`, and the request is left at "b". */
  second?: Behaviour;
  /** Left when the first bytes are here. */
  midStream?: boolean;
}

const paths: Path[] = [
  { name: "before the headers of a stream", stream: true, first: { hang: "before-headers" } },
  { name: "before the answer that is not streamed", stream: false, first: { hang: "before-headers" } },
  { name: "in the middle of an answer that is not streamed", stream: false, first: { hang: "after-headers" } },
  { name: "before the first token", stream: true, first: { hang: "after-headers" } },
  { name: "mid-stream", stream: true, first: { hang: "mid-stream" }, midStream: true },
  { name: "after a failover", stream: true, first: { status: 500 }, second: { hang: "before-headers" } },
  {
    name: "mid-stream after a failover",
    stream: true,
    first: { status: 503 },
    second: { hang: "mid-stream" },
    midStream: true,
  },
];

for (const path of paths) {
  test(`${count} clients that leave ${path.name}`, async () => {
    await Promise.all([a.script([path.first]), b.script([path.second ?? {}])]);
    const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing });
    const last = path.second ? b : a;
    try {
      const clients = startClients(gateway, path.stream, path.midStream === true);
      await last.waitFor("open", count);
      await clients.begun;
      const begun = performance.now();
      clients.leave();
      const ledger = await last.waitFor("aborted", count);
      const ms = performance.now() - begun;
      assert.equal(ledger.filter(({ state }) => state === "aborted").length, count);
      // All of them together, in one busy process: far below a second each at the same time.
      assert.ok(ms < 1000, `the last of them was aborted after ${ms} ms`);
      await clients.over;
      await checkBooks(gateway, path.second ? "b" : "a");
    } finally {
      await gateway.close();
    }
  });
}

test(`${count} clients that leave while the upstream is being connected`, async () => {
  const silent = await startSilentServer();
  const gateway = await startWithFallback(`https://127.0.0.1:${silent.port}/v1`, b, { timeouts: patient, routing });
  try {
    const clients = startClients(gateway, true, false);
    await silent.until(count);
    const begun = performance.now();
    clients.leave();
    await silent.until(0);
    const ms = performance.now() - begun;
    assert.ok(ms < 1000, `the last connection was dropped after ${ms} ms`);
    await clients.over;
    await checkBooks(gateway, "a");
  } finally {
    await gateway.close();
    await silent.close();
  }
});

test("one client that leaves is gone from the upstream within 50 ms", async () => {
  await a.script([{ hang: "mid-stream" }]);
  const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing });
  try {
    const times: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      await a.script([{ hang: "mid-stream" }]);
      const leave = new AbortController();
      const response = await chat(gateway.url, { model: "a/fake-model", stream: true }, bearer, leave.signal);
      await response.body?.getReader().read();
      const begun = performance.now();
      leave.abort();
      await a.waitFor("aborted");
      times.push(performance.now() - begun);
    }
    times.sort((one, other) => one - other);
    assert.ok((times[4] ?? Number.POSITIVE_INFINITY) < 50, `median of ${times.map((ms) => ms.toFixed(0))} ms`);
  } finally {
    await gateway.close();
  }
});

function startClients(gateway: TestGateway, stream: boolean, readFirst: boolean) {
  const leave = new AbortController();
  const starts: Promise<unknown>[] = [];
  const ends: Promise<unknown>[] = [];
  for (let index = 0; index < count; index += 1) {
    const response = chat(gateway.url, { model: "a/fake-model", stream }, bearer, leave.signal);
    const read = response.then((value) => (readFirst ? value.body?.getReader().read() : undefined));
    if (readFirst) starts.push(read);
    ends.push(read.catch(() => undefined));
  }
  return { begun: Promise.all(starts), over: Promise.all(ends), leave: () => leave.abort() };
}

/** The gateway hears of the last closed connection in its own time: asked until it has. */
async function checkBooks(gateway: TestGateway, provider: string): Promise<void> {
  const wanted = `openclaw_http_requests_total{route="/v1/chat/completions",status="499"} ${count}\n`;
  let figures = await metricsOf(gateway);
  for (let tries = 0; tries < 100 && !figures.includes(wanted); tries += 1) figures = await metricsOf(gateway);
  assert.ok(figures.includes(wanted), "each is a 499");
  assert.ok(figures.includes(`openclaw_llm_cancellations_total{provider="${provider}"} ${count}\n`), "each is a cancellation");
  const outcome = `openclaw_llm_requests_total{provider="${provider}",model="fake-model",outcome="cancelled"} ${count}\n`;
  assert.ok(figures.includes(outcome), "and no failure of the upstream");
  assert.ok(figures.includes(`openclaw_llm_requests_active{provider="${provider}"} 0\n`));
  const shown = (await upstreamsOf(gateway)).find(({ upstream }) => upstream === `${provider}/fake-model`);
  assert.equal(shown, undefined, "nothing is under way, nothing failed");
}
