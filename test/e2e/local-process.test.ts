/** The deployed gateway over time: killed, changed and given another token while callers depend on it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../support/free-port.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { processesOf } from "../support/remove-folder.ts";

let place: LocalClone;
let port: number;

before(async () => {
  place = makeClone("process");
  port = await freePort();
  const example = readFileSync(`${place.directory}/stacks/examples/local.yaml`, "utf8");
  writeFileSync(
    place.stackFile,
    example.replace("port: 18789", `port: ${port}`).replace("enabled: true", "enabled: true\n    delayMs: 60"),
  );
  const up = await place.operate(["up"]);
  assert.equal(up.code, 0, up.text);
});
after(() => place.remove());

const agent = new Agent({ keepAlive: false });

interface Answer {
  status: number;
  body: string;
}

function call(path: string, token: string, body?: object, onText?: (text: string) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const sent = request(
      { host: "127.0.0.1", port, path, method: body ? "POST" : "GET", headers, agent },
      (response: IncomingMessage) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          onText?.(chunk);
        });
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    sent.on("error", reject);
    sent.end(body ? JSON.stringify(body) : undefined);
  });
}

async function token(): Promise<string> {
  return (await place.operate(["token"])).stdout.trim();
}

async function status(): Promise<{ phase: string; gatewayPid: number; supervisorPid: number }> {
  return JSON.parse((await place.operate(["status", "--json"])).stdout);
}

async function up(): Promise<string> {
  const { code, text } = await place.operate(["up"]);
  assert.equal(code, 0, text);
  return text;
}

/** Calls from several clients, one connection each time, until `work` is done. */
async function underLoad(
  callerToken: string,
  work: () => Promise<void>,
): Promise<{ statuses: Map<number, number>; failures: string[] }> {
  const statuses = new Map<number, number>();
  const failures: string[] = [];
  let stop = false;
  const clients = Array.from({ length: 3 }, async () => {
    while (!stop) {
      try {
        const { status } = await call("/v1/models", callerToken);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      } catch (error) {
        failures.push(String(error));
      }
      await pause(10);
    }
  });
  await work();
  stop = true;
  await Promise.all(clients);
  return { statuses, failures };
}

test("kill -9 of the gateway, then of its supervisor: both are back in under two seconds", async () => {
  const key = await token();
  let second = await status();
  // The second try is for a machine that does much else at the moment; its backoff is half a second longer.
  const times: number[] = [];
  for (let n = 0; n < 2 && (times.at(-1) ?? 2000) >= 2000; n++) {
    const first = second;
    process.kill(first.gatewayPid, "SIGKILL");
    const began = Date.now();
    // The connection waits in the queue of the listening socket.
    assert.equal((await call("/healthz", key)).status, 200);
    times.push(Date.now() - began);
    second = await status();
    assert.notEqual(second.gatewayPid, first.gatewayPid);
  }
  assert.ok((times.at(-1) ?? 0) < 2000, `${times.join(", ")} ms`);

  process.kill(second.supervisorPid, "SIGKILL");
  const end = Date.now() + 2000;
  let third = second;
  while (third.supervisorPid === second.supervisorPid || third.phase !== "ready") {
    assert.ok(Date.now() < end + 3000, "no new supervisor");
    third = await status();
  }
  assert.equal(third.gatewayPid, second.gatewayPid);
  assert.match(await up(), /7 unchanged/);
});

test("another token: accepted without a restart, and from then on without exception", async () => {
  const before = await status();
  const next = "another-token-0123456789";
  const set = await place.operate(["config", "set", "--secret", "gatewayToken"], { input: next });
  assert.equal(set.code, 0, set.text);
  const refusedAfterwards: number[] = [];
  let accepted = false;
  const { failures } = await underLoad(next, async () => {
    const watch = (async () => {
      for (let n = 0; n < 400; n++) {
        const { status } = await call("/v1/models", next);
        if (status === 200) accepted = true;
        else if (accepted) refusedAfterwards.push(status);
        if (accepted && n > 300) break;
        await pause(20);
      }
    })();
    assert.match(await up(), /reloaded without a restart/);
    assert.equal((await call("/v1/models", next)).status, 200);
    await watch;
  });
  assert.deepEqual(failures, []);
  assert.deepEqual(refusedAfterwards, []);
  assert.equal((await status()).gatewayPid, before.gatewayPid);
  assert.equal(await token(), next);
});

test("a setting that can change while running does; requests go on", async () => {
  const before = await status();
  const key = await token();
  await place.operate(["config", "set", "--path", "logging.level", "debug"]);
  const { statuses, failures } = await underLoad(key, async () => {
    assert.match(await up(), /reloaded without a restart/);
  });
  assert.deepEqual(failures, []);
  assert.deepEqual([...statuses.keys()], [200]);
  assert.equal((await status()).gatewayPid, before.gatewayPid);
});

test("a setting that needs a restart: no request is lost, and a stream that is under way ends as it should", async () => {
  const before = await status();
  const key = await token();
  await place.operate(["config", "set", "--path", "http.keepAliveTimeoutMs", "70000"]);
  const started = Promise.withResolvers<void>();
  let replaced = "";
  const streams: Promise<Answer>[] = [];
  const { statuses, failures } = await underLoad(key, async () => {
    let done = false;
    // Streams of some seconds each, begun one after the other, so that some are under way when the old gateway drains.
    const feed = (async () => {
      while (!done) {
        const body = { model: "demo/demo", stream: true, messages: [{ role: "user", content: "Hello" }] };
        streams.push(call("/v1/chat/completions", key, body, () => started.resolve()));
        await pause(300);
      }
    })();
    await started.promise;
    replaced = await up();
    done = true;
    await feed;
  });
  assert.match(replaced, /replaced, because of .*http/);
  assert.deepEqual(failures, []);
  assert.deepEqual([...statuses.keys()], [200]);
  for (const answer of await Promise.all(streams)) {
    assert.equal(answer.status, 200);
    assert.match(answer.body, /data: \[DONE\]\s*$/);
  }
  assert.notEqual((await status()).gatewayPid, before.gatewayPid);
});

test("stop, status, start; and up brings back what was stopped", async () => {
  assert.equal((await place.operate(["stop"])).code, 0);
  assert.deepEqual(processesOf(place.base), []);
  const stopped = await place.operate(["status"]);
  assert.equal(stopped.code, 1);
  assert.match(stopped.text, /npm run start/);
  assert.equal((await place.operate(["start"])).code, 0);
  assert.equal((await place.operate(["status"])).code, 0);
  await place.operate(["stop"]);
  const again = await up();
  assert.match(again, /7 unchanged|6 unchanged/);
  assert.match(again, /The gateway was not running/);
  assert.equal((await call("/healthz", "")).status, 200);
});

test("a release that does not start leaves the old gateway at work and shows the last lines of its log", async () => {
  const before = await status();
  const file = `${place.directory}/gateway/main.ts`;
  const good = readFileSync(file, "utf8");
  writeFileSync(file, `throw new Error("this release is broken");\n${good}`);
  const broken = await place.operate(["up"]);
  assert.notEqual(broken.code, 0);
  assert.match(broken.text, /this release is broken/);
  assert.match(broken.text, /the old one goes on/);
  assert.equal((await status()).gatewayPid, before.gatewayPid);
  writeFileSync(file, good);
  await up();
  assert.equal((await call("/healthz", "")).status, 200);
});
