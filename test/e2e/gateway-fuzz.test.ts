// A thousand requests that no client should send, on every API and provider kind: the gateway answers each in the shape of its API and stays as it was.
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { createRandom } from "../support/fuzz.ts";
import { type Answer, type Case, makeCase } from "../support/fuzz-requests.ts";
import { bearer, chat, type GatewayProcess, makeFolder, spawnGateway, token } from "../support/gateway.ts";

const seed = Number(process.env.FUZZ_SEED ?? 20_261);
const count = Number(process.env.FUZZ_REQUESTS ?? 1000);

let upstream: FakeUpstream;
let gateway: GatewayProcess;
const folder = makeFolder();

before(async () => {
  upstream = await startFakeUpstream();
  await upstream.script([{}], ["fake-model"]);
  const models = [{ id: "fake-model", input: ["text", "image"] }];
  const provider = (api: string, baseUrl = upstream.baseUrl) => ({ api, baseUrl, models });
  const port = await freePort();
  const path = folder.write("openclaw.json", {
    gateway: { auth: { token }, port, controlUi: { enabled: false } },
    models: {
      providers: {
        chat: provider("openai-completions"),
        responses: provider("openai-responses"),
        anthropic: provider("anthropic-messages"),
        ollama: provider("ollama", upstream.baseUrl.replace(/\/v1$/, "")),
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            cache: { enabled: true },
            logging: { accessLog: false },
            routing: { breaker: { failures: 1_000_000 } },
            http: { headersTimeoutMs: 2000, requestTimeoutMs: 2000 },
          },
        },
      },
    },
  });
  gateway = spawnGateway(path, folder.path, port);
  await gateway.says("gateway_ready");
});
after(async () => {
  await gateway.stop();
  await upstream.close();
  folder.remove();
});

test(`${count} requests from seed ${seed}: no crash, no HTML, no stack trace, the shape of the API that was called`, async () => {
  const random = createRandom(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const wrong: string[] = [];
  const statuses = new Map<number, number>();
  const warm = Array.from({ length: Math.min(count, 100) }, () => makeCase(random, { url: gateway.url, agent }));
  await runAll(warm, wrong, statuses);
  const figures = await memoryOf();
  const rest = Array.from({ length: count - warm.length }, () => makeCase(random, { url: gateway.url, agent }));
  await runAll(rest, wrong, statuses);
  agent.destroy();
  assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} of ${count}; statuses ${JSON.stringify([...statuses])}`);
  assert.equal(gateway.child.exitCode, null, gateway.output().slice(-2000));
  assert.ok(!gateway.output().includes('"uncaught"'), gateway.output().slice(-2000));
  for (const status of [200, 400, 404, 405]) assert.ok(statuses.has(status), `none of the answers is a ${status}`);

  // As it was before: answers, and holds nothing of what is over.
  for (const provider of ["chat", "responses", "anthropic", "ollama"]) {
    const response = await chat(gateway.url, { model: `${provider}/fake-model` }, { ...bearer, "x-openclaw-cache": "off" });
    assert.equal(response.status, 200, await response.text());
  }
  const until = Date.now() + 20_000;
  let after = await memoryOf();
  while ((after.connections > 3 || after.active > 0) && Date.now() < until) after = await memoryOf();
  assert.ok(after.connections <= 3, `${after.connections} connections stay open`);
  assert.equal(after.active, 0, "no call is under way");
  assert.ok(after.bytes < figures.bytes + 150e6, `memory went from ${figures.bytes} to ${after.bytes}`);
});

async function runAll(cases: Case[], wrong: string[], statuses: Map<number, number>): Promise<void> {
  const queue = [...cases];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let one = queue.shift(); one; one = queue.shift()) {
        const answer = await one.send().catch((error: unknown) => String(error));
        if (answer === undefined) continue;
        if (typeof answer === "string") {
          wrong.push(`${one.what}: ${answer}`);
          continue;
        }
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const problem = faultOf(one.path, answer);
        if (problem) wrong.push(`${one.what}: ${problem}: ${answer.status} ${answer.text.slice(0, 300)}`);
      }
    }),
  );
}

function faultOf(path: string, { status, type, text }: Answer): string | undefined {
  if (/<!doctype|<html|<body/i.test(text)) return "HTML";
  if (/\n\s+at |node:internal|\/gateway\/[a-z]+\//.test(text)) return "a stack trace";
  if (text.includes(token)) return "the token";
  if (status < 400) return undefined;
  if (text.includes('"code":"internal"')) return "an error of the gateway's own";
  if (text === "") return "no body";
  if (!type.startsWith("application/json")) return `the type ${type}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "no JSON";
  }
  const error: unknown = Reflect.get(Object(value), "error");
  const field = (name: string): unknown => Reflect.get(Object(error), name);
  if (typeof field("message") !== "string" || typeof field("type") !== "string") return "no error shape";
  // Nothing may have been read of what did not come in time.
  if (status === 408) return undefined;
  const isAnthropic = /^\/v1\/messages(?:[/?]|$)/.test(path);
  if (isAnthropic !== (Reflect.get(Object(value), "type") === "error")) return "the shape of the other API";
  return undefined;
}

async function memoryOf(): Promise<{ bytes: number; connections: number; active: number }> {
  const text = await (await fetch(`${gateway.url}/metrics`, { headers: bearer })).text();
  const value = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce((sum, match) => sum + Number(match[1]), 0);
  return {
    bytes: value("process_resident_memory_bytes"),
    connections: value("openclaw_gateway_connections_active"),
    active: value("openclaw_llm_requests_active"),
  };
}
