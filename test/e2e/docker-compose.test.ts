/** The rendered compose.yaml with the real `docker compose`: it knows the stack's containers, shows and restarts them, and runs tools. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { bridgeAddress, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { composePlugin, whyNoNewerDebian } from "../support/newer-debian.ts";
import { openclawCli } from "../support/openclaw-cli.ts";
import { type Outcome, runCommand } from "../support/outcome.ts";

const skip = whyNoDocker() ?? whyNoNewerDebian();

const shownSchema = z.object({
  Service: z.string(),
  Name: z.string(),
  State: z.string(),
  Health: z.string(),
  Ports: z.string(),
});
const containerSchema = z.object({
  Id: z.string(),
  RestartCount: z.int(),
  State: z.object({ Running: z.boolean(), StartedAt: z.string(), Health: z.object({ Status: z.string() }) }),
});

describe("docker compose on a stack's compose.yaml", { skip: skip ?? false, timeout: 600_000 }, () => {
  let docker: TestDocker;
  let stack: DockerStackTest;
  let config = "";

  before(async () => {
    docker = await startDocker();
    await provideImages(docker, { "nginx:1.28": "nginx", "debian:12-slim": "base" });
    stack = await makeDockerStack(docker, bridgeAddress(docker.bridge));
    stack.settings({
      models: { default: "some/some", providers: { some: { baseUrl: "http://127.0.0.1:9/v1", models: ["some"] } } },
    });
    await stack.secret("apiKey-some", "a-key-that-opens-nothing");
    await stack.run(["up", "--yes", "--skip-preview"]);
    config = join(stack.clone.base, "docker-config");
    mkdirSync(join(config, "cli-plugins"), { recursive: true });
    symlinkSync(composePlugin(), join(config, "cli-plugins/docker-compose"));
  });
  after(async () => {
    await docker?.close();
    await stack?.clone.remove();
  });

  async function compose(...args: string[]): Promise<Outcome> {
    const env = { PATH: process.env.PATH, HOME: stack.clone.home, DOCKER_HOST: docker.host, DOCKER_CONFIG: config };
    const outcome = await runCommand(["docker", "compose", ...args], { cwd: stack.directory, env });
    assert.equal(outcome.code, 0, `docker compose ${args.join(" ")}\n${outcome.text}`);
    return outcome;
  }

  async function inspect(service: string): Promise<z.output<typeof containerSchema>> {
    const [name] = await stack.containers(service);
    return containerSchema.parse(JSON.parse(await stack.docker(`/containers/${name}/json`)));
  }

  const count = async (): Promise<number> => JSON.parse(await stack.docker("/containers/json?all=true")).length;

  test("the file is right, and says nothing that the containers are not", async () => {
    assert.equal((await compose("config", "--quiet")).text, "");
    const services = (await compose("config", "--services")).stdout.trim().split("\n").sort();
    assert.deepEqual(services, ["gateway-1", "nginx"]);
    const withTools = (await compose("--profile", "tools", "config", "--services")).stdout.trim().split("\n").sort();
    assert.deepEqual(withTools, ["gateway-1", "nginx", "openclaw-cli"]);
  });

  test("ps shows the containers that the stack made", async () => {
    const { stdout } = await compose("ps", "--all", "--format", "json");
    const shown = stdout
      .trim()
      .split("\n")
      .map((line) => shownSchema.parse(JSON.parse(line)));
    assert.deepEqual(shown.map(({ Service, State, Health }) => [Service, State, Health]).sort(), [
      ["gateway-1", "running", "healthy"],
      ["nginx", "running", "healthy"],
    ]);
    for (const { Service, Name } of shown) assert.deepEqual([Name], await stack.containers(Service));
    assert.match(shown.find(({ Service }) => Service === "nginx")?.Ports ?? "", /->8443\/tcp/);
  });

  test("logs shows what a gateway said", async () => {
    const { stdout } = await compose("logs", "--no-log-prefix", "--no-color", "gateway-1");
    // It clears each line before it writes it, terminal or not.
    const lines = stdout.replaceAll("\u001b[2K", "").split("\n").filter(Boolean);
    assert.ok(lines.length > 0, stdout);
    for (const line of lines) assert.equal(typeof JSON.parse(line), "object");
  });

  test("restart ends the container and starts the same one again", async () => {
    const before = await inspect("gateway-1");
    await compose("restart", "gateway-1");
    const restarted = await inspect("gateway-1");
    assert.equal(restarted.Id, before.Id);
    assert.notEqual(restarted.State.StartedAt, before.State.StartedAt);
    for (const end = Date.now() + 60_000; (await inspect("gateway-1")).State.Health.Status !== "healthy"; await pause(200)) {
      assert.ok(Date.now() < end, "it is healthy again within a minute");
    }
    assert.match((await stack.run(["status"])).text, /all containers run/);
  });

  test("tools look at the config that the gateways have, and leave nothing behind", async () => {
    const containers = await count();
    const tool = await compose("--profile", "tools", "run", "--rm", "-T", "openclaw-cli", "config", "validate");
    assert.match(tool.stdout, /is valid/i);
    assert.match(
      (await compose("--profile", "tools", "run", "--rm", "-T", "openclaw-cli", "--version")).stdout,
      /^\d+\.\d+\.\d+/,
    );
    assert.equal(await count(), containers);
  });

  test("the real OpenClaw CLI accepts that config, run the same way", async () => {
    const cli = openclawCli();
    const folder = cli.slice(0, cli.indexOf("/node_modules/"));
    const words = [
      "run",
      "--rm",
      "-T",
      "--volume",
      `${folder}:/cli:ro`,
      "--env",
      "HOME=/tmp",
      "--entrypoint",
      "/opt/openclaw/bin/node",
    ];
    const { text } = await compose(
      ...["--profile", "tools", ...words, "openclaw-cli", `/cli${cli.slice(folder.length)}`, "config", "validate"],
    );
    assert.match(text, /Config valid/);
  });

  test("what operators did by it is no change to the stack", async () => {
    const ids = await Promise.all(["gateway-1", "nginx"].map(async (service) => (await inspect(service)).Id));
    const { text } = await stack.run(["up", "--yes", "--skip-preview"]);
    assert.doesNotMatch(text, /created|updated|replaced|deleted/);
    assert.deepEqual(await Promise.all(["gateway-1", "nginx"].map(async (service) => (await inspect(service)).Id)), ids);
    assert.doesNotMatch(readFileSync(join(stack.directory, "compose.yaml"), "utf8"), /a-key-that-opens-nothing/);
  });
});
