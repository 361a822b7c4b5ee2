// The gateway as a process: exit codes, reloads, a rotated token, the drain.
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { chat, type Folder, fakeConfig, type GatewayProcess, makeFolder, spawnGateway } from "../support/gateway.ts";

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

function start(config: string, port: number, args: readonly string[] = []): GatewayProcess {
  const gateway = spawnGateway(config, folder.path, port, args);
  running.push(gateway);
  return gateway;
}

const first = "first-token-aaaaaaaa";
const second = "second-token-bbbbbbbb";

/** The token comes from a file, as a deployment does it. */
async function deployed(stack: Parameters<typeof fakeConfig>[1] = {}) {
  const port = await freePort();
  folder.write("token", `${first}\n`);
  const config = fakeConfig(upstream.baseUrl, stack);
  const full = {
    ...config,
    gateway: { port, auth: { token: { source: "file" as const, provider: "gateway-token", id: "value" } } },
    secrets: { providers: { "gateway-token": { source: "file" as const, path: "token", mode: "singleValue" as const } } },
  };
  const path = folder.write("openclaw.json", full);
  const gateway = start(path, port);
  await gateway.says("gateway_ready");
  return { gateway, path, config: full, url: gateway.url };
}

const authorized = (token: string) => ({ authorization: `Bearer ${token}` });

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(25);
  }
  throw new Error(`${what} did not come about`);
}

interface Detail {
  ready: boolean;
  failing: string[];
  degraded: string[];
  config: {
    hash: string;
    generation: number;
    pendingRestart: string[];
    lastReload: { result: string; message?: string } | null;
  };
}

async function detail(url: string, token = first): Promise<Detail> {
  return JSON.parse(await (await fetch(`${url}/readyz`, { headers: authorized(token) })).text());
}

/** As an editor or a deployer does it: a new file takes the old one's name. */
function replace(path: string, content: string | object): void {
  writeFileSync(`${path}.new`, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

describe("exit codes", () => {
  test("a wrong config: 78, every fault once, no stack trace", async () => {
    const gateway = start(folder.write("openclaw.json", "{ gateway: { prot: 1 }, modles: {} }"), 0);
    assert.equal(await gateway.exited, 78);
    assert.equal(gateway.output().match(/unknown key/g)?.length, 2);
    assert.doesNotMatch(gateway.output(), /\n {4}at /);
  });

  test("unconfigured: 78 and what to do; with --allow-unconfigured the demonstration", async () => {
    const path = join(folder.path, "openclaw.json");
    const refused = start(path, 0);
    assert.equal(await refused.exited, 78);
    assert.match(refused.output(), /--allow-unconfigured/);
    const port = await freePort();
    folder.write("openclaw.json", { gateway: { port } });
    const gateway = start(path, port, ["--allow-unconfigured"]);
    await gateway.says("the demonstration only");
    assert.equal((await chat(gateway.url, {}, {})).status, 200);
  });

  test("a port in use: 69, the port, its holder and the fix", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    const address = holder.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const gateway = start(folder.write("openclaw.json", { ...fakeConfig(upstream.baseUrl), gateway: { port } }), port);
    assert.equal(await gateway.exited, 69);
    assert.match(gateway.output(), new RegExp(`Port ${port} is in use`));
    if (process.platform === "linux") assert.match(gateway.output(), new RegExp(`by process ${process.pid}`));
    assert.match(gateway.output(), /gateway\.port/);
    holder.close();
  });

  test("an unknown option: 64", async () => {
    const gateway = start("x", 0, ["--prot"]);
    assert.equal(await gateway.exited, 64);
  });
});

describe("reload", () => {
  test("a new model is there without a restart, a stream under way goes on, and the new hash shows", async () => {
    const { path, config, url } = await deployed();
    const before = await detail(url);
    await upstream.script([{ gateAt: 1 }]);
    const stream = await chat(url, { model: "fake-model", stream: true }, authorized(first));
    const models = {
      providers: {
        fake: {
          ...config.models?.providers?.fake,
          api: "openai-completions" as const,
          baseUrl: upstream.baseUrl,
          models: [{ id: "fake-model" }, { id: "new-model" }],
        },
      },
    };
    replace(path, { ...config, models });
    const now = await until("the reload", async () => {
      const state = await detail(url);
      return state.config.hash !== before.config.hash ? state : undefined;
    });
    assert.equal(now.config.generation, 2);
    assert.equal(now.config.lastReload?.result, "applied");
    const list = await (await fetch(`${url}/v1/models`, { headers: authorized(first) })).text();
    assert.match(list, /fake\/new-model/);
    await upstream.open("stream");
    assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
  });

  test("an invalid config keeps the old one and says why; a good one is taken again", async () => {
    const { path, config, url, gateway } = await deployed();
    const text = readFileSync(path, "utf8");
    replace(path, "{ gateway: { prot: 5 } }");
    const bad = await until("the refusal", async () => {
      const state = await detail(url);
      return state.config.lastReload ? state : undefined;
    });
    assert.equal(bad.config.lastReload?.result, "invalid");
    assert.match(bad.config.lastReload?.message ?? "", /Did you mean gateway\.port/);
    assert.deepEqual([bad.ready, bad.degraded, bad.config.generation], [true, ["config"], 1]);
    assert.match(gateway.output(), /config_invalid/);
    const metrics = await (await fetch(`${url}/metrics`, { headers: authorized(first) })).text();
    assert.match(metrics, /openclaw_config_valid 0/);
    assert.equal((await chat(url, { model: "fake-model" }, authorized(first))).status, 200);
    replace(path, `${text}\n`);
    await until("the good config", async () => ((await detail(url)).degraded.length === 0 ? true : undefined));
    assert.ok(config);
  });

  test("a changed port is named as waiting for a restart, the rest is applied", async () => {
    const { path, config, url } = await deployed();
    replace(path, { ...config, gateway: { ...config.gateway, port: await freePort() }, logging: { level: "debug" } });
    const state = await until("the reload", async () => {
      const now = await detail(url);
      return now.config.pendingRestart.length > 0 ? now : undefined;
    });
    assert.deepEqual(state.config.pendingRestart, ["gateway.port"]);
    assert.equal(state.config.generation, 2);
    assert.match(
      await (await fetch(`${url}/metrics`, { headers: authorized(first) })).text(),
      /openclaw_config_restart_pending 1/,
    );
  });

  test("a token that changes in its file: the new one is let in, the old one is not, no restart", async () => {
    const { gateway, url } = await deployed({ rotation: { overlapSeconds: 0 } });
    replace(join(folder.path, "token"), `${second}\n`);
    await until("the new token", async () =>
      (await fetch(`${url}/v1/models`, { headers: authorized(second) })).status === 200 ? true : undefined,
    );
    assert.equal((await fetch(`${url}/v1/models`, { headers: authorized(first) })).status, 401);
    assert.equal(gateway.child.exitCode, null);
    assert.ok(!gateway.output().includes(first) && !gateway.output().includes(second), "no token in the log");
  });
});

describe("drain", () => {
  test("SIGTERM: readiness falls, new requests are refused, the stream is finished, exit 0", async () => {
    const { gateway, url } = await deployed({ drain: { delayMs: 400, timeoutMs: 10_000 } });
    await upstream.script([{ gateAt: 1 }, {}]);
    const stream = await chat(url, { model: "fake-model", stream: true }, authorized(first));
    gateway.child.kill("SIGTERM");
    const draining = await until("the drain", async () => {
      const response = await fetch(`${url}/readyz`);
      return response.status === 503 ? response.text() : undefined;
    });
    assert.match(draining, /"failing":\["draining"\]/);
    const last = await chat(url, { model: "fake-model" }, authorized(first));
    assert.deepEqual(
      [last.status, last.headers.get("connection")],
      [200, "close"],
      "within the delay requests are served, each as the last one of its connection",
    );
    await until("the end of the delay", async () => {
      try {
        return (await fetch(`${url}/v1/models`, { headers: authorized(first) })).status === 503 ? true : undefined;
      } catch {
        return true;
      }
    });
    await upstream.open("stream");
    assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
    assert.equal(await gateway.exited, 0);
  });

  test("a stream that outlasts the deadline is cut, visibly, and the exit is clean", async () => {
    const { gateway, url } = await deployed({ drain: { delayMs: 0, timeoutMs: 200 } });
    await upstream.script([{ gateAt: 1 }]);
    const stream = await chat(url, { model: "fake-model", stream: true }, authorized(first));
    gateway.child.kill("SIGTERM");
    let text = "";
    await assert.rejects(async () => {
      for await (const chunk of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk;
    });
    assert.match(text, /"code":"draining"/);
    assert.equal(await gateway.exited, 0);
  });

  test("a second SIGTERM ends it at once", async () => {
    const { gateway, url } = await deployed({ drain: { timeoutMs: 600_000 } });
    await upstream.script([{ gateAt: 1 }]);
    const stream = await chat(url, { model: "fake-model", stream: true }, authorized(first));
    gateway.child.kill("SIGTERM");
    await gateway.says("drain_started");
    const cut = assert.rejects(stream.text());
    gateway.child.kill("SIGTERM");
    assert.equal(await gateway.exited, 143);
    await cut;
  });
});
