// A client that reads slowly is waited for: bounded buffers, and no upstream that runs ahead.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat } from "../support/gateway.ts";
import { type MeasuredGateway, startMeasuredGateway } from "../support/measured-gateway.ts";

let a: FakeUpstream;
let b: FakeUpstream;
before(async () => {
  [a, b] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(() => Promise.all([a.close(), b.close()]));

const minute = 60_000;
const patient = { connectMs: minute, headersMs: minute, firstTokenMs: minute, betweenTokensMs: minute, totalMs: minute };
const megabyte = 1024 * 1024;

/** An answer that nobody reads yet. */
async function unread(gateway: MeasuredGateway, stream: boolean): Promise<IncomingMessage> {
  const call = request(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
  });
  call.end(JSON.stringify({ model: "a/fake-model", stream, messages: [{ role: "user", content: "hi" }] }));
  const [response]: IncomingMessage[] = await once(call, "response");
  assert.ok(response);
  return response;
}

/** Chunks that the upstream could send, once no more of them go. */
async function stalledAt(): Promise<number> {
  for (let last = -1, same = 0; ; ) {
    const sent = (await a.ledger())[0]?.sentChunks ?? 0;
    same = sent === last ? same + 1 : 0;
    if (same >= 20) return sent;
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a client that does not read holds the upstream back, and not the gateway's memory", async () => {
  // Sockets on the way take some megabytes themselves: the answer is far larger.
  const chunks = 1600;
  await a.script([{ words: Array.from({ length: chunks }, () => "x"), chunkBytes: 50_000 }]);
  const gateway = await startMeasuredGateway(a.baseUrl, b.baseUrl, { timeouts: patient });
  try {
    await (await chat(gateway.url, { model: "b/fake-model", stream: true })).text();
    const before = await gateway.measure();
    const response = await unread(gateway, true);
    const sent = await stalledAt();
    assert.ok(sent < chunks / 2, `${sent} of ${chunks} chunks were sent`);
    const during = await gateway.measure();
    const grown = during.heapBytes - before.heapBytes;
    assert.ok(grown < 4 * megabyte, `${(grown / megabyte).toFixed(1)} MB more`);
    let bytes = 0;
    let tail = "";
    for await (const chunk of response) {
      bytes += chunk.length;
      tail = Buffer.from(chunk).toString("latin1").slice(-14);
    }
    assert.ok(bytes > chunks * 50_000, "all of it arrives once it is read");
    assert.ok(tail.endsWith("[DONE]\n\n"), tail);
    assert.equal((await a.waitFor("finished"))[0]?.sentChunks, chunks);
  } finally {
    await gateway.close();
  }
});

test("a client that never reads and leaves ends the upstream's work", async () => {
  await a.script([{ words: Array.from({ length: 1600 }, () => "x"), chunkBytes: 50_000 }]);
  const gateway = await startMeasuredGateway(a.baseUrl, b.baseUrl, { timeouts: patient });
  try {
    const response = await unread(gateway, true);
    await stalledAt();
    response.destroy();
    await a.waitFor("aborted");
  } finally {
    await gateway.close();
  }
});
