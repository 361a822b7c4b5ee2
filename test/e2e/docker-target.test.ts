/**
 * The target `docker` on a real daemon: deployed by the embedded engine, used over HTTPS, changed under constant load,
 * and taken away. One daemon and one stack, in the order in which an operator would do it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { LookupFunction } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import OpenAI from "openai";
import { Agent, fetch as undiciFetch } from "undici";
import { z } from "zod";
import { describeFailures, type Load, type LoadFailure, startLoad } from "../support/constant-load.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import { plantSecrets, searchFor } from "../support/planted-secrets.ts";
import { makeKey, startSshd, whyNoSshd } from "../support/sshd.ts";

const skip = whyNoDocker();
const planted = plantSecrets(4);
const [gatewayToken = "", providerKey = "", appToken = "", nextToken = ""] = Object.values(planted);

const inspectSchema = z.object({
  Config: z.object({ User: z.string(), Env: z.array(z.string()) }),
  HostConfig: z.object({
    ReadonlyRootfs: z.boolean(),
    CapDrop: z.array(z.string()),
    CapAdd: z.array(z.string()).nullable(),
    SecurityOpt: z.array(z.string()),
    Memory: z.int(),
    MemorySwap: z.int(),
    NanoCpus: z.int(),
    PidsLimit: z.int().nullable(),
    Privileged: z.boolean(),
    PortBindings: z.record(z.string(), z.unknown()).nullable(),
    LogConfig: z.object({ Type: z.string(), Config: z.record(z.string(), z.string()) }),
    RestartPolicy: z.object({ Name: z.string() }),
  }),
  State: z.object({ Health: z.object({ Status: z.string() }) }),
});

describe("a stack on a Docker host", { skip: skip ?? false, timeout: 1_200_000 }, () => {
  let docker: TestDocker;
  let upstream: NumberUpstream;
  let stack: DockerStackTest;
  let load: Load | undefined;

  before(async () => {
    docker = await startDocker();
    await provideImages(docker, {
      "nginx:1.28": "nginx",
      "redis:7.4": "redis",
      "debian:12-slim": "base",
      "debian:12-next": "base",
    });
    // Containers reach the test's own processes at the address of the daemon's bridge.
    const address = bridgeAddress(docker.bridge);
    upstream = await startNumberUpstream({ address });
    stack = await makeDockerStack(docker, address);
    stack.settings({
      models: { default: "numbers/numbers", providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
      tokens: [{ id: "app" }],
      drain: { timeoutMs: 60_000 },
    });
    await stack.secret("gatewayToken", gatewayToken);
    await stack.secret("apiKey-numbers", providerKey);
    await stack.secret("token-app", appToken);
  });

  after(async () => {
    await load?.stop();
    await upstream?.close();
    await docker?.close();
    await stack?.clone.remove();
  });

  const up = async (what: string): Promise<string> => {
    const began = performance.now();
    const { text } = await stack.run(["up", "--yes", "--skip-preview"]);
    console.log(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return text;
  };

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

  test("the host is looked at, and the stack comes up", async () => {
    const doctor = await stack.run(["doctor"]);
    assert.match(doctor.text, /^ok +Docker daemon$/m);
    await up("from nothing to ready");
    assert.notEqual(await ask(gatewayToken), "");
    assert.notEqual(await ask(appToken), "");
    await assert.rejects(ask("a-wrong-token-of-nobody"), /401/);
    const status = await stack.run(["status"]);
    assert.match(status.text, /all containers run/);
    assert.match((await stack.run(["logs", "-n", "50"])).text, /\{/);
  });

  test("each container has bounds and no rights; only the proxy has ports", async () => {
    for (const service of ["gateway-1", "nginx"]) {
      const [name = ""] = await stack.containers(service);
      const { Config, HostConfig, State } = inspectSchema.parse(JSON.parse(await stack.docker(`/containers/${name}/json`)));
      assert.equal(Config.User, "1000:1000");
      assert.equal(State.Health.Status, "healthy");
      assert.equal(HostConfig.ReadonlyRootfs, true);
      assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
      assert.deepEqual(HostConfig.CapAdd ?? [], []);
      assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges:true"]);
      assert.equal(HostConfig.Privileged, false);
      assert.equal(HostConfig.Memory, (service === "nginx" ? 256 : 2048) * 1024 * 1024);
      assert.equal(HostConfig.MemorySwap, HostConfig.Memory);
      assert.ok(HostConfig.NanoCpus > 0 && (HostConfig.PidsLimit ?? 0) > 0);
      assert.deepEqual(HostConfig.LogConfig, { Type: "json-file", Config: { "max-file": "5", "max-size": "50m" } });
      assert.equal(HostConfig.RestartPolicy.Name, "unless-stopped");
      assert.equal(Object.keys(HostConfig.PortBindings ?? {}).length, service === "nginx" ? 2 : 0);
    }
    assert.match(readFileSync(join(stack.directory, "compose.yaml"), "utf8"), /^ {2}gateway-1:$/m);
  });

  test("without a change nothing is touched", async () => {
    const before = await Promise.all(["gateway-1", "nginx"].map(stack.containers));
    const text = await up("no change");
    assert.doesNotMatch(text, /created|updated|replaced|deleted/);
    assert.deepEqual(await Promise.all(["gateway-1", "nginx"].map(stack.containers)), before);
  });

  test("the same host by SSH: looked at, written to, and nothing else changes", { skip: whyNoSshd() ?? false }, async () => {
    const key = makeKey(stack.clone.base, "ssh-key");
    const sshd = await startSshd({ authorizedKeys: [key.publicKey] });
    try {
      const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${docker.host.slice("unix://".length)}`;
      const hostKey = sshd.hostKey.split(" ").slice(0, 2).join(" ");
      const before = await stack.containers("gateway-1");
      stack.settings({ docker: { ...dockerSection(), host, hostKey, sshKeyFile: key.file } });
      assert.match((await stack.run(["doctor"])).text, /^ok +Docker daemon$/m);
      await up("by SSH");
      assert.deepEqual(await stack.containers("gateway-1"), before);
      assert.match((await stack.run(["status"])).text, /all containers run/);
      const other = makeKey(stack.clone.base, "other-key").publicKey.split(" ").slice(0, 2).join(" ");
      stack.settings({ docker: { ...dockerSection(), host, hostKey: other, sshKeyFile: key.file } });
      const refused = await stack.clone.operate(["up", "--yes", "-s", "dock"]);
      assert.notEqual(refused.code, 0);
      assert.match(refused.text, /another key than docker\.hostKey/);
    } finally {
      await sshd.stop();
      stack.settings({ docker: dockerSection() });
    }
    await up("by its socket again");
  });

  test("config, tokens, gateways and image change under load; nobody notices", async () => {
    load = await startLoad({
      url: stack.url,
      caFile: await stack.certificate(),
      serverName: stack.name,
      token: gatewayToken,
      model: "numbers",
      callsPerSecond: 5,
      newConnectionEvery: 5,
      streams: 2,
      streamPieces: 150,
      streamPaceMs: 100,
      slowMs: 10_000,
    });
    const [first] = await stack.containers("gateway-1");

    load.phase("config");
    stack.settings({ logging: { level: "debug" } });
    assert.match(await up("another log level"), /~ 1 updated/);
    assert.deepEqual(await stack.containers("gateway-1"), [first], "a gateway takes that over by itself");

    load.phase("token");
    await stack.secret("token-app", nextToken);
    await up("another token");
    // The one before it is let in as long as rotation.overlapSeconds says.
    await until("the new token is let in", async () => (await ask(nextToken)) !== "");

    load.phase("two gateways");
    stack.settings({ docker: { ...dockerSection(), gateways: 2 } });
    await up("a second gateway, and Redis");
    assert.equal((await stack.containers("gateway-2")).length, 1);
    assert.equal((await stack.containers("redis")).length, 1);

    load.phase("image");
    stack.settings({ docker: { ...dockerSection(), gateways: 2, images: { base: { name: "debian:12-next" } } } });
    await up("another image");
    assert.notEqual((await stack.containers("gateway-1"))[0], first);

    load.phase("redis");
    const [redis = ""] = await stack.containers("redis");
    await stack.docker(`/containers/${redis}/restart?t=5`, "POST");

    load.phase("one gateway");
    stack.settings({ docker: { ...dockerSection(), images: { base: { name: "debian:12-next" } } } });
    await up("one gateway again");
    assert.deepEqual(await stack.containers("gateway-2"), []);

    const report = await load.finish();
    console.log(
      `under load: ${report.calls} calls, ${report.streams} streams, ${report.connections} connections; ` +
        `slowest call ${report.slowest.call.ms.toFixed(0)} ms (${report.slowest.call.phase})`,
    );
    assert.ok(report.calls > 50 && report.streams >= 4, `${report.calls} calls and ${report.streams} streams`);
    const failures = report.failures.filter((failure) => !closedAtReload(failure));
    assert.equal(failures.length, 0, describeFailures({ ...report, failures }));
    assert.ok(report.failures.length <= report.streams, describeFailures(report));
  });

  test("a gateway that is killed comes back by itself", async () => {
    const [name = ""] = await stack.containers("gateway-1");
    const pid = JSON.parse(await stack.docker(`/containers/${name}/json`)).State.Pid;
    process.kill(Number(pid), "SIGKILL");
    await until("it answers again", async () => (await ask(gatewayToken)) !== "");
    assert.deepEqual(await stack.containers("gateway-1"), [name]);
  });

  test("no secret is where somebody could read it", async () => {
    const search = searchFor(planted);
    const found = [
      ...(await dockerTexts()).flatMap(([place, text]) => search.text(place, text)),
      ...stack.printed.flatMap((text, index) => search.text(`output ${index}`, text)),
      ...search.files([stack.clone.home, stack.directory, join(stack.clone.directory, "stacks")]),
    ];
    assert.deepEqual(found, []);
  });

  test("destroy leaves the data and the certificate, and nothing else", async () => {
    await stack.run(["destroy", "--yes"]);
    const volumes: { Volumes: { Name: string }[] } = JSON.parse(await stack.docker("/volumes"));
    const names = volumes.Volumes.map(({ Name }) => Name).sort();
    assert.deepEqual(names, ["openclaw-data-1", "openclaw-data-2", "openclaw-redis", "openclaw-tls"]);
    assert.deepEqual(JSON.parse(await stack.docker("/containers/json?all=true")), []);
    const networks: { Name: string }[] = JSON.parse(await stack.docker("/networks"));
    assert.deepEqual(networks.map(({ Name }) => Name).sort(), ["bridge", "host", "none"]);
  });

  /** What the daemon says of the stack, and all layers of the one image that was made for it. */
  async function dockerTexts(): Promise<[string, string | Buffer][]> {
    const texts: [string, string | Buffer][] = [];
    const list: { Id: string; Names: string[]; Image: string }[] = JSON.parse(await stack.docker("/containers/json?all=true"));
    for (const { Id, Names } of list) {
      texts.push([`${Names[0]} inspect`, await stack.docker(`/containers/${Id}/json`)]);
      texts.push([`${Names[0]} log`, await stack.docker(`/containers/${Id}/logs?stdout=1&stderr=1`)]);
      texts.push([`${Names[0]} processes`, await stack.docker(`/containers/${Id}/top?ps_args=auxeww`)]);
    }
    texts.push(["volumes", await stack.docker("/volumes")], ["networks", await stack.docker("/networks")]);
    const image = list.find(({ Image }) => Image.startsWith("openclaw-gateway:"))?.Image ?? assert.fail("no gateway");
    texts.push([`${image} history`, await stack.docker(`/images/${image}/history`)]);
    const layers = docker.daemon.bytes({ method: "GET", path: `/images/${image}/get` }, AbortSignal.timeout(120_000));
    texts.push([`${image} layers`, await layers]);
    return texts;
  }

  function dockerSection(): object {
    return { host: docker.host, addresses: [bridgeAddress(docker.bridge)], directory: stack.directory };
  }
});

/**
 * nginx before 1.27.4 closes a kept connection when a stream on it ends after a reload; who sends the next request in that very
 * moment finds it closed before anything of an answer came.
 */
function closedAtReload({ reused, got, afterMs }: LoadFailure): boolean {
  return reused && afterMs < 100 && /^(socket hang up|read ECONNRESET) before any answer/.test(got);
}

function bridgeAddress(bridge: string): string {
  const address = networkInterfaces()[bridge]?.find(({ family }) => family === "IPv4")?.address;
  assert.ok(address, `${bridge} has no address`);
  return address;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; ; ) {
    try {
      if (await look()) return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`not in a minute: ${what}`, { cause: error });
    }
    if (Date.now() > end) throw new Error(`not in a minute: ${what}`);
    await pause(200);
  }
}
