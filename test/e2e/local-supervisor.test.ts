/** The supervisor with real processes: crashes of either side, replacement under load, and an end that leaves nothing. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { processStartTime } from "../../gateway/process/supervisor-lock.ts";
import { freePort } from "../support/free-port.ts";

const root = join(import.meta.dirname, "../..");
const control = join(root, "gateway/process/supervisor-control.ts");
let base: string;
let directory: string;
let port: number;

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), "supervisor-"));
  directory = join(base, "stack");
  port = await freePort();
  execFileSync("mkdir", ["-p", directory]);
});

afterEach(async () => {
  await run("remove");
  rmSync(base, { recursive: true, force: true });
});

interface Outcome {
  code: number;
  text: string;
}

function run(command: string, spec?: object): Promise<Outcome> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", control, directory, command], {
    env: { ...process.env, PLANTED: "must-not-be-passed-on", OPENCLAW_SUPERVISOR: "plain" },
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

function specification(changes: object = {}): object {
  return {
    node: process.execPath,
    entry: join(root, "test/support/fake-gateway.ts"),
    host: "127.0.0.1",
    port,
    release: "one",
    environment: { FAKE_DIRECTORY: base },
    maxLogBytes: 1_000_000,
    keptLogs: 2,
    drainTimeoutMs: 5000,
    ...changes,
  };
}

async function apply(changes: object = {}): Promise<string> {
  const { code, text } = await run("apply", specification(changes));
  assert.equal(code, 0, text);
  return text;
}

async function status(): Promise<{ phase: string; supervisorPid: number; gatewayPid: number; crashes: number }> {
  return JSON.parse((await run("status")).text);
}

/** One request on a connection of its own; a refused one rejects. */
function ask(at = port): Promise<{ pid: number; token: string | null }> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port: at, path: "/", agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => (response.complete ? resolve(JSON.parse(text)) : reject(new Error("cut off"))));
    });
    request.on("error", reject);
  });
}

/** Waits for a condition by polling; the time is a bound, not a measure. */
async function until<T>(what: string, within: number, probe: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + within;
  for (;;) {
    const value = await probe().catch(() => undefined);
    if (value !== undefined) return value;
    if (Date.now() > end) assert.fail(`${what}: not within ${within} ms`);
    await pause(20);
  }
}

test("a killed gateway is back within two seconds, and requests in between wait instead of failing", async () => {
  await apply();
  const before = await ask();
  process.kill(before.pid, "SIGKILL");
  await until("the gateway is gone", 1000, async () => (processStartTime(before.pid) === undefined ? true : undefined));
  const began = Date.now();
  const after = await ask();
  assert.notEqual(after.pid, before.pid);
  assert.ok(Date.now() - began < 2000, `took ${Date.now() - began} ms`);
  assert.equal((await status()).crashes, 1);
});

test("a killed supervisor is back within two seconds, and its successor keeps the same gateway", async () => {
  await apply();
  const before = await status();
  process.kill(before.supervisorPid, "SIGKILL");
  const after = await until("a new supervisor", 2000, async () => {
    const now = await status();
    return now.phase === "ready" && now.supervisorPid !== before.supervisorPid ? now : undefined;
  });
  assert.equal(after.gatewayPid, before.gatewayPid);
  process.kill(after.gatewayPid, "SIGKILL");
  await until("a new gateway", 2000, async () => ((await ask()).pid !== before.gatewayPid ? true : undefined));
  // And once more, now that the gateway is the child of the second supervisor.
  process.kill((await status()).supervisorPid, "SIGKILL");
  await until("a third supervisor", 2000, async () =>
    (await status()).supervisorPid !== after.supervisorPid ? true : undefined,
  );
});

test("a replacement under load loses no request", async () => {
  await apply();
  let stop = false;
  const answers = new Map<number, number>();
  const failures: string[] = [];
  const client = async (): Promise<void> => {
    while (!stop) {
      try {
        const { pid } = await ask();
        answers.set(pid, (answers.get(pid) ?? 0) + 1);
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (const release of ["two", "three", "four"]) assert.match(await apply({ release }), /replaced by the new release/);
  stop = true;
  await Promise.all(clients);
  assert.deepEqual(failures, []);
  assert.equal(answers.size, 4, `served by ${answers.size} processes`);
});

test("another port: the new one answers before the old one closes", async () => {
  await apply();
  const next = await freePort();
  assert.match(await apply({ port: next }), /replaced on 127.0.0.1/);
  assert.ok((await ask(next)).pid > 0);
  await until("the old port is closed", 5000, async () =>
    ask().then(
      () => undefined,
      () => true,
    ),
  );
});

test("a change that the gateway takes while running does not restart it; one that it cannot take does", async () => {
  await apply();
  const before = await status();
  assert.match(await apply(), /reloaded without a restart/);
  assert.equal((await status()).gatewayPid, before.gatewayPid);
  writeFileSync(join(base, "reload"), "gateway.tls");
  assert.match(await apply(), /replaced, because of gateway.tls/);
  assert.notEqual((await status()).gatewayPid, before.gatewayPid);
  writeFileSync(join(base, "reload"), "fail");
  const { code, text } = await run("apply", specification());
  assert.equal(code, 1);
  assert.match(text, /did not take the change: told to refuse/);
});

test("a replacement that does not start leaves the old gateway at work", async () => {
  await apply();
  const before = await status();
  writeFileSync(join(base, "mode"), "crash");
  const { code, text } = await run("apply", specification({ release: "two" }));
  assert.equal(code, 1);
  assert.match(text, /the old one goes on/);
  assert.match(text, /told to crash/);
  assert.equal((await ask()).pid, before.gatewayPid);
  rmSync(join(base, "mode"));
  assert.match(await apply({ release: "two" }), /replaced by the new release/);
});

test("a first start that fails shows the last lines and leaves no process", async () => {
  for (const mode of ["crash", "misconfigured"]) {
    writeFileSync(join(base, "mode"), mode);
    const { code, text } = await run("apply", specification());
    assert.equal(code, 1);
    assert.match(text, mode === "crash" ? /told to crash/ : /ended with code 78/);
    assert.equal(existsSync(join(directory, "run/supervisor.lock")), false);
  }
});

test("a taken port is an error that names it", async () => {
  const server = net.createServer().listen(port, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { code, text } = await run("apply", specification());
  await new Promise((resolve) => server.close(resolve));
  assert.equal(code, 1);
  assert.match(text, new RegExp(`cannot listen on 127.0.0.1:${port}`));
});

test("keys of the deploying shell's environment do not reach the gateway", async () => {
  await apply();
  assert.equal((await ask()).token, null);
  const { supervisorPid, gatewayPid } = await status();
  if (process.platform !== "linux") return;
  for (const pid of [supervisorPid, gatewayPid]) {
    assert.ok(!readFileSync(`/proc/${pid}/environ`, "utf8").includes("must-not-be-passed-on"));
  }
});

test("stop and start: nothing runs in between, and a second supervisor is never made", async () => {
  await apply();
  const first = await status();
  const both = await Promise.all([run("start"), run("start")]);
  for (const { text } of both) assert.match(text, /runs already/);
  assert.match((await run("stop")).text, /stopped/);
  for (const pid of [first.supervisorPid, first.gatewayPid]) assert.equal(processStartTime(pid), undefined);
  await assert.rejects(ask());
  const started = await Promise.all([run("start"), run("start")]);
  assert.ok(
    started.every(({ code }) => code === 0),
    JSON.stringify(started),
  );
  assert.equal((await status()).phase, "ready");
});

test("logs are rotated by size", async () => {
  await apply({ maxLogBytes: 500 });
  for (let n = 0; n < 4; n++) await run("apply", specification({ maxLogBytes: 500, release: `r${n}` }));
  await until("a rotated log", 8000, async () => (existsSync(join(directory, "logs/gateway.log.1")) ? true : undefined));
  assert.equal(existsSync(join(directory, "logs/gateway.log.3")), false);
});
