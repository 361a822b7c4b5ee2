/**
 * Model servers and the balancer of the docker target, on a real daemon: HAProxy before two gateways, vLLM and Ollama (stand-ins
 * under their names) with what they are promised, and a model server on the host itself. One daemon and one stack.
 */
import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { bridgeAddress, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import { runCommand } from "../support/outcome.ts";
import { plantSecrets } from "../support/planted-secrets.ts";

const skip = whyNoDocker();
const [gatewayToken = "", vllmKey = "", huggingFaceToken = ""] = Object.values(plantSecrets(3));
const images = { vllm: "vllm/vllm-openai:v0.30.0", ollama: "ollama/ollama:0.12.6" };

const inspectSchema = z.object({
  Config: z.object({
    Env: z.array(z.string()),
    User: z.string(),
    Healthcheck: z.object({ Interval: z.int(), StartPeriod: z.int(), Retries: z.int() }),
  }),
  HostConfig: z.object({
    ShmSize: z.int(),
    Memory: z.int(),
    CapDrop: z.array(z.string()),
    SecurityOpt: z.array(z.string()),
    PortBindings: z.record(z.string(), z.unknown()).nullable(),
    DeviceRequests: z
      .array(
        z.object({
          Driver: z.string(),
          Count: z.int(),
          DeviceIDs: z.array(z.string()).nullable(),
          Capabilities: z.array(z.array(z.string())),
        }),
      )
      .nullable(),
  }),
  Mounts: z.array(z.object({ Type: z.string(), Name: z.string().optional(), Destination: z.string(), RW: z.boolean() })),
  State: z.object({ Running: z.boolean(), Health: z.object({ Status: z.string() }) }),
});

describe("model servers and HAProxy on a Docker host", { skip: skip ?? false, timeout: 900_000 }, () => {
  let docker: TestDocker;
  let upstream: NumberUpstream;
  let stack: DockerStackTest;
  let ca = "";
  const folder = mkdtempSync(join(tmpdir(), "docker-models-"));
  const asked = join(folder, "asked-for-devices");

  before(async () => {
    // A daemon offers graphics processors where it finds this program, which gets them into a container before it starts.
    const hook = join(folder, "nvidia-container-runtime-hook");
    writeFileSync(hook, `#!/bin/sh\ncat >> ${asked}\n`);
    chmodSync(hook, 0o755);
    const runc = (await runCommand(["sh", "-c", "command -v runc"])).stdout.trim();
    docker = await startDocker(["--add-runtime", `nvidia=${runc}`], [folder]);
    await provideImages(docker, {
      "nginx:1.28": "nginx",
      "haproxy:3.0": "haproxy",
      "redis:7.4": "redis",
      "debian:12-slim": "base",
      "python:stand-in": "certbot",
    });
    for (const [program, image] of Object.entries(images)) await standIn(program, image);
    const address = bridgeAddress(docker.bridge);
    upstream = await startNumberUpstream({ address });
    stack = await makeDockerStack(docker, address);
    stack.settings({
      docker: {
        ...{ host: docker.host, addresses: [address], directory: stack.directory },
        ...{ gateways: 2, balancer: "haproxy" },
        vllm: { model: "some/model", gpus: ["0", "1"], tensorParallelSize: 2, huggingFaceToken: stackSecret("hugging-face") },
        ollama: { models: ["small", "tiny"], gpus: "all" },
      },
      proxy: { names: [stack.name], ports: portsOf(stack), balance: "cookie" },
      models: {
        default: "vllm/some/model",
        providers: {
          vllm: { baseUrl: "http://vllm:8000/v1", models: ["some/model"] },
          ollama: { baseUrl: "http://ollama:11434/v1", models: ["tiny"] },
          here: { baseUrl: `http://host.docker.internal:${upstream.port}/v1`, models: ["numbers"] },
        },
      },
    });
    await stack.secret("gatewayToken", gatewayToken);
    await stack.secret("apiKey-vllm", vllmKey);
    await stack.secret("secret-hugging-face", huggingFaceToken);
    await stack.run(["up", "--yes", "--skip-preview"]);
    ca = readFileSync(await stack.certificate(), "utf8");
  });
  after(async () => {
    await upstream?.close();
    await docker?.close();
    await stack?.clone.remove();
    rmSync(folder, { recursive: true });
  });

  async function standIn(program: string, image: string): Promise<void> {
    const context = mkdtempSync(join(folder, "image-"));
    cpSync(join(import.meta.dirname, "../support/model-stand-ins/vllm.py"), join(context, program));
    chmodSync(join(context, program), 0o755);
    const lines = ["FROM python:stand-in", `COPY ${program} /usr/local/bin/${program}`, "ENTRYPOINT []"];
    writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
    const { code, text } = await runCommand(["docker", "-H", docker.host, "build", "-q", "-t", image, context]);
    assert.equal(code, 0, text);
  }

  async function inspect(service: string): Promise<z.output<typeof inspectSchema>> {
    const [name] = await stack.containers(service);
    assert.ok(name, `${service} runs`);
    return inspectSchema.parse(JSON.parse(await stack.docker(`/containers/${name}/json`)));
  }

  interface Answer {
    status: number;
    headers: IncomingHttpHeaders;
    text: string;
  }

  function call(path: string, body?: object, cookie?: string): Promise<Answer> {
    const { hostname, port } = new URL(stack.url);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const headers = {
      host: `${stack.name}:${port}`,
      authorization: `Bearer ${gatewayToken}`,
      ...(body ? { "content-type": "application/json" } : {}),
      ...(cookie ? { cookie } : {}),
    };
    const method = body ? "POST" : "GET";
    const sent = request({ hostname, port, path, method, headers, ca, servername: stack.name, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body ? JSON.stringify(body) : undefined);
    return promise;
  }

  async function ask(model: string): Promise<string> {
    const { status, text } = await call("/v1/chat/completions", { model, messages: [{ role: "user", content: "hello" }] });
    assert.equal(status, 200, text);
    return String(JSON.parse(text).choices[0].message.content);
  }

  test("vLLM has its devices, shared memory, time to load and a place for models; its secrets are files", async () => {
    const { Config, HostConfig, Mounts, State } = await inspect("vllm");
    assert.deepEqual(HostConfig.DeviceRequests, [
      { Driver: "nvidia", Count: 0, DeviceIDs: ["0", "1"], Capabilities: [["gpu"]] },
    ]);
    assert.equal(HostConfig.ShmSize, 16 * 1024 ** 3);
    assert.equal(Config.Healthcheck.StartPeriod, 1800 * 1e9);
    assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
    assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges:true"]);
    assert.deepEqual(HostConfig.PortBindings ?? {}, {}, "nobody reaches it but the gateways");
    const mounts = own(Mounts)
      .map(({ Type, Name, Destination, RW }) => [Type, Name, Destination, RW])
      .sort();
    assert.deepEqual(mounts, [
      ["volume", "openclaw-vllm-models", "/models", true],
      ["volume", "openclaw-vllm-secrets", "/run/openclaw/service", false],
    ]);
    const [name = ""] = await stack.containers("vllm");
    const whole = await stack.docker(`/containers/${name}/json`);
    for (const value of [vllmKey, huggingFaceToken]) assert.ok(!whole.includes(value));
    assert.ok(Config.Env.includes("HF_HOME=/models"));
    assert.equal(State.Running, true);
    assert.ok(readFileSync(asked, "utf8").length > 0, "the daemon asked for the devices");
  });

  test("Ollama has its devices, fetches its models, and is healthy", async () => {
    const { Config, HostConfig, Mounts } = await inspect("ollama");
    assert.deepEqual(HostConfig.DeviceRequests, [{ Driver: "nvidia", Count: -1, DeviceIDs: null, Capabilities: [["gpu"]] }]);
    assert.equal(Config.Healthcheck.StartPeriod, 120 * 1e9);
    assert.deepEqual(
      own(Mounts).map(({ Name, Destination }) => [Name, Destination]),
      [["openclaw-ollama-models", "/models"]],
    );
    await until("it is healthy", async () => (await inspect("ollama")).State.Health.Status === "healthy");
    const [name = ""] = await stack.containers("ollama");
    const list = () => runCommand(["docker", "-H", docker.host, "exec", name, "ls", "/models"]);
    await until("its models are there", async () => (await list()).stdout === "small\ntiny\n");
  });

  test("gateways reach all three: in containers, and on the host itself", async () => {
    await until("vLLM answers", async () => (await ask("vllm/some/model")).length > 0);
    assert.equal(await ask("vllm/some/model"), `vllm with token of ${huggingFaceToken.length} letters`);
    assert.equal(await ask("ollama/tiny"), "ollama with no token");
    const before = (await upstream.served()).calls;
    assert.notEqual(await ask("here/numbers"), "");
    assert.ok((await upstream.served()).calls > before, "the host's own model server was asked");
    await until("vLLM is healthy", async () => (await inspect("vllm")).State.Health.Status === "healthy");
  });

  test("a session stays at its gateway, and goes on at another when that one is gone", async () => {
    const first = await call("/v1/models");
    assert.equal(first.status, 200);
    const cookie = cookieOf(first.headers);
    assert.match(cookie ?? "", /^GATEWAY_ID=gateway-[12]/, "HAProxy says where it was");
    for (let index = 0; index < 20; index += 1) {
      const next = await call("/v1/models", undefined, cookie);
      assert.equal(next.status, 200);
      assert.equal(cookieOf(next.headers), undefined, "it stays there");
    }
    const gateways = new Set<string | undefined>();
    for (let index = 0; index < 20; index += 1) gateways.add(cookieOf((await call("/v1/models")).headers));
    assert.equal(gateways.size, 2, "others are spread over both");

    const service = /GATEWAY_ID=(gateway-\d)/.exec(cookie ?? "")?.[1] ?? "";
    const [name = ""] = await stack.containers(service);
    await stack.docker(`/containers/${name}/stop`, "POST");
    const moved = await call("/v1/models", undefined, cookie);
    assert.equal(moved.status, 200, "nothing fails");
    assert.notEqual(cookieOf(moved.headers) ?? cookie, cookie);
    await stack.docker(`/containers/${name}/start`, "POST");
  });
});

function cookieOf(headers: IncomingHttpHeaders): string | undefined {
  return headers["set-cookie"]?.find((line) => line.startsWith("GATEWAY_ID="))?.split(";")[0];
}

/** Without those that an image asks for. */
const own = <T extends { Name?: string }>(mounts: T[]): T[] => mounts.filter(({ Name }) => Name?.startsWith("openclaw-"));

const stackSecret = (id: string): object => ({ source: "file", provider: "stack", id });

function portsOf({ clone }: DockerStackTest): object {
  const text = readFileSync(join(clone.directory, "stacks/Pulumi.dock.yaml"), "utf8");
  const port = (name: string): number => Number(new RegExp(`^ +${name}: (\\d+)$`, "m").exec(text)?.[1]);
  return { http: port("http"), https: port("https") };
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  let last: unknown;
  for (const end = Date.now() + 90_000; Date.now() < end; await pause(200)) {
    try {
      if (await look()) return;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`not in 90 s: ${what}`, { cause: last });
}
