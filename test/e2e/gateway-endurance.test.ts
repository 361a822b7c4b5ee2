// Ten thousand requests through an upstream that fails in every way: each has an end, and nothing of it stays in the gateway.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Behaviour, type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat } from "../support/gateway.ts";
import { type MeasuredGateway, startMeasuredGateway } from "../support/measured-gateway.ts";

const rounds = Number(process.env.ROUNDS ?? 10_000);
const warmUp = rounds / 10;
const atOnce = 48;
const limitMs = 150;

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

const whole = (type: string, body: string, length = Buffer.byteLength(body)): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n${body}`;

const faults: Behaviour[] = [
  {},
  { reset: "before-headers" },
  { reset: "after-headers" },
  { status: 500 },
  { status: 503 },
  { status: 429 },
  { cutAfterBytes: 20, cutAfterChunks: 2 },
  { raw: whole("application/json", '{"id":"x","choices":[{"index":0') },
  { raw: whole("application/json", '{"id":"x"}', 500) },
  { raw: whole("text/event-stream", "data: {oops\n\n") },
  { raw: "HTTP/1.1 200 OK\r\ncontent-" },
  { raw: "nonsense" },
  { splitBytes: 7 },
  {},
  { status: 400 },
  { ignoreStream: true },
];
/** Each takes as long as the timeout: a few of them say as much as many. */
const slow: Behaviour[] = [{ hang: "before-headers" }, { hang: "after-headers" }, { hang: "mid-stream" }, { drip: true }];

const behaviourOf = (round: number): Behaviour =>
  (round % 25 === 0 ? slow[(round / 25) % slow.length] : faults[round % faults.length]) ?? {};

const ends = { answered: 0, refused: 0, broken: 0, left: 0 };

async function ask(gateway: MeasuredGateway, round: number): Promise<void> {
  // Some clients leave at once, some when the first bytes are here.
  const leave = round % 11 === 0 || round % 13 === 0 ? new AbortController() : undefined;
  const stream = round % 2 === 0;
  try {
    const asked = chat(gateway.url, { model: "a/fake-model", stream }, bearer, leave?.signal);
    if (round % 11 === 0) setImmediate(() => leave?.abort());
    const response = await asked;
    leave?.abort();
    const text = await response.text();
    if (response.status === 200) {
      assert.match(text, stream ? /data: \[DONE\]\n\n$|"finish_reason":"stop"/ : /"choices"/);
      ends.answered += 1;
    } else {
      assert.match(text, /^\{"error":\{"message":"[^"]/);
      ends.refused += 1;
    }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    if (leave?.signal.aborted) ends.left += 1;
    else ends.broken += 1;
  }
}

async function run(gateway: MeasuredGateway, count: number): Promise<void> {
  for (let begun = 0; begun < count; begun += 1000) {
    const size = Math.min(1000, count - begun);
    await Promise.all([a.script(Array.from({ length: size }, (_, round) => behaviourOf(round))), b.script([{}])]);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < size) {
        next += 1;
        await ask(gateway, begun + next);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }
}

const idle =
  /openclaw_llm_requests_active\{provider="a"\} 0\n[\s\S]*openclaw_llm_requests_active\{provider="b"\} 0\n|openclaw_llm_requests_active\{provider="b"\} 0\n[\s\S]*openclaw_llm_requests_active\{provider="a"\} 0\n/;

/** The figures once nothing is under way. */
async function atRest(gateway: MeasuredGateway): Promise<string> {
  const until = performance.now() + 30_000;
  for (;;) {
    const text = await (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
    if (idle.test(text)) return text;
    assert.ok(performance.now() < until, `calls stay under way:\n${text.match(/.*requests_active.*/g)?.join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test(`${rounds} rounds of mixed faults leave no socket and no memory behind`, async (context) => {
  const timeouts = { connectMs: 5000, headersMs: limitMs, firstTokenMs: limitMs, betweenTokensMs: limitMs, totalMs: 2000 };
  const breaker = { failures: 1_000_000, errorRate: { minRequests: 1_000_000 }, maxOpenMs: 1 };
  const gateway = await startMeasuredGateway(a.baseUrl, b.baseUrl, {
    timeouts,
    routing: { fallbacks: { "a/fake-model": ["b/fake-model"] }, breaker },
    logging: { accessLog: false },
  });
  try {
    await run(gateway, warmUp);
    await atRest(gateway);
    const before = await gateway.measure();
    await run(gateway, rounds);
    const text = await atRest(gateway);
    const after = await gateway.measure();
    const shown = JSON.stringify({ before, after, ends });
    context.diagnostic(shown);
    // Connections that are kept on both sides are as many as were used at once.
    assert.ok(after.files <= before.files + 2 * atOnce, shown);
    assert.ok(after.heapBytes <= before.heapBytes + 10 * 1024 * 1024, shown);
    assert.equal(ends.answered + ends.refused + ends.broken + ends.left, rounds + warmUp, "each has an end");
    assert.ok(ends.answered > rounds / 4, shown);
    for (const reason of ["upstream_failed", "upstream_cut", "upstream_malformed", "upstream_timeout", "upstream_rate_limited"])
      assert.match(text, new RegExp(`openclaw_model_failover_total\\{reason="${reason}"\\} [1-9]`));
    assert.match(text, /openclaw_upstream_stale_connections_total\{provider="a"\} [1-9]/);
  } finally {
    await gateway.close();
  }
});
