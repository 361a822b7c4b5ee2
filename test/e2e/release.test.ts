/** The gateway as it is deployed: from a release that was unpacked elsewhere, and from its image on a real daemon. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { nodeEnvironment, nodeFlags } from "../../gateway/process/supervisor-child.ts";
import { buildRelease, imageContext, type Release, type ReleasePlatform } from "../../infra/release/index.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { freePort } from "../support/free-port.ts";
import { bearer, chat, type GatewayProcess, spawnGateway, token } from "../support/gateway.ts";
import { type Outcome, runCommand } from "../support/outcome.ts";
import { isRunning } from "../support/processes.ts";
import { startRedis, whyNoRedis } from "../support/redis.ts";

const platform: ReleasePlatform = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const folder = mkdtempSync(join(tmpdir(), "openclaw-release-e2e-"));
const previousHome = process.env.OPENCLAW_STACK_HOME;
const running: GatewayProcess[] = [];

before(() => {
  process.env.OPENCLAW_STACK_HOME = join(folder, "home");
});
after(async () => {
  await Promise.all(running.map((gateway) => gateway.stop()));
  if (previousHome === undefined) delete process.env.OPENCLAW_STACK_HOME;
  else process.env.OPENCLAW_STACK_HOME = previousHome;
  rmSync(folder, { recursive: true, force: true });
});

/** The demonstration is its only model. */
function writeConfig(name: string, port: number, stack: object, bind = "loopback"): string {
  const path = join(folder, name);
  const config = {
    gateway: { port, bind, auth: { token } },
    models: { providers: { demo: { api: "demo" } } },
    plugins: { entries: { "openclaw-stack": { config: stack } } },
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

async function until<T>(what: string, ask: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; ) {
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(50);
  }
}

describe("a release, unpacked where nothing else is", () => {
  let release: Release;
  let home = "";
  const inside = (name: string): string => join(home, name);

  before(() => {
    release = buildRelease(platform);
    const place = join(folder, "opt");
    mkdirSync(place);
    execFileSync("tar", ["-xzf", release.archive, "-C", place]);
    home = join(place, release.id);
    // What was unpacked stands alone.
    rmSync(join(folder, "home"), { recursive: true });
  });

  test("what is loaded late is there: Redis, the reader of YAML, and what sends spans", { timeout: 120_000 }, async (t) => {
    const why = whyNoRedis();
    if (why !== undefined) return t.skip(why);
    const redis = await startRedis();
    t.after(() => redis.close());
    const port = await freePort();
    const state = join(folder, "late");
    mkdirSync(state);
    const config = join(folder, "late.yaml");
    let spans = 0;
    const collector = createServer((request, response) => {
      spans += request.method === "POST" && request.url === "/v1/traces" ? 1 : 0;
      request.resume().on("end", () => response.end("{}"));
    });
    const collectorPort = await freePort();
    collector.listen(collectorPort, "127.0.0.1");
    t.after(() => collector.close());
    const tracing = `{"enabled":true,"endpoint":"http://127.0.0.1:${collectorPort}/v1/traces"}`;
    const stack = `{"cluster":{"redisUrl":"${redis.url}"},"tracing":${tracing}}`;
    writeFileSync(
      config,
      `gateway:\n  port: ${port}\n  auth:\n    token: ${token}\nmodels:\n  providers:\n    demo:\n      api: demo\nplugins: {"entries":{"openclaw-stack":{"config":${stack}}}}\n`,
      { mode: 0o600 },
    );
    const program = [inside("bin/node"), ...nodeFlags, inside("gateway/main.js")];
    const gateway = spawnGateway(config, state, port, [], { program, path: "/nowhere" });
    running.push(gateway);
    await gateway.says("gateway_ready");
    const seen = await until("Redis", async () => {
      const answer = await fetch(`${gateway.url}/readyz`, { headers: bearer });
      const { cluster }: { cluster?: { redis?: string } } = JSON.parse(await answer.text());
      return cluster?.redis === "up" ? cluster.redis : undefined;
    });
    assert.equal(seen, "up", gateway.output());
    assert.equal((await chat(gateway.url, { model: "demo" })).status, 200, gateway.output());
    gateway.child.kill("SIGTERM");
    assert.equal(await gateway.exited, 0, gateway.output());
    assert.ok(spans > 0, gateway.output());
  });

  test("serves with two workers and its record of usage, and drains to exit code 0", { timeout: 120_000 }, async () => {
    const port = await freePort();
    const state = join(folder, "state");
    mkdirSync(state);
    const config = writeConfig("workers.json", port, { workers: 2 });
    const program = [inside("bin/node"), ...nodeFlags, inside("gateway/main.js")];
    const gateway = spawnGateway(config, state, port, [], { program, path: "/nowhere" });
    running.push(gateway);
    await gateway.says("gateway_ready");

    const answer = await chat(gateway.url, { model: "demo" });
    assert.equal(answer.status, 200, gateway.output());
    assert.match(await answer.text(), /demonstration model/);

    const pid = gateway.child.pid ?? 0;
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
    assert.equal(workers.length, 2);
    for (const worker of workers) {
      assert.equal(execFileSync("readlink", [`/proc/${worker}/exe`], { encoding: "utf8" }).trim(), inside("bin/node"));
    }

    const used = await until("a recorded request", async () => {
      const report = await fetch(`${gateway.url}/api/usage`, { headers: bearer });
      const { totals }: { totals: { requests: number } } = JSON.parse(await report.text());
      return totals.requests > 0 ? totals.requests : undefined;
    });
    assert.equal(used, 1);
    assert.ok(
      readdirSync(state).some((name) => name.endsWith(".db") || name.endsWith(".sqlite")),
      readdirSync(state).join(" "),
    );

    // An answer that is under way is finished.
    const stream = await chat(gateway.url, { model: "demo", stream: true });
    assert.equal(stream.status, 200);
    gateway.child.kill("SIGTERM");
    assert.match(await stream.text(), /data: \[DONE\]\s*$/);
    assert.equal(await gateway.exited, 0, gateway.output());
    assert.deepEqual(workers.filter(isRunning), []);
  });

  test("its command line works through a link", async () => {
    const command = join(folder, "openclaw-gateway");
    symlinkSync(inside("bin/openclaw-gateway"), command);
    assert.ok(readFileSync(command, "utf8").includes(`/node" ${nodeFlags.join(" ")} "`));
    for (const [name, value] of Object.entries(nodeEnvironment))
      assert.ok(readFileSync(command, "utf8").includes(`export ${name}="\${${name}:-${value}}"`), name);
    const env = { PATH: "/usr/bin:/bin", HOME: folder };
    const run = (...args: string[]): Promise<Outcome> => runCommand([command, ...args], { env });

    const { version }: { version: string } = JSON.parse(readFileSync(inside("package.json"), "utf8"));
    assert.equal((await run("--version")).stdout.trim(), version);
    const right = await run("config", "validate", "--config", writeConfig("right.json", 1234, {}));
    assert.equal(right.code, 0, right.text);
    const wrong = await run("config", "validate", "--config", writeConfig("wrong.json", 1234, { wrokers: 2 }));
    assert.equal(wrong.code, 78, wrong.text);
    assert.match(wrong.text, /wrokers[\s\S]*workers/);
    assert.match((await run("settings")).stdout, /\| `gateway\.port` \|/);
  });

  test("an error's trace names the source", async () => {
    const config = writeConfig("trace.json", await freePort(), {});
    const preload = join(folder, "preload.mjs");
    const planted = 'net.Server.prototype.listen = () => { throw new TypeError("planted"); };';
    writeFileSync(preload, `import net from "node:net"; ${planted}\n`);
    const program = [inside("bin/node"), "--import", preload, inside("gateway/main.js")];
    const gateway = spawnGateway(config, join(folder, "trace-state"), 1, [], { program });
    running.push(gateway);
    assert.notEqual(await gateway.exited, 0);
    assert.match(gateway.output(), /planted[\s\S]*gateway\/process\/(single|listen)\.ts:\d+/);
  });
});

const skip = whyNoDocker();

describe("the image", { skip: skip ?? false, timeout: 300_000 }, () => {
  let docker: TestDocker;
  let image = "";
  const run = async (...args: string[]): Promise<Outcome> =>
    await runCommand(["docker", "-H", docker.host, ...args], { env: { ...process.env, DOCKER_BUILDKIT: "0" } });
  const must = async (...args: string[]): Promise<string> => {
    const outcome = await run(...args);
    assert.equal(outcome.code, 0, `docker ${args.join(" ")}:\n${outcome.text}`);
    return outcome.stdout.trim();
  };

  before(async () => {
    docker = await startDocker();
    await provideImages(docker, { "debian:12-slim": "base" });
    const context = imageContext({ platform });
    image = `openclaw-gateway:${context.hash}`;
    const buildArguments = Object.entries(context.buildArguments).flatMap(([name, value]) => [
      "--build-arg",
      `${name}=${value}`,
    ]);
    await must("build", "-q", "-t", image, ...buildArguments, context.directory);
  });
  after(() => docker?.close());

  test("says what it is, adds little to its base, and holds nothing of where it was made", async () => {
    const [described]: { Config: { [name: string]: unknown }; Size: number }[] = JSON.parse(
      await must("image", "inspect", image),
    );
    const [base]: { Size: number }[] = JSON.parse(await must("image", "inspect", "debian:12-slim"));
    assert.ok(described && base);
    const { Config: config } = described;
    const labels = config.Labels;
    assert.ok(typeof labels === "object" && labels !== null);
    assert.equal(Reflect.get(labels, "org.opencontainers.image.title"), "openclaw-gateway");
    assert.match(String(Reflect.get(labels, "org.opencontainers.image.revision")), /^[0-9a-f]{12}$/);
    assert.equal(config.User, "1000:1000");
    assert.equal(config.StopSignal, "SIGTERM");
    assert.deepEqual(config.ExposedPorts, { "18789/tcp": {} });
    assert.deepEqual(config.Volumes, { "/var/lib/openclaw": {} });
    const added = (described.Size - base.Size) / 1e6;
    console.log(`the image adds ${added.toFixed(0)} MB to a base of ${(base.Size / 1e6).toFixed(0)} MB`);
    assert.ok(added < 140, `it adds ${added} MB`);
    const history = await must("history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", image);
    assert.ok(!history.includes(folder) && !history.includes(import.meta.dirname), history);
    assert.doesNotMatch(history, /\/bin\/sh -c (?!#\(nop\))/, "nothing is run while it is built");
  });

  test("serves without root, capabilities or a root that it can write to, and stops in peace", {
    timeout: 180_000,
  }, async () => {
    const configs = join(folder, "etc");
    mkdirSync(configs);
    writeConfig("etc/openclaw.json", 18789, { workers: 2 }, "lan");
    // The gateway's own user, and nobody else, can read its files.
    for (const path of [configs, join(configs, "openclaw.json")]) chownSync(path, 1000, 1000);
    chmodSync(configs, 0o700);
    chmodSync(folder, 0o711);
    const guards = [
      "--read-only",
      "--cap-drop",
      "ALL",
      "--security-opt",
      "no-new-privileges",
      "--tmpfs",
      "/tmp",
      "--pids-limit",
      "256",
    ];
    await must(
      "run",
      "-d",
      "--name",
      "gw",
      ...guards,
      "-v",
      `${configs}:/etc/openclaw:ro`,
      "-v",
      "data:/var/lib/openclaw",
      image,
    );
    const inspect = async (format: string): Promise<string> => await must("inspect", "--format", format, "gw");
    await until("healthy", async () => ((await inspect("{{.State.Health.Status}}")) === "healthy" ? true : undefined)).catch(
      async (error: unknown) => assert.fail(`${error}\n${(await run("logs", "gw")).text}`),
    );
    const url = `http://${await inspect("{{.NetworkSettings.IPAddress}}")}:18789`;
    const answer = await chat(url, { model: "demo" });
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /demonstration model/);

    const status = await must("exec", "gw", "node", "-p", "require('fs').readFileSync('/proc/1/status', 'utf8')");
    assert.match(status, /^Uid:\s+1000\s+1000\s+1000\s+1000$/m);
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.equal((await run("exec", "gw", "node", "-e", "require('fs').writeFileSync('/opt/openclaw/x', '')")).code, 1);
    const described = await must("inspect", "gw");
    assert.ok(!described.includes(token) && !(await must("history", "--no-trunc", image)).includes(token));

    const refused = await run("run", "--rm", ...guards, "-v", `${configs}:/etc/openclaw:ro`, image, "config", "validate");
    assert.equal(refused.code, 0, refused.text);
    await must("stop", "-t", "30", "gw");
    assert.equal(await inspect("{{.State.ExitCode}}"), "0", (await run("logs", "gw")).text);
  });
});
