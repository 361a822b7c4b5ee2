// Clients that leave, on every path that a request can be on: the upstream's own ledger tells whether each of them was let go.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "./fake-upstream.ts";
import { bearer, chat, type TestGateway } from "./gateway.ts";
import { startSilentServer } from "./silent-server.ts";
import { metricsOf, startWithFallback, upstreamsOf } from "./two-upstreams.ts";

const hour = 3_600_000;
const patient = { connectMs: hour, headersMs: hour, firstTokenMs: hour, betweenTokensMs: hour, totalMs: hour };
const routing = { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker: { failures: 1_000_000 } };

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

/** So many clients on each path, `atOnce` of them at the same time. */
export function testCancellation(total: number, atOnce: number): void {
  const rounds = Math.ceil(total / atOnce);
  const all = rounds * atOnce;
  let a: FakeUpstream;
  let b: FakeUpstream;
  before(async () => {
    [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
  });
  after(() => Promise.all([a.close(), b.close()]));

  for (const path of paths) {
    test(`${all} clients that leave ${path.name}`, async () => {
      const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing });
      const last = path.second ? b : a;
      try {
        for (let round = 0; round < rounds; round += 1) {
          await Promise.all([a.script([path.first]), b.script([path.second ?? {}])]);
          const clients = startClients(gateway, atOnce, path.stream, path.midStream === true);
          await last.waitFor("open", atOnce);
          await clients.begun;
          clients.leave();
          const ledger = await last.waitFor("aborted", atOnce);
          assert.deepEqual([...new Set(ledger.map(({ state }) => state))], ["aborted"]);
          assert.equal(ledger.length, atOnce);
          await clients.over;
        }
        await checkBooks(gateway, all, { [path.second ? "b" : "a"]: all });
      } finally {
        await gateway.close();
      }
    });
  }

  test(`${all} clients that leave while the upstream is being connected`, async () => {
    const silent = await startSilentServer();
    const gateway = await startWithFallback(`https://127.0.0.1:${silent.port}/v1`, b, { timeouts: patient, routing });
    try {
      for (let round = 0; round < rounds; round += 1) {
        const clients = startClients(gateway, atOnce, true, false);
        await silent.until(atOnce);
        clients.leave();
        await silent.until(0);
        await clients.over;
      }
      await checkBooks(gateway, all, { a: all });
    } finally {
      await gateway.close();
      await silent.close();
    }
  });

  test(`${all} clients that leave while both of two upstreams are asked`, async () => {
    const hedge = { afterMs: 1, maxShare: 1 };
    const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing: { ...routing, hedge } });
    try {
      for (let round = 0; round < rounds; round += 1) {
        await Promise.all([a.script([{ hang: "before-headers" }]), b.script([{ hang: "after-headers" }])]);
        const clients = startClients(gateway, atOnce, true, false);
        await Promise.all([a.waitFor("open", atOnce), b.waitFor("open", atOnce)]);
        clients.leave();
        await Promise.all([a.waitFor("aborted", atOnce), b.waitFor("aborted", atOnce)]);
        await clients.over;
      }
      await checkBooks(gateway, all, { a: all, b: all });
    } finally {
      await gateway.close();
    }
  });

  test(`${all} clients that leave while they wait for a place: they are never sent`, async () => {
    await Promise.all([a.script([{ hang: "before-headers" }]), b.script([{}])]);
    const admission = {
      upstreams: { a: { maxConcurrent: 1 } },
      whenFull: "wait" as const,
      queue: { maxLength: atOnce, maxWaitMs: hour },
    };
    const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing, admission });
    try {
      const holder = startClients(gateway, 1, true, false);
      await a.waitFor("open");
      for (let round = 0; round < rounds; round += 1) {
        const clients = startClients(gateway, atOnce, true, false);
        await waiting(gateway, atOnce);
        clients.leave();
        await clients.over;
        await waiting(gateway, 0);
      }
      holder.leave();
      await a.waitFor("aborted");
      await holder.over;
      await checkBooks(gateway, all + 1, { a: 1 });
      assert.equal((await a.ledger()).length, 1);
      assert.equal((await b.ledger()).length, 0);
    } finally {
      await gateway.close();
    }
  });

  test("one client that leaves is gone from the upstream within 50 ms", async () => {
    const gateway = await startWithFallback(a.baseUrl, b, { timeouts: patient, routing });
    try {
      const times: number[] = [];
      for (let round = 0; round < 15; round += 1) {
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
      // What other programs on the machine take is not the gateway's.
      assert.ok((times[3] ?? Number.POSITIVE_INFINITY) < 50, times.map((ms) => ms.toFixed(0)).join(" "));
    } finally {
      await gateway.close();
    }
  });
}

function startClients(gateway: TestGateway, count: number, stream: boolean, readFirst: boolean) {
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

/** Until so many wait for a place. */
async function waiting(gateway: TestGateway, count: number): Promise<void> {
  const lengthOf = (text: string): number => {
    const lanes = [...text.matchAll(/openclaw_queue_lane_size\{[^}]*\} (\d+)\n/g)];
    return lanes.reduce((sum, [, size]) => sum + Number(size), 0);
  };
  assert.equal(lengthOf(await figures(gateway, (text) => lengthOf(text) === count)), count, "requests that wait");
}

/** The gateway hears of the last closed connection in its own time: asked until it has. */
async function checkBooks(gateway: TestGateway, left: number, upstreams: Record<string, number>): Promise<void> {
  const wanted = `openclaw_http_requests_total{route="/v1/chat/completions",status="499"} ${left}\n`;
  const text = await figures(gateway, (shown) => shown.includes(wanted));
  assert.ok(text.includes(wanted), "each is a 499");
  for (const [provider, count] of Object.entries(upstreams)) {
    assert.ok(text.includes(`openclaw_llm_cancellations_total{provider="${provider}"} ${count}\n`), "each is a cancellation");
    const outcome = `openclaw_llm_requests_total{provider="${provider}",model="fake-model",outcome="cancelled"} ${count}\n`;
    assert.ok(text.includes(outcome), "and no failure of the upstream");
    assert.ok(text.includes(`openclaw_llm_requests_active{provider="${provider}"} 0\n`));
    const shown = (await upstreamsOf(gateway)).find(({ upstream }) => upstream === `${provider}/fake-model`);
    assert.equal(shown, undefined, "nothing is under way, nothing failed");
  }
}

async function figures(gateway: TestGateway, isThere: (text: string) => boolean): Promise<string> {
  const until = performance.now() + 20_000;
  for (;;) {
    const text = await metricsOf(gateway);
    if (isThere(text) || performance.now() > until) return text;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
