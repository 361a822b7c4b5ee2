/** Memory of large bodies is used again: whoever asks, and whatever happens to the others, gets its own answer and sends its own question. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createRandom, pick, type Random } from "../../support/fuzz.ts";
import { fakeConfig, startGateway, type TestGateway, token } from "../../support/gateway.ts";

let upstream: Server;
let gateway: TestGateway;
let sharing: TestGateway;
/** Bodies that reached the upstream and were not of one question alone. */
const mixed: string[] = [];

/** Answers with the question itself, in pieces; some before it was read, some too late, some not to the end. */
before(async () => {
  upstream = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = [];
    incoming.on("error", () => {});
    outgoing.on("error", () => {});
    incoming.on("data", (piece: Buffer) => pieces.push(piece));
    incoming.once("end", async () => {
      if (incoming.method !== "POST") {
        outgoing.end('{"data":[]}');
        return;
      }
      const text = Buffer.concat(pieces).toString("utf8");
      const content = /"content":"([^"]*)"/.exec(text)?.[1] ?? "";
      if (!isOfOne(content)) mixed.push(text.slice(0, 200));
      const how = content.split("-")[1];
      const answer = Buffer.from(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
      outgoing.setHeader("content-type", "application/json").setHeader("content-length", answer.length);
      if (how === "late") await pause(30);
      const cut = how === "cut" ? answer.length >> 1 : answer.length;
      for (let at = 0; at < cut; at += 48_000) {
        outgoing.write(answer.subarray(at, Math.min(cut, at + 48_000)));
        if (how === "slow") await pause(2);
      }
      if (how === "cut") outgoing.destroy();
      else outgoing.end();
    });
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const baseUrl = `http://127.0.0.1:${portOf(upstream.address())}/v1`;
  gateway = await startGateway(fakeConfig(baseUrl, { routing: { breaker: { failures: 1000 } } }));
  sharing = await startGateway(fakeConfig(baseUrl, { cache: { enabled: true } }));
});
after(async () => {
  await gateway.close();
  await sharing.close();
  upstream.closeAllConnections();
  upstream.close();
});

const portOf = (address: AddressInfo | string | null): number =>
  typeof address === "object" && address ? address.port : assert.fail("no port");

/** As "7-slow-": again and again. */
const questionOf = (number: number, how: string, bytes: number): string => {
  const word = `${number}-${how}-`;
  return word.repeat(Math.ceil(bytes / word.length));
};
const isOfOne = (text: string): boolean => {
  const word = text.slice(0, text.indexOf("-", text.indexOf("-") + 1) + 1);
  return word.length > 0 && text === word.repeat(text.length / word.length);
};

/** The content of the answer, or undefined where the client left. `leaveAfter`: so many bytes of the answer. */
function ask(url: string, agent: Agent, content: string, reading: "at once" | "slowly" | number): Promise<string | undefined> {
  const body = JSON.stringify({ model: "fake/fake-model", messages: [{ role: "user", content }] });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v1/chat/completions`, { agent, method: "POST", headers }, async (answer) => {
      let text = "";
      try {
        for await (const piece of answer) {
          text += String(piece);
          if (reading === "slowly") await pause(1);
          if (typeof reading === "number" && text.length > reading) {
            sent.destroy();
            resolve(undefined);
            return;
          }
        }
        resolve(text);
      } catch (error) {
        reject(error);
      }
    });
    sent.on("error", reject);
    sent.setHeader("content-length", Buffer.byteLength(body));
    sent.end(body);
  });
}

async function client(to: TestGateway, number: number, calls: number, random: Random): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let whole = 0;
  for (let call = 0; call < calls; call++) {
    const how = pick(random, ["quick", "quick", "slow", "late", "cut"]);
    const content = questionOf(number * 1000 + call, how, 1000 + Math.floor(random() * 299_000));
    const reading = pick(random, ["at once", "at once", "slowly", 20_000] as const);
    const text = await ask(to.url, agent, content, reading);
    if (text === undefined) continue;
    if (how === "cut") {
      assert.match(text, /"error":\{.*"(upstream_cut|upstream_failed)"/);
      continue;
    }
    const { choices } = JSON.parse(text) as { choices: { message: { content: string } }[] };
    const got = choices[0]?.message.content;
    assert.ok(
      got === content,
      `asked ${content.slice(0, 40)} of ${content.length}, got ${got?.slice(0, 40)} of ${got?.length}`,
    );
    whole += 1;
  }
  agent.destroy();
  return whole;
}

test("large questions and answers side by side, with clients that leave and upstreams that break off", async () => {
  const random = createRandom(7);
  const wholes = await Promise.all(Array.from({ length: 12 }, (_, number) => client(gateway, number, 12, random)));
  assert.ok(
    wholes.every((whole) => whole > 2),
    wholes.join(),
  );
  assert.deepEqual(mixed, []);
});

test("the same question at once: all have the whole answer, a slow one too, and later ones the kept one", async () => {
  const agent = new Agent({ keepAlive: true });
  for (let number = 0; number < 8; number++) {
    const content = questionOf(number + 500_000, "slow", 150_000);
    const readings = ["at once", "slowly", "at once", 30_000] as const;
    const others = questionOf(number + 600_000, "quick", 150_000);
    const texts = await Promise.all([
      ...readings.map((reading) => ask(sharing.url, agent, content, reading)),
      ask(sharing.url, agent, others, "at once"),
    ]);
    for (const [at, text] of [...texts, await ask(sharing.url, agent, content, "slowly")].entries()) {
      if (text === undefined) continue;
      assert.ok(text.includes(at === 4 ? others : content), `${number}: answer ${at} is another one's`);
    }
  }
  agent.destroy();
  assert.deepEqual(mixed, []);
});
