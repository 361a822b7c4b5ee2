/**
 * The target `docker` under constant load, with two gateways, Redis, and certbot with a real ACME server: everything that changes
 * in its life changes in each round, and nobody notices but those whose very gateway was killed. Streams of 30 s are numbered;
 * WebSockets are echoed by the gateway's process in its place.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import {
  closedAtReload,
  describeFailures,
  describeSlowest,
  type Load,
  type LoadFailure,
  type LoadReport,
  slowestOf,
  startLoad,
} from "../support/constant-load.ts";
import { whyNoDocker } from "../support/docker.ts";
import { type DockerDeployment, startDockerDeployment } from "../support/docker-deployment.ts";
import { provideEchoGateways, provideNewNginx } from "../support/docker-load-images.ts";
import { eventually } from "../support/eventually.ts";
import { runCommand } from "../support/outcome.ts";
import { type Pebble, startPebble, whyNoPebble } from "../support/pebble.ts";

const skip = whyNoDocker({ docker: "docker.io" }) ?? whyNoPebble();
if (skip) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${skip}`);
const rounds = Number(process.env.OPENCLAW_LOAD_ROUNDS ?? 10);
const webSockets = 3;
/** nginx leaves a gateway that failed alone for 2 s (`fail_timeout`), and then waits for it for 2 s (`connectSeconds`) once more. */
const failedMs = 5000;
const patientMs = 300_000;
const gatewayToken = "load-gateway-token-0123456789abcdef";
const appToken = (number: number): string => `load-app-token-${number}-0123456789abcdef`;
const healthCheck = ["/opt/openclaw/bin/node", "/opt/openclaw/gateway/health.js"];
const stateSchema = z.object({
  State: z.object({ Pid: z.int(), Health: z.object({ Status: z.string() }) }),
  NetworkSettings: z.object({ Networks: z.record(z.string(), z.object({ IPAddress: z.string() })) }),
});

describe("a Docker host under constant load", { skip: skip ?? false, timeout: 2_400_000 }, () => {
  let deployment: DockerDeployment;
  let pebble: Pebble;
  let names: { [name: string]: string } = {};
  let ca = "";
  let load: Load;
  /** Straight to the model server: what this machine itself makes calls wait. */
  let control: Load;
  let oldNginx: string | undefined;
  let streamsBegan = 0;

  before(async () => {
    const images = { "nginx:debian": "nginx", "redis:7.4": "redis", "debian:12-slim": "base" } as const;
    deployment = await startDockerDeployment({ ...images, "certbot/certbot:v5.1.0": "certbot" }, ["--live-restore"]);
    const { docker, stack, address, outside, models } = deployment;
    oldNginx = await provideNewNginx(docker, "nginx:debian", "nginx:1.28");
    if (oldNginx) console.log(`with Debian's own nginx: ${oldNginx}`);
    await provideEchoGateways(docker, "debian:12-slim", ["gateway-echo:a", "gateway-echo:b"]);
    // certbot renews what has less than a month left: at each look, which is a renewal or two in each round, at any moment of it.
    pebble = await startPebble({ address: outside, httpPort: stack.ports.http, certificateSeconds: 86_400 });
    await pebble.setAddresses(stack.name, [address]);
    names = { [stack.name]: address };
    const { directoryUrl: directory, caFile } = pebble;
    stack.settings({
      ...{ models, tokens: [{ id: "app" }], drain: { timeoutMs: 60_000 }, ...changing("info", "a", 2) },
      proxy: {
        names: [stack.name],
        ports: stack.ports,
        tls: { mode: "acme", acme: { directory, caFile, checkSeconds: 10 } },
      },
    });
    await stack.secrets({ gatewayToken, "apiKey-numbers": "load-provider-key", "token-app": appToken(0) });
    await stack.up("from nothing to ready", names);
    await eventually("nginx shows the authority's certificate", async () => /Pebble/.test((await stack.shown()).issuer));
    ca = await pebble.issuerCa();
    const caOfSite = join(stack.clone.base, "issuer.pem");
    writeFileSync(caOfSite, ca);
    streamsBegan = performance.now();
    load = await startLoad({
      url: stack.url,
      caFile: caOfSite,
      serverName: stack.name,
      token: gatewayToken,
      model: "numbers",
      callsPerSecond: 5,
      newConnectionEvery: 5,
      streams: 3,
      streamsTogether: true,
      streamPieces: 300,
      streamPaceMs: 100,
      webSockets: { path: "/ws", count: webSockets, everyMs: 200 },
      slowMs: 10_000,
    });
    const { baseUrl: url } = deployment.upstream;
    control = await startLoad({
      url: new URL(url).origin,
      token: "control",
      model: "numbers",
      callsPerSecond: 5,
      slowMs: 10_000,
    });
  });

  after(async () => {
    await load?.stop();
    await control?.stop();
    await pebble?.stop();
    await deployment?.close();
  });

  function changing(level: "info" | "debug", image: "a" | "b", gateways: number): { [section: string]: unknown } {
    const nginx = { name: oldNginx ? "nginx:debian" : "nginx:1.28" };
    const docker = deployment.section({ image: { name: `gateway-echo:${image}` }, images: { nginx }, gateways });
    return { logging: { level }, docker };
  }

  async function stateOf(container: string): Promise<{ pid: number; health: string; addresses: string }> {
    const text = await deployment.stack.docker(`/containers/${container}/json`);
    const { State, NetworkSettings } = stateSchema.parse(JSON.parse(text));
    const addresses = Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
    return { pid: State.Pid, health: State.Health.Status, addresses: addresses.sort().join(" ") };
  }

  function begin(phase: string): void {
    load.phase(phase);
    control.phase(phase);
  }

  const inside = (container: string): string[] => ["docker", "-H", deployment.docker.host, "exec", container];

  const running = async (...services: string[]): Promise<string[]> =>
    (await Promise.all(services.map(deployment.stack.containers))).flat();

  /** Resolves when the gateways of before begin to drain, and with what resolves when they are gone. */
  async function update(what: string): Promise<{ text: Promise<string> }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const text = deployment.stack.up(what, names, { onText: (said) => /gateway-\d deleting/.test(said) && resolve() });
    // Whoever asks for it hears of it, also later.
    text.catch(() => {});
    await Promise.race([promise, text]);
    return { text };
  }

  /** Where this machine is so slow that the last ones would not live to see the next gateways. */
  function renewOldStreams(): void {
    if (performance.now() - streamsBegan > 15_000) beginStreams();
  }

  function beginStreams(): void {
    streamsBegan = performance.now();
    load.beginStreams();
  }

  /**
   * One of everything. `up` waits for the streams that gateways of before still have. The next ones begin while it waits: each lives
   * through what comes after that `up`, and through most of the next one. What needs no `up` happens while it waits.
   */
  async function round(number: number): Promise<void> {
    const { docker, stack } = deployment;
    const began = performance.now();
    const times: string[] = [];
    const phase = (name: string): void => {
      times.push(`${name} at ${((performance.now() - began) / 1000).toFixed(1)} s`);
      begin(`${name} ${number}`);
    };
    const odd = number % 2 === 1;
    const gateways = odd ? 3 : 2;
    const { serialNumber } = await stack.shown();

    phase("kill");
    const [victim = ""] = await stack.containers("gateway-1");
    const { pid, addresses } = await stateOf(victim);
    const killed = new Date().toISOString();
    process.kill(pid, "SIGKILL");
    const isBack = async (): Promise<boolean> => ![0, pid].includes((await stateOf(victim)).pid);
    await eventually("the killed gateway runs again", isBack, patientMs);

    // Docker 20.10 looks at no container's health any more that it found running when it started.
    const isHealthy = async (): Promise<boolean> => (await runCommand([...inside(victim), ...healthCheck])).code === 0;
    const [nginx = ""] = await stack.containers("nginx");
    const logs = ["docker", "-H", docker.host, "logs", "--since", killed, nginx];
    const isKnown = async (): Promise<boolean> =>
      (await stateOf(victim)).addresses === addresses || /gateways are at other addresses/.test((await runCommand(logs)).text);
    async function isThere(): Promise<void> {
      await eventually("the killed gateway is healthy", isHealthy, patientMs);
      await eventually("nginx knows its new address", isKnown, patientMs);
    }
    // Not together with the next: what a daemon has not written down of a container that it just began, the next one does not know.
    phase("back");
    await isThere();

    phase("daemon");
    await docker.restart();

    phase("back");
    await isThere();
    // nginx tries the dead one again after so long.
    await pause(failedMs);

    phase("config, image, token and number");
    renewOldStreams();
    await stack.secrets({ "token-app": appToken(number) });
    stack.settings(changing(odd ? "debug" : "info", odd ? "b" : "a", gateways));
    const updated = await update(`update ${number}`);

    // At the gateways of now, beside those of before, which have to end where they are.
    beginStreams();

    phase("redis");
    const [redis = ""] = await stack.containers("redis");
    await stack.docker(`/containers/${redis}/restart?t=5`, "POST");
    await eventually("Redis is healthy", async () => (await stateOf(redis)).health === "healthy", patientMs);

    phase("drain");
    assert.match(await updated.text, /updated/);
    assert.equal((await running("gateway-1", "gateway-2", "gateway-3")).length, gateways);
    assert.notEqual(await stack.ask(appToken(number), ca), "");
    const isRenewed = async (): Promise<boolean> => (await stack.shown()).serialNumber !== serialNumber;
    await eventually("the certificate is the next one", isRenewed, patientMs);
    phase("end");
    const report = await load.report();
    console.log(`round ${number}: ${times.join(", ")}; ${report.failures.length} noticed so far`);
    await judge(report, number);
  }

  test("config and a token alone: no container is touched", async () => {
    const { stack } = deployment;
    const before = await running("gateway-1", "gateway-2", "nginx", "certbot", "redis");
    begin("config alone");
    await stack.secrets({ "token-app": appToken(-1) });
    stack.settings(changing("debug", "a", 2));
    assert.match(await stack.up("config and a token", names), /updated/);
    await eventually("the new token is let in", async () => (await stack.ask(appToken(-1), ca)) !== "");
    assert.deepEqual(await running("gateway-1", "gateway-2", "nginx", "certbot", "redis"), before);
  });

  test(`${rounds} rounds, then one gateway again`, async () => {
    const { stack } = deployment;
    for (let number = 1; number <= rounds; number++) await round(number);

    begin("one gateway");
    renewOldStreams();
    stack.settings(changing("info", "a", 1));
    const { text } = await update("one gateway again");
    const report = await load.finish();
    await text;
    assert.equal((await running("gateway-1", "gateway-2", "gateway-3", "redis")).length, 1);
    console.log(
      `under load: ${report.calls} calls, ${report.streams} streams, ${report.echoes} echoes, ${report.connections} connections; ` +
        `${report.failures.length} failures of the killed; slowest ${slowest(report)}; straight to the model server ${slowest(await control.report())}`,
    );
    assert.ok(report.calls > 20 * rounds && report.streams >= rounds && report.echoes > 20 * rounds, JSON.stringify(report));

    await judge(report, rounds);
  });

  /** Of so many rounds. */
  async function judge(report: LoadReport, many: number): Promise<void> {
    const killed = report.failures.filter(({ phase }) => phase.startsWith("kill "));
    const others = report.failures.filter(
      (failure) => !killed.includes(failure) && !(oldNginx !== undefined && closedAtReload(failure)),
    );
    assert.deepEqual(others, [], describeFailures({ ...report, failures: others }));
    // The model server counts the streams that a gateway left: these are the killed one's, and no others are allowed to break.
    const { streamsCut } = await deployment.upstream.served();
    const of = (kind: LoadFailure["kind"]): LoadFailure[] => killed.filter((failure) => failure.kind === kind);
    assert.ok(of("stream").length <= streamsCut, describeFailures({ ...report, failures: killed }));
    assert.ok(of("websocket").length <= webSockets * many, describeFailures({ ...report, failures: killed }));
    // What was under way in its few milliseconds.
    assert.ok(of("call").length <= many, describeFailures({ ...report, failures: killed }));
    await judgeDelays(report);
  }

  /** Nothing waits for more than a second, but for a gateway that is dead and behind a daemon's rules, and for this machine itself. */
  async function judgeDelays(report: LoadReport): Promise<void> {
    const machine = await control.report();
    const late = report.slowest.filter(({ phase, ms }) => {
      const busyMs = slowestOf(machine, "call", (other) => other === phase).ms;
      return !/^(kill|daemon|back) /.test(phase) && ms > 1000 + 4 * busyMs;
    });
    if (late.length === 0) return;
    assert.fail(
      `too late: ${JSON.stringify(late)}\nthis machine itself: ${describeSlowest(machine.slowest.slice(0, 4))}\n${await nginxSaid()}`,
    );
  }

  /** What it tried more than one gateway for, when it read its files, and where the gateways are. */
  async function nginxSaid(): Promise<string> {
    const [nginx = ""] = await deployment.stack.containers("nginx");
    const { text } = await runCommand(["docker", "-H", deployment.docker.host, "logs", "--tail", "2000", nginx]);
    const told = text.split("\n").filter((line) => /nginx-watch|"upstream":"[^"]*,/.test(line));
    const places = await Promise.all(
      (await running("gateway-1", "gateway-2", "gateway-3")).map(async (name) => `${name} ${(await stateOf(name)).addresses}`),
    );
    const known = await runCommand([...inside(nginx), "getent", "ahosts", "gateway-1"]);
    return [...told.slice(-20), ...places, known.text].join("\n");
  }
});

const slowest = (report: LoadReport): string => describeSlowest(report.slowest.slice(0, 8));
