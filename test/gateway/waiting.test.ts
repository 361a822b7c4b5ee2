// Who waits is told so: comments come until there is an answer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { chat } from "../support/gateway.ts";
import { startWithFallback } from "../support/two-upstreams.ts";

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

const minute = 60_000;
const patient = { connectMs: minute, headersMs: minute, firstTokenMs: minute, betweenTokensMs: minute, totalMs: minute };

test("comments come while a request waits for a place", async () => {
  await Promise.all([a.script([{ gate: "first" }, {}]), b.script([{}])]);
  const gateway = await startWithFallback(a.baseUrl, b, {
    timeouts: patient,
    http: { sseKeepAliveMs: 30 },
    admission: { upstreams: { a: { maxConcurrent: 1 } }, whenFull: "wait" },
  });
  try {
    const first = chat(gateway.url, { model: "a/fake-model" });
    await a.waitFor("open");
    const waiting = await chat(gateway.url, { model: "a/fake-model", stream: true });
    assert.equal((await a.ledger()).length, 1, "it is not sent yet");
    await a.open("first");
    await (await first).text();
    const text = await waiting.text();
    assert.match(text, /^(: keep-alive\n\n)+data: [\s\S]*Hello[\s\S]*data: \[DONE\]\n\n$/);
  } finally {
    await gateway.close();
  }
});
