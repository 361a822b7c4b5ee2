// A minute of mixed load while everything changes: configs every second, an upstream that dies, a token that is rotated, workers that are killed.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { type Folder, type GatewayProcess, makeFolder, spawnGateway } from "../support/gateway.ts";
import { asksOf, type Failure, type LoadResult, runClient } from "../support/load-client.ts";
import { clientPortsOf } from "../support/sockets-of.ts";
import { kinds } from "../support/translations.ts";

const seconds = Number(process.env.MIXED_LOAD_SECONDS ?? 60);
const workers = 3;
const words = Array.from({ length: 24 }, (_, n) => `${n} `);
const behaviour = { words, paceMs: 15 };
const admin = "admin-token-0123456789";
const tokens = ["client-token-aaaaaaaa", "client-token-bbbbbbbb"] as const;

let steady: FakeUpstream;
let flaky: FakeUpstream;
let folder: Folder;
let gateway: GatewayProcess | undefined;

before(async () => {
  folder = makeFolder();
  [steady, flaky] = await Promise.all([startFakeUpstream(), startFakeUpstream()]);
});
after(async () => {
  await gateway?.stop();
  await Promise.all([steady.close(), flaky.close()]);
  folder.remove();
});

test(`${seconds} s: no request fails but those of killed workers' connections`, {
  timeout: (seconds + 120) * 1000,
}, async (t) => {
  for (const upstream of [steady, flaky]) await upstream.script([behaviour], ["m"]);
  const port = await freePort();
  const path = folder.write("openclaw.json", config(port, 0, "only-first"));
  gateway = spawnGateway(path, folder.path, port);
  await gateway.says(`with ${workers} workers`);
  const { url } = gateway;

  let over = false;
  let token: string = tokens[0];
  let flakyIsDown = false;
  const result: LoadResult = { failures: [], right: new Map() };
  const expected = words.join("");
  const usual = [
    ...Object.keys(kinds).flatMap((kind) => asksOf(`${kind}/m`, expected, ["json", "stream"])),
    ...asksOf("flaky/m", expected, ["json"]),
  ];
  // A stream that has begun ends with its upstream: these begin only while it is down.
  const whileDown = asksOf("flaky/m", expected, ["stream"]);
  const client = (first: number, asks: typeof usual, mayRun: () => boolean = () => true): Promise<void> =>
    runClient({ port, token: () => token, asks, isOver: () => over || !mayRun(), result }, first);
  const clients = Array.from({ length: 14 }, (_, n) => client(n * 5, usual));
  const lateClients: Promise<void>[] = [];

  const begun = Date.now();
  const at = (share: number): Promise<void> => pause(Math.max(0, begun + share * seconds * 1000 - Date.now()));
  let rotation: Rotation = "only-first";
  let reloads = 0;
  const killed: { ports: Set<number>; atMs: number }[] = [];

  const reloading = (async () => {
    while (!over) {
      reloads += 1;
      // One of ten is invalid: the config before it stays in force.
      replace(path, reloads % 10 === 7 ? '{ "gateway": { "prot": 1 } }' : config(port, reloads, rotation));
      await pause(1000);
    }
  })();
  const killing = (async () => {
    for (const share of [0.3, 0.65]) {
      await at(share);
      const victim = (await workersOf(url))[killed.length % workers];
      assert.ok(victim);
      process.kill(victim.pid, "SIGSTOP");
      const ports = clientPortsOf(victim.pid, port);
      process.kill(victim.pid, "SIGKILL");
      killed.push({ ports, atMs: Date.now() });
    }
  })();
  const rotating = (async () => {
    await at(0.15);
    rotation = "both";
    await inForce(url, "both", () => reloads);
    token = tokens[1];
    // What was sent with the old one is let in before that goes.
    await Promise.all([at(0.5), pause(3000)]);
    rotation = "only-second";
  })();
  const failing = (async () => {
    await at(0.4);
    await flaky.close();
    flakyIsDown = true;
    lateClients.push(...[0, 1].map((n) => client(n, whileDown, () => flakyIsDown)));
    await at(0.75);
    flaky = await startFakeUpstream(flaky.port);
    await flaky.script([behaviour], ["m"]);
    flakyIsDown = false;
  })();

  let now: Worker[] = [];
  let rss = "";
  try {
    await Promise.all([killing, rotating, failing, at(1)]);
    for (let look = 0; look < 600; look += 1) {
      now = await workersOf(url);
      if (now.every(({ state }) => state === "ready")) break;
      await pause(100);
    }
    rss = await memoryOf(url);
  } finally {
    over = true;
  }
  await Promise.all([...clients, ...lateClients, reloading]);

  const right = [...result.right.values()].reduce((sum, count) => sum + count, 0);
  const excused = result.failures.filter((failure) => isOfKilled(failure, killed));
  t.diagnostic(`${right} right answers, ${reloads} configs, ${excused.length} connections of killed workers; RSS ${rss}`);
  assert.deepEqual(
    result.failures.filter((failure) => !excused.includes(failure)).map(({ what }) => what),
    [],
  );
  for (const { name } of [...usual, ...whileDown]) assert.ok((result.right.get(name) ?? 0) > 0, `no right answer to ${name}`);
  assert.ok(reloads >= seconds / 2, `${reloads} configs`);
  assert.equal(killed.length, 2);
  assert.ok(killed.every(({ ports }) => ports.size > 0));
  assert.equal(
    now.reduce((sum, { crashes }) => sum + crashes, 0),
    2,
  );
  assert.deepEqual(
    now.map(({ state }) => state),
    Array(workers).fill("ready"),
  );

  gateway.child.kill("SIGTERM");
  assert.equal(await gateway.exited, 0);
});

type Rotation = "only-first" | "both" | "only-second";

function config(port: number, generation: number, rotation: Rotation): ConfigInput {
  const providers: NonNullable<NonNullable<ConfigInput["models"]>["providers"]> = {};
  for (const [api, { base }] of Object.entries(kinds))
    Object.assign(providers, {
      [api]: { api, baseUrl: `http://127.0.0.1:${steady.port}${base}`, models: ["m", `m${generation}`] },
    });
  Object.assign(providers, { flaky: { api: "openai-completions", baseUrl: flaky.baseUrl, models: ["m"] } });
  const token = rotation === "only-first" ? tokens[0] : tokens[1];
  const previous =
    rotation === "both" ? { previous: { token: tokens[0], expiresAt: new Date(Date.now() + 3_600_000).toISOString() } } : {};
  return {
    gateway: { port, auth: { token: admin }, reload: { debounceMs: 50 } },
    models: { providers },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            workers,
            tokens: [{ id: "client", token, ...previous, limits: { requestsPerMinute: 1_000_000 + generation } }],
            routing: { fallbacks: { "flaky/m": ["openai-completions/m"] }, breaker: { failures: 3 + (generation % 2) } },
            rotation: { overlapSeconds: 0 },
            logging: { accessLog: false },
          },
        },
      },
    },
  };
}

/** As a deployer does it: a new file takes the old one's name. */
function replace(path: string, content: string | object): void {
  writeFileSync(`${path}.new`, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

interface Worker {
  pid: number;
  state: string;
  crashes: number;
}

const authorized = { authorization: `Bearer ${admin}`, connection: "close" };

async function workersOf(url: string): Promise<Worker[]> {
  const answer: { workers: Worker[] } = JSON.parse(await (await fetch(`${url}/readyz`, { headers: authorized })).text());
  return answer.workers;
}

/** Every worker lets the new token in. */
async function inForce(url: string, what: string, reloads: () => number): Promise<void> {
  const until = Date.now() + 90_000;
  const from = reloads();
  // A config that was written after the change has reached all when enough fresh connections say so.
  for (let row = 0; row < workers * 8 || reloads() < from + 2; ) {
    const headers = { authorization: `Bearer ${tokens[1]}`, connection: "close" };
    // The worker that has this very connection may be the one that is killed.
    const status = await fetch(`${url}/v1/models`, { headers })
      .then((answer) => answer.status)
      .catch(() => 0);
    row = status === 200 ? row + 1 : 0;
    assert.ok(Date.now() < until, `${what} is not in force`);
    await pause(25);
  }
}

async function memoryOf(url: string): Promise<string> {
  const text = await (await fetch(`${url}/metrics`, { headers: authorized })).text();
  return [...text.matchAll(/^process_resident_memory_bytes\{worker="(\w+)"\} (\d+)$/gm)]
    .map(([, name, bytes]) => `${name} ${Math.round(Number(bytes) / 1e6)} MB`)
    .join(", ");
}

function isOfKilled(failure: Failure, killed: readonly { ports: Set<number>; atMs: number }[]): boolean {
  return killed.some(
    ({ ports, atMs }) => ports.has(failure.port) && failure.atMs >= atMs - 1000 && failure.atMs < atMs + 20_000,
  );
}
