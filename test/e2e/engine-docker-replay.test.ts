/**
 * The recordings of docker against a real daemon, from each recorded checkpoint: what the checkpoint names is made there first,
 * then the real program is run by the engine on that state. Beside the player of the recorded answers works our provider, on
 * the daemon, and must answer what was recorded, by the bijection rule; the operations, the errors and the state are compared.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import type { ProviderLog } from "../../engine/providers/provider.ts";
import type { ResourceState } from "../../engine/resource.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { freePort } from "../support/free-port.ts";
import { withoutSecretMarks } from "../support/provider-conformance.ts";
import { beside } from "../support/replay-beside.ts";
import { readText, recordings } from "../support/replay-recording.ts";
import { readState, replayStep } from "../support/replay-run.ts";
import { replaySteps } from "../support/replay-steps.ts";
import { type Problem, verify } from "../support/replay-verify.ts";
import { type SameAnswers, sameAnswers } from "../support/same-answers.ts";

const recordedPort = 18081;
const steps = replaySteps.filter((step) => step.recording === "docker");

/** What is there after a step, besides what every daemon has. */
interface World {
  containers: string[];
  networks: string[];
  volumes: string[];
  images: string[];
}

describe("recordings of docker, from each checkpoint", { skip: whyNoDocker() ?? false, concurrency: false }, () => {
  let docker: TestDocker;
  const folder = mkdtempSync(join(tmpdir(), "docker-checkpoints-"));
  const program = join(folder, "infra");
  const signal = AbortSignal.timeout(300_000);

  before(async () => {
    mkdirSync(program);
    mkdirSync(join(folder, "image"));
    cpSync(join(recordings, "docker/Dockerfile"), join(folder, "image/Dockerfile"));
    // Networks as large as those recorded.
    docker = await startDocker(["--default-address-pool", "base=10.192.0.0/10,size=16"]);
    await docker.importBase("demo-base:1");
  });
  after(async () => {
    await docker?.close();
    rmSync(folder, { recursive: true });
  });

  for (const step of steps) {
    test(`${step.step} from ${step.before || "nothing"}`, { timeout: 120_000 }, async () => {
      const answers = sameAnswers([]);
      const port = await freePort();
      await removeAll(docker, signal);
      await make(step.before === "" ? [] : readState("docker", step.before).resources, answers, port);
      // By hand, as it was done before it was recorded.
      if (step.step === "06-refresh-drift") await remove(docker, "/containers/spike-web", signal);
      const differences: string[] = [];
      const logs: ProviderLog[] = [];
      const [replay] = await replayStep(step, (players, directory) =>
        beside(players, {
          pkg: "docker",
          create: (log) => createDockerProvider({ programDirectory: directory, log }),
          ours: (method, request) => oursOf(method, request, answers, port),
          compare: (method, recorded, own) => same(method, recorded, own, answers, port),
          differences,
          logs,
        }),
      );
      assert.ok(replay);
      const problems: Problem[] = verify(replay);
      const wrong = problems.filter((problem) => !(step.races && problem.chance)).map((problem) => problem.text);
      assert.deepEqual([...differences, ...wrong], []);
      if (!replay.options.dryRun) assert.deepEqual(await look(docker, signal), named(replay.after.resources));
      const failures = logs.filter(({ severity }) => severity === "error").map(({ message }) => message);
      assert.deepEqual(failures, []);
    });
  }

  /** Makes on the daemon what the checkpoint says is there. */
  async function make(resources: ResourceState[], answers: SameAnswers, port: number): Promise<void> {
    const provider = createDockerProvider({ programDirectory: program, log() {} });
    await provider.configure({ args: { host: docker.host } });
    for (const { urn, inputs = {}, outputs = {}, id = "", custom, delete: old } of resources) {
      if (!custom || !urn.includes("docker:index") || old) continue;
      const properties = oursOf("Create", { properties: withoutSecretMarks(inputs) }, answers, port).properties;
      assert.ok(isMap(properties));
      const made = await provider.create({ urn, properties }, signal);
      // The state is as an update or a refresh left it later: only what the daemon decided is taken from it.
      answers.learnFrom({ id, ...withoutSecretMarks(outputs) }, { ...made.properties, id: made.id ?? "" });
    }
    await provider.close();
  }

  function oursOf(method: string, request: object, answers: SameAnswers, port: number): PropertyMap {
    const plain: Value = JSON.parse(JSON.stringify(request));
    const ours = swap(answers.ours(plain), recordedPort, port);
    assert.ok(isMap(ours));
    if (method === "Configure" && isMap(ours.args)) ours.args.host = docker.host;
    return ours;
  }

  function same(method: string, recorded: PropertyMap, own: PropertyMap, answers: SameAnswers, port: number): void {
    const { properties } = own;
    // A daemon that was told which bridge to use says its name; the recorded one used its own.
    if (isMap(properties) && properties.bridge === docker.bridge) properties.bridge = "";
    for (const answer of [recorded, own]) if (Array.isArray(answer.diffs)) answer.diffs.sort();
    answers.same(swap(recorded, recordedPort, port), own, method);
  }
});

function swap(value: Value, from: number, to: number): Value {
  if (value === from) return to;
  if (Array.isArray(value)) return value.map((item) => swap(item, from, to));
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, swap(item, from, to)]));
}

async function remove({ daemon }: TestDocker, path: string, signal: AbortSignal): Promise<void> {
  await daemon.bytes({ method: "DELETE", path, query: { force: true } }, signal);
}

async function removeAll(docker: TestDocker, signal: AbortSignal): Promise<void> {
  const { containers, networks, volumes, images } = await look(docker, signal);
  for (const name of containers) await remove(docker, `/containers/${name}`, signal);
  for (const name of networks) await remove(docker, `/networks/${name}`, signal);
  for (const name of volumes) await remove(docker, `/volumes/${name}`, signal);
  for (const name of images) await remove(docker, `/images/${name}`, signal);
}

async function look({ daemon }: TestDocker, signal: AbortSignal): Promise<World> {
  const list = async (path: string) => await daemon.list({ method: "GET", path }, signal);
  const containers = await daemon.list({ method: "GET", path: "/containers/json", query: { all: true } }, signal);
  const { Volumes } = await daemon.json({ method: "GET", path: "/volumes" }, signal);
  const texts = (value: Value | undefined): string[] => (Array.isArray(value) ? value.map(String) : []);
  return {
    containers: containers.flatMap(({ Names }) => texts(Names).map((name) => name.slice(1))),
    networks: (await list("/networks")).map(({ Name }) => String(Name)).filter((name) => !/^(bridge|host|none)$/.test(name)),
    volumes: (Array.isArray(Volumes) ? Volumes : []).map((volume) => (isMap(volume) ? String(volume.Name) : "")),
    images: (await list("/images/json")).flatMap(({ RepoTags }) => texts(RepoTags)).filter((tag) => tag === "spike:1"),
  };
}

/** The names of what a state says is there. */
function named(resources: ResourceState[]): World {
  const of = (type: string) => [
    ...new Set(
      resources.filter(({ urn }) => urn.includes(`docker:index/${type}:`)).map(({ outputs }) => String(outputs?.name)),
    ),
  ];
  return { containers: of("container"), networks: of("network"), volumes: of("volume"), images: of("remoteImage") };
}

test("every recorded checkpoint is one to begin from, or the last", () => {
  const begun = new Set(steps.map(({ before }) => before));
  const last = steps.at(-1)?.step;
  for (const { step } of steps) assert.ok(step === last || begun.has(step), step);
  assert.ok(readText("docker", `${last}.checkpoint.json`) !== undefined);
});
