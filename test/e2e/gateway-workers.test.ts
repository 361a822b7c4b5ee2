// A gateway of several workers: one config, one set of figures and limits; what one worker loses is its own.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import {
  bearer,
  chat,
  type Folder,
  fakeConfig,
  type GatewayProcess,
  makeFolder,
  spawnGateway,
  token,
} from "../support/gateway.ts";

type Stack = NonNullable<Parameters<typeof fakeConfig>[1]>;

let upstream: FakeUpstream;
let folder: Folder;
let running: GatewayProcess[] = [];

before(async () => {
  upstream = await startFakeUpstream();
});
after(() => upstream.close());
beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  await Promise.all(running.map((gateway) => gateway.stop()));
  running = [];
  folder.remove();
});

async function start(stack: Stack = {}, workers = 3) {
  const port = await freePort();
  const config = { ...fakeConfig(upstream.baseUrl, { workers, ...stack }), gateway: { port, auth: { token } } };
  const path = folder.write("openclaw.json", config);
  const gateway = spawnGateway(path, folder.path, port);
  running.push(gateway);
  await gateway.says("gateway_ready");
  return { gateway, path, config, url: gateway.url };
}

interface Detail {
  pid: number;
  degraded: string[];
  config: { hash: string; lastReload: { result: string; message?: string } | null };
  workers: { index: number; pid: number; state: string; crashes: number }[];
}

/** Of whichever worker gets the connection. */
async function detail(url: string): Promise<Detail> {
  return JSON.parse(await (await fetch(`${url}/readyz`, { headers: { ...bearer, connection: "close" } })).text());
}

/** Of every worker; asks until all have answered. */
async function detailOfAll(url: string): Promise<Detail[]> {
  const found = new Map<number, Detail>();
  await until("an answer of every worker", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => detail(url)));
    for (const answer of answers) found.set(answer.pid, answer);
    const pids = answers.at(-1)?.workers.map(({ pid }) => pid) ?? [];
    return pids.every((pid) => found.has(pid));
  });
  const pids = (await detail(url)).workers.map(({ pid }) => pid);
  return [...found.values()].filter(({ pid }) => pids.includes(pid));
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await look())) {
    assert.ok(Date.now() < deadline, `${what} did not come about`);
    await pause(50);
  }
}

async function figure(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { headers: bearer })).text();
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** As a deployer does it: a new file takes the old one's name. */
function replace(path: string, content: string | object): void {
  writeFileSync(`${path}.new`, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

test("ready means all workers; figures are those of all, also after one is killed, which is replaced", async () => {
  await upstream.script([{}]);
  const operations = await freePort();
  const { url } = await start({ metrics: { port: operations } });
  await until("readiness", async () => (await fetch(`${url}/readyz`)).status === 200);
  const first = await detail(url);
  assert.deepEqual(
    first.workers.map(({ index, state }) => [index, state]),
    [0, 1, 2].map((index) => [index, "ready"]),
  );
  for (let n = 0; n < 12; n += 1) {
    const { status } = await chat(url, { model: "fake-model" }, { ...bearer, connection: "close" });
    assert.equal(status, 200);
  }
  assert.equal(await figure(url, "openclaw_llm_requests_total"), 12);
  process.kill(first.workers[1]?.pid ?? 0, "SIGKILL");
  await until("the replacement", async () => {
    const { workers, degraded } = await detail(url);
    return workers[1]?.state === "ready" && workers[1].crashes === 1 && !degraded.includes("workers");
  });
  // A counter that falls looks like new events to whoever computes rates.
  assert.equal(await figure(url, "openclaw_llm_requests_total"), 12);
  assert.equal(await figure(url, "openclaw_worker_crashes_total"), 1);
  assert.equal(await figure(url, "openclaw_config_valid"), 1);
  assert.equal(await figure(`http://127.0.0.1:${operations}`, "openclaw_llm_requests_total"), 12);
});

test("a changed config reaches every worker; an invalid one none, not even the worker that starts while it is there", async () => {
  const { url, path, config, gateway } = await start();
  const before = await detail(url);
  replace(path, { ...config, logging: { level: "debug" } });
  await until("the new config everywhere", async () =>
    (await detailOfAll(url)).every((worker) => worker.config.hash !== before.config.hash),
  );
  const good = (await detail(url)).config.hash;
  replace(path, "{ gateway: { prot: 5 } }");
  const isRefused = async () =>
    (await detailOfAll(url)).every(
      (worker) =>
        worker.config.hash === good &&
        worker.degraded.includes("config") &&
        /Did you mean gateway\.port/.test(worker.config.lastReload?.message ?? ""),
    );
  await until("the refusal everywhere", isRefused);
  assert.match(gateway.output(), /config_invalid/);
  assert.equal(await figure(url, "openclaw_config_valid"), 0);
  const [victim] = (await detail(url)).workers;
  process.kill(victim?.pid ?? 0, "SIGKILL");
  await until("the replacement", async () => (await detail(url)).workers[0]?.crashes === 1);
  await until("the replacement with the config in force", async () =>
    (await detail(url)).workers.every(({ state }) => state === "ready"),
  );
  await until("the refusal everywhere, also in the new one", isRefused);
});

test("a limit is one for all workers, and usage is in one record", async () => {
  await upstream.script([{}]);
  const limited = "limited-token-0123456789";
  const { url } = await start({ tokens: [{ id: "limited", token: limited, limits: { requestsPerMinute: 10 } }] });
  const statuses = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const headers = { authorization: `Bearer ${limited}`, connection: "close" };
      return (await chat(url, { model: "fake-model" }, headers)).status;
    }),
  );
  assert.equal(statuses.filter((status) => status === 200).length, 10);
  assert.equal(statuses.filter((status) => status === 429).length, 20);
  const report = await fetch(`${url}/api/usage?groupBy=token`, { headers: bearer });
  assert.match(await report.text(), /"token":"limited","requests":10,/);
});

test("an upstream that one worker leaves alone all leave alone", async () => {
  await upstream.script([{ status: 500 }]);
  const { url } = await start({ routing: { breaker: { openMs: 60_000, failures: 2, lastResort: false } } });
  await until("an open breaker", async () => {
    const { status } = await chat(url, { model: "fake-model" }, { ...bearer, connection: "close" });
    return status === 503;
  });
  const asked = (await upstream.ledger()).length;
  await until("the same everywhere", async () =>
    (
      await Promise.all(
        Array.from({ length: 12 }, () => chat(url, { model: "fake-model" }, { ...bearer, connection: "close" })),
      )
    ).every(({ status }) => status === 503),
  );
  assert.ok((await upstream.ledger()).length <= asked + 6, "workers that had not heard yet asked at most twice each");
});

test("an address that one worker locks out all refuse, also with the right token", async () => {
  await upstream.script([{}]);
  const port = await freePort();
  const auth = { token, rateLimit: { maxAttempts: 5, windowMs: 60_000, lockoutMs: 600_000, exemptLoopback: false } };
  const path = folder.write("openclaw.json", {
    ...fakeConfig(upstream.baseUrl, { workers: 3 }),
    gateway: { port, auth, trustedProxies: ["127.0.0.1"] },
  });
  const gateway = spawnGateway(path, folder.path, port);
  running.push(gateway);
  await gateway.says("gateway_ready");
  const from = (address: string, secret: string) => ({
    authorization: `Bearer ${secret}`,
    "x-forwarded-for": address,
    connection: "close",
  });
  const statusOf = async (address: string, secret: string): Promise<number> =>
    (await chat(gateway.url, { model: "fake-model" }, from(address, secret))).status;
  for (let guess = 0; guess < 5; guess += 1) assert.equal(await statusOf("192.0.2.1", "wrong"), 401);
  // All workers are asked: connections of their own, many at a time.
  await until("the refusal everywhere", async () => {
    const all = await Promise.all(Array.from({ length: 16 }, () => statusOf("192.0.2.1", token)));
    return all.every((status) => status === 429);
  });
  assert.equal(await statusOf("192.0.2.2", token), 200, "others are let in");
  assert.equal(await figure(gateway.url, "openclaw_auth_lockouts_total"), 1);
});

describe("the end", () => {
  test("SIGTERM: every worker finishes its streams, then exit 0 and nobody is left", async () => {
    const gates = ["a", "b", "c", "d"];
    await upstream.script(gates.map((gateName) => ({ gateAt: 1, gateName })));
    const { gateway, url } = await start({ drain: { timeoutMs: 20_000 } });
    const streams = await Promise.all(
      gates.map(() => chat(url, { model: "fake-model", stream: true }, { ...bearer, connection: "close" })),
    );
    const { workers } = await detail(url);
    gateway.child.kill("SIGTERM");
    await gateway.says("drain_started");
    for (const gate of gates) await upstream.open(gate);
    for (const stream of streams) assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
    assert.equal(await gateway.exited, 0);
    for (const { pid } of workers) assert.throws(() => process.kill(pid, 0));
  });

  test("the deadline: a stream ends in an error event and a broken connection", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const { gateway, url } = await start({ drain: { timeoutMs: 300 } });
    const stream = await chat(url, { model: "fake-model", stream: true });
    gateway.child.kill("SIGTERM");
    let text = "";
    await assert.rejects(async () => {
      const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) return;
        text += value ?? "";
      }
    });
    assert.match(text, /"code":"draining"/);
    assert.equal(await gateway.exited, 0);
  });

  test("a second SIGTERM ends it at once", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const { gateway, url } = await start({ drain: { timeoutMs: 600_000 } });
    const stream = await chat(url, { model: "fake-model", stream: true });
    gateway.child.kill("SIGTERM");
    await gateway.says("drain_started");
    const ended = assert.rejects(stream.text());
    gateway.child.kill("SIGTERM");
    assert.equal(await gateway.exited, 143);
    await ended;
  });

  test("a primary that is killed: its workers finish what they have and end", async () => {
    await upstream.script([{ gateAt: 1 }]);
    const { gateway, url } = await start();
    const stream = await chat(url, { model: "fake-model", stream: true }, { ...bearer, connection: "close" });
    const { workers } = await detail(url);
    gateway.child.kill("SIGKILL");
    await gateway.says("primary_gone");
    await upstream.open("stream");
    assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
    await until("the end of the workers", async () => workers.every(({ pid }) => !isAlive(pid)));
  });
});

test("what a first start says of itself ends it: a port in use, 69", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const address = holder.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const path = folder.write("openclaw.json", {
    ...fakeConfig(upstream.baseUrl, { workers: 2 }),
    gateway: { port, auth: { token } },
  });
  const gateway = spawnGateway(path, folder.path, port);
  running.push(gateway);
  assert.equal(await gateway.exited, 69);
  assert.match(gateway.output(), new RegExp(`Port ${port} is in use`));
  holder.close();
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
