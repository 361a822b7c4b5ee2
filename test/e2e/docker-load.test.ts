/**
 * The target `docker` under constant load, with two gateways and Redis: everything that changes in its life changes in each
 * round, and nobody notices but those whose very gateway was killed. Streams of 30 s are numbered; WebSockets are echoed by the
 * gateway's process in its place.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { LookupFunction } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI from "openai";
import { Agent, fetch as undiciFetch } from "undici";
import { z } from "zod";
import { describeFailures, type Load, type LoadFailure, startLoad } from "../support/constant-load.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { provideEchoGateways, provideNewNginx } from "../support/docker-load-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { makeNetwork, type Network, type NetworkHost } from "../support/network.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";

const skip = whyNoDocker({ docker: "docker.io" });
const rounds = Number(process.env.OPENCLAW_LOAD_ROUNDS ?? 3);
const webSockets = 3;
const gatewayToken = "load-gateway-token-0123456789abcdef";
const stateSchema = z.object({
  State: z.object({ Pid: z.int(), Health: z.object({ Status: z.string() }) }),
});

describe("a Docker host under constant load", { skip: skip ?? false, timeout: 1_500_000 }, () => {
  let network: Network;
  let host: NetworkHost;
  let docker: TestDocker;
  let upstream: NumberUpstream;
  let stack: DockerStackTest;
  let load: Load | undefined;
  let oldNginx: string | undefined;

  before(async () => {
    // A host of its own: the daemon's rules for packets are nobody else's, and clients come from outside.
    network = makeNetwork();
    host = network.addHost();
    docker = await startDocker(["--live-restore"], [], host.name);
    await provideImages(docker, { "nginx:debian": "nginx", "redis:7.4": "redis", "debian:12-slim": "base" });
    oldNginx = await provideNewNginx(docker, "nginx:debian", "nginx:1.28");
    if (oldNginx) console.log(`with Debian's own nginx: ${oldNginx}`);
    await provideEchoGateways(docker, "debian:12-slim", ["gateway-echo:a", "gateway-echo:b"]);
    upstream = await startNumberUpstream({ address: network.address4 });
    stack = await makeDockerStack(docker, host.address4);
    stack.settings({
      models: { default: "numbers/numbers", providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
      tokens: [{ id: "app" }],
      drain: { timeoutMs: 60_000 },
      ...changing("info", "a", 2),
    });
    await stack.secret("gatewayToken", gatewayToken);
    await stack.secret("apiKey-numbers", "load-provider-key");
    await stack.secret("token-app", appToken(0));
    await stack.run(["up", "--yes", "--skip-preview"]);
  });

  after(async () => {
    await load?.stop();
    await upstream?.close();
    await docker?.close();
    network?.remove();
    await stack?.clone.remove();
  });

  function changing(level: "info" | "debug", image: "a" | "b", gateways: number): { [section: string]: unknown } {
    const nginx = { name: oldNginx ? "nginx:debian" : "nginx:1.28" };
    const more = { image: { name: `gateway-echo:${image}` }, images: { nginx }, gateways };
    const where = { host: docker.host, addresses: [host.address4], directory: stack.directory };
    return { logging: { level }, docker: { ...where, ...more } };
  }

  async function stateOf(container: string): Promise<{ pid: number; health: string }> {
    const { State } = stateSchema.parse(JSON.parse(await stack.docker(`/containers/${container}/json`)));
    return { pid: State.Pid, health: State.Health.Status };
  }

  /** One of everything. Streams of before run on in all of it. */
  async function round(number: number): Promise<void> {
    const began = performance.now();
    const times: string[] = [];
    let last = began;
    const phase = (name: string): void => {
      const now = performance.now();
      if (now - last > 50) times.push(`${((now - last) / 1000).toFixed(1)} s`);
      last = now;
      times.push(name);
      load?.phase(`${name} ${number}`);
    };
    const odd = number % 2 === 1;
    const gateways = odd ? 3 : 2;

    phase("config, image, token and number");
    await stack.secret("token-app", appToken(number));
    stack.settings(changing(odd ? "debug" : "info", odd ? "b" : "a", gateways));
    const { text } = await stack.run(["up", "--yes", "--skip-preview"]);
    assert.match(text, /updated/);
    const running = (await Promise.all([1, 2, 3].map((index) => stack.containers(`gateway-${index}`)))).flat();
    assert.equal(running.length, gateways);
    assert.notEqual(await ask(appToken(number)), "");

    phase("redis");
    const [redis = ""] = await stack.containers("redis");
    await stack.docker(`/containers/${redis}/restart?t=5`, "POST");
    await until("Redis is healthy", async () => (await stateOf(redis)).health === "healthy");

    phase("daemon");
    await docker.restart();

    phase("kill");
    const [victim = ""] = await stack.containers("gateway-1");
    const { pid } = await stateOf(victim);
    process.kill(pid, "SIGKILL");
    await until("the killed gateway is back", async () => {
      const now = await stateOf(victim);
      return now.pid !== 0 && now.pid !== pid && now.health === "healthy";
    });

    phase("after");
    assert.notEqual(await ask(gatewayToken), "");
    const report = await load?.report();
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`round ${number}: ${times.slice(0, -1).join(" ")}; ${seconds} s; ${report?.failures.length} noticed so far`);
  }

  async function ask(token: string): Promise<string> {
    const ca = readFileSync(await stack.certificate(), "utf8");
    const { hostname, port } = new URL(stack.url);
    // As DNS would say it.
    const lookup: LookupFunction = (_name, _options, found) => found(null, [{ address: hostname, family: 4 }]);
    const dispatcher = new Agent({ connect: { ca, lookup } });
    try {
      const client = new OpenAI({
        apiKey: token,
        baseURL: `https://${stack.name}:${port}/v1`,
        maxRetries: 0,
        fetch: (url, init = {}) =>
          undiciFetch(url instanceof Request ? url.url : url, {
            method: init.method,
            headers: Object.fromEntries(new Headers(init.headers)),
            body: typeof init.body === "string" ? init.body : undefined,
            signal: init.signal,
            dispatcher,
          }),
      });
      const answer = await client.chat.completions.create({ model: "numbers", messages: [{ role: "user", content: "hello" }] });
      return answer.choices[0]?.message.content ?? "";
    } finally {
      await dispatcher.close();
    }
  }

  test(`${rounds} rounds`, async () => {
    load = await startLoad({
      url: stack.url,
      caFile: await stack.certificate(),
      serverName: stack.name,
      token: gatewayToken,
      model: "numbers",
      callsPerSecond: 5,
      newConnectionEvery: 5,
      streams: 3,
      streamPieces: 300,
      streamPaceMs: 100,
      webSockets: { path: "/ws", count: webSockets, everyMs: 200 },
      slowMs: 10_000,
    });
    for (let number = 1; number <= rounds; number++) await round(number);
    const report = await load.finish();
    console.log(
      `under load: ${report.calls} calls, ${report.streams} streams, ${report.echoes} echoes, ${report.connections} connections; ` +
        `slowest call ${report.slowest.call.ms} ms (${report.slowest.call.phase}), ${report.failures.length} of the killed or excused`,
    );
    assert.ok(report.calls > 20 * rounds && report.streams >= rounds && report.echoes > 20 * rounds, JSON.stringify(report));

    const killed = report.failures.filter(({ phase }) => phase.startsWith("kill "));
    const others = report.failures.filter(
      (failure) => !killed.includes(failure) && !closedAtReload(failure) && !refusedAtRestart(failure),
    );
    assert.deepEqual(others, [], describeFailures({ ...report, failures: others }));
    // The model server counts the streams that a gateway left: these are the killed one's, and no others are allowed to break.
    const { streamsCut } = await upstream.served();
    const of = (kind: LoadFailure["kind"]): LoadFailure[] => killed.filter((failure) => failure.kind === kind);
    assert.ok(of("stream").length <= streamsCut, describeFailures({ ...report, failures: killed }));
    assert.ok(of("websocket").length <= webSockets * rounds, describeFailures({ ...report, failures: killed }));
    // What was under way in its few milliseconds.
    assert.ok(of("call").length <= rounds, describeFailures({ ...report, failures: killed }));
  });

  /**
   * nginx before 1.27.4 closes a kept connection when a stream on it ends after a reload; who sends the next request in that very
   * moment finds it closed before anything of an answer came.
   */
  function closedAtReload({ reused, got, afterMs }: LoadFailure): boolean {
    return oldNginx !== undefined && reused && afterMs < 100 && /^(socket hang up|read ECONNRESET) before any answer/.test(got);
  }

  /** Docker writes its rules anew when it starts: for some 100 ms the host's published ports are closed to new connections. */
  function refusedAtRestart({ phase, reused, got }: LoadFailure): boolean {
    return phase.startsWith("daemon ") && !reused && got.startsWith("connect ECONNREFUSED");
  }
});

const appToken = (number: number): string => `load-app-token-${number}-0123456789abcdef`;

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 300_000; ; await pause(100)) {
    if (await look().catch(() => false)) return;
    assert.ok(Date.now() < end, `not in five minutes: ${what}`);
  }
}
