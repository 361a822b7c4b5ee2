// The record of usage across processes: replaced ten times under load nothing is lost or doubled; killed, at most the last batch is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { type Folder, fakeConfig, makeFolder, spawnGateway, token } from "../support/gateway.ts";

const root = join(import.meta.dirname, "../..");
const control = join(root, "gateway/process/supervisor-control.ts");
let upstream: FakeUpstream;
let folder: Folder;

before(async () => {
  upstream = await startFakeUpstream();
  folder = makeFolder();
});
after(async () => {
  await upstream.close();
  folder.remove();
});

/** Asks without end on one connection; what fails is asked again under another name. */
function load(port: number, loops: number, stream: boolean) {
  const done: { id: string; at: number }[] = [];
  let over = false;
  let number = 0;
  const body = JSON.stringify({ model: "fake-model", stream, messages: [{ role: "user", content: "hi" }] });
  const loop = async (): Promise<void> => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (!over) {
      number += 1;
      const id = `request-${port}-${number}`;
      const ok = await new Promise<boolean>((resolve) => {
        const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "x-request-id": id };
        const request = http.request(
          { port, host: "127.0.0.1", method: "POST", path: "/v1/chat/completions", agent, headers },
          (response) => {
            response.resume();
            response.on("close", () => resolve(response.complete && response.statusCode === 200));
          },
        );
        request.on("error", () => resolve(false));
        request.end(body);
      });
      if (ok) done.push({ id, at: performance.now() });
      await pause(15);
    }
    agent.destroy();
  };
  const loopsDone = Promise.all(Array.from({ length: loops }, loop));
  return {
    done,
    async stop() {
      over = true;
      await loopsDone;
    },
  };
}

function booksOf(stateDir: string): { ids: string[]; requests: number; sums: number } {
  const database = new DatabaseSync(join(stateDir, "usage.sqlite"), { readOnly: true });
  try {
    const ids = database
      .prepare("SELECT request_id FROM usage")
      .all()
      .map((row) => String(row.request_id));
    const sums = database.prepare("SELECT sum(requests) AS n FROM usage_hours").get();
    return { ids, requests: ids.length, sums: Number(sums?.n) };
  } finally {
    database.close();
  }
}

test("replaced ten times under load: every call is in the books once", async () => {
  const stateDir = join(folder.path, "replaced");
  const directory = join(stateDir, "supervisor");
  mkdirSync(directory, { recursive: true });
  const config = folder.write("replaced.json", fakeConfig(upstream.baseUrl));
  const port = await freePort();
  const run = (command: string, spec?: object): Promise<void> => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", control, directory, command], {
      env: { ...process.env, OPENCLAW_SUPERVISOR: "plain" },
    });
    child.stdin.end(spec ? JSON.stringify(spec) : "");
    let text = "";
    for (const out of [child.stdout, child.stderr])
      out.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
    return new Promise((resolve, reject) =>
      child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${command}: ${text}`)))),
    );
  };
  const spec = (release: string): object => ({
    node: process.execPath,
    entry: join(root, "gateway/main.ts"),
    host: "127.0.0.1",
    port,
    release,
    environment: {
      OPENCLAW_STATE_DIR: stateDir,
      OPENCLAW_CONFIG_PATH: config,
      NODE_COMPILE_CACHE: join(folder.path, "compiled"),
    },
    maxLogBytes: 10_000_000,
    keptLogs: 2,
    drainTimeoutMs: 30_000,
  });
  // Some answers last longer than a replacement: they end in a process that has given up the state folder.
  await upstream.script([{ words: Array.from({ length: 10 }, () => " word"), paceMs: 30 }]);
  try {
    await run("apply", spec("release-0"));
    const plain = load(port, 6, false);
    const streams = load(port, 2, true);
    for (let round = 1; round <= 10; round += 1) await run("apply", spec(`release-${round}`));
    await plain.stop();
    await streams.stop();
    await run("remove");
    const asked = (await upstream.ledger()).map((entry) => entry.headers["x-request-id"] ?? "").sort();
    assert.ok(asked.length > 200, `${asked.length} requests are too few to say anything`);
    assert.ok(existsSync(join(stateDir, "usage-spool")), "streams ended in a process that was not the writer any more");
    // The last gateway has ended; what the ones before left in the spool, it took over, or the next one does.
    if (readdirSync(join(stateDir, "usage-spool")).length > 0) {
      const last = spawnGateway(config, stateDir, port);
      await last.says("state_acquired");
      for (const until = Date.now() + 20_000; readdirSync(join(stateDir, "usage-spool")).length > 0; await pause(50))
        assert.ok(Date.now() < until, "the spool is taken over");
      last.child.kill("SIGTERM");
      await last.exited;
    }
    const books = booksOf(stateDir);
    assert.deepEqual(books.ids.sort(), asked);
    assert.equal(books.sums, asked.length);
  } finally {
    await run("remove").catch(() => undefined);
  }
});

test("killed under load: what ended before the last batch is in the books, and the file is whole", async (t) => {
  const stateDir = join(folder.path, "killed");
  mkdirSync(stateDir, { recursive: true });
  const port = await freePort();
  const config = folder.write("killed.json", { ...fakeConfig(upstream.baseUrl), gateway: { auth: { token }, port } });
  await upstream.script([{}]);
  let gateway = spawnGateway(config, stateDir, port);
  try {
    await gateway.says("gateway_ready");
    const work = load(port, 8, false);
    await pause(4000);
    const killedAt = performance.now();
    gateway.child.kill("SIGKILL");
    await gateway.exited;
    await work.stop();
    const ended = work.done.filter(({ at }) => at < killedAt);
    const kept = new Set(booksOf(stateDir).ids);
    const lost = ended.filter(({ id }) => !kept.has(id));
    const oldest = Math.max(0, ...lost.map(({ at }) => killedAt - at));
    t.diagnostic(`${ended.length} calls ended, ${lost.length} lost, the oldest ${Math.round(oldest)} ms before the kill`);
    assert.ok(ended.length > 100, `${ended.length} calls are too few to say anything`);
    // A batch is 250 ms; a busy machine may be late with it.
    assert.ok(oldest < 1500, `a call that ended ${Math.round(oldest)} ms before the kill is lost`);

    gateway = spawnGateway(config, stateDir, port);
    await gateway.says("state_acquired");
    gateway.child.kill("SIGTERM");
    assert.equal(await gateway.exited, 0);
    const books = booksOf(stateDir);
    assert.equal(books.sums, books.requests);
  } finally {
    await gateway.stop();
  }
});
