// A gateway that is replaced again and again under its supervisor: clients that keep their connections and never retry notice nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { fakeConfig, token } from "../support/gateway.ts";
import { asksOf, type LoadResult, runClient } from "../support/load-client.ts";

const root = join(import.meta.dirname, "../..");
const control = join(root, "gateway/process/supervisor-control.ts");
const words = Array.from({ length: 24 }, (_, n) => `${n} `);
const rounds = 5;

let base: string;
let directory: string;
let upstream: FakeUpstream;

before(async () => {
  base = mkdtempSync(join(tmpdir(), "handover-"));
  directory = join(base, "stack");
  mkdirSync(directory);
  upstream = await startFakeUpstream();
  await upstream.script([{ words, paceMs: 20 }], ["fake-model"]);
});
after(async () => {
  await operate("remove");
  await upstream.close();
  rmSync(base, { recursive: true, force: true });
});

function operate(command: string, spec?: object): Promise<{ code: number; text: string }> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", control, directory, command], {
    env: { ...process.env, OPENCLAW_SUPERVISOR: "plain" },
  });
  child.stdin.on("error", () => {});
  child.stdin.end(spec ? JSON.stringify(spec) : "");
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
  }
  return new Promise((resolve) => child.on("close", (code) => resolve({ code: code ?? 1, text })));
}

test(`one process, then two workers: ${rounds} replacements each, no failed request`, { timeout: 300_000 }, async (t) => {
  const port = await freePort();
  const config = join(base, "openclaw.json");
  const write = (workers: number): void =>
    writeFileSync(
      config,
      JSON.stringify({ ...fakeConfig(upstream.baseUrl, { workers }), gateway: { port, auth: { token } } }),
      { mode: 0o600 },
    );
  const apply = async (release: string): Promise<void> => {
    const { code, text } = await operate("apply", {
      node: process.execPath,
      entry: join(root, "gateway/main.ts"),
      host: "127.0.0.1",
      port,
      release,
      environment: { OPENCLAW_CONFIG_PATH: config, OPENCLAW_STATE_DIR: join(base, "state") },
      maxLogBytes: 10_000_000,
      keptLogs: 1,
      drainTimeoutMs: 30_000,
    });
    assert.equal(code, 0, text);
  };
  write(1);
  await apply("first");
  let over = false;
  const result: LoadResult = { failures: [], right: new Map() };
  const asks = asksOf("fake/fake-model", words.join(""), ["json", "stream"]);
  const clients = Array.from({ length: 8 }, (_, n) =>
    runClient({ port, token: () => token, asks, isOver: () => over, result }, n),
  );
  for (const workers of [1, 2]) {
    write(workers);
    for (let round = 0; round < rounds; round += 1) await apply(`${workers}-${round}`);
  }
  over = true;
  await Promise.all(clients);
  const right = [...result.right.values()].reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${right} right answers`);
  assert.deepEqual(
    result.failures.map(({ what }) => what),
    [],
  );
  for (const { name } of asks) assert.ok((result.right.get(name) ?? 0) > 0, `no right answer to ${name}`);
});
