/**
 * The recordings of docker against a real daemon. First every recorded call is made again, in the recorded order. Then, from each
 * recorded checkpoint, what it names is made there, and the real program is run by the engine on that state, with our provider
 * beside the player of the recorded answers. Ours must answer what was recorded, by the bijection rule; of the runs the
 * operations, the errors and the state are compared, too.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { type Provider, ProviderError } from "../../engine/providers/provider.ts";
import type { ResourceState } from "../../engine/resource.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import { recordedNetworks, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { type DockerWords, dockerWords, recordedProgram, removeFrom } from "../support/docker-recordings.ts";
import { freePort } from "../support/free-port.ts";
import { callProvider } from "../support/provider-call.ts";
import { withoutSecretMarks } from "../support/provider-conformance.ts";
import { replayBeside } from "../support/replay-beside.ts";
import { type RecordedCall, readRuns, readText } from "../support/replay-recording.ts";
import { readState } from "../support/replay-run.ts";
import { replaySteps } from "../support/replay-steps.ts";

const steps = replaySteps.filter((step) => step.recording === "docker");

/** What is there after a step, besides what every daemon has. */
interface World {
  containers: string[];
  networks: string[];
  volumes: string[];
  images: string[];
}

describe("recordings of docker on a real daemon", { skip: whyNoDocker() ?? false, concurrency: false }, () => {
  let docker: TestDocker;
  const folder = mkdtempSync(join(tmpdir(), "docker-checkpoints-"));
  let program = "";
  const signal = AbortSignal.timeout(600_000);
  let compared = 0;

  before(async () => {
    program = recordedProgram(folder);
    docker = await startDocker(recordedNetworks);
    await docker.importBase("demo-base:1");
  });
  after(async () => {
    await docker?.close();
    rmSync(folder, { recursive: true });
  });

  describe("each recorded call, in its order", () => {
    let words: DockerWords;

    before(async () => {
      words = dockerWords(docker, await freePort());
    });

    for (const { step } of steps) {
      test(step, { timeout: 120_000 }, async () => {
        if (step === "06-refresh-drift") await removeFrom(docker, "/containers/spike-web", signal);
        for (const run of readRuns("docker", step)) {
          const provider = createDockerProvider({ programDirectory: program, log() {} });
          for (const call of run.calls) {
            if (call.service !== "ResourceProvider" || call.pkg !== "docker" || call.ended === undefined) continue;
            if (call.method === "Cancel" || call.error?.code === "Canceled") continue;
            await callAgain(call, provider, words);
          }
          await provider.close();
        }
      });
    }

    test("all of them were compared", () => {
      assert.ok(compared > 100, `only ${compared} calls were compared`);
    });
  });

  for (const step of steps) {
    test(`${step.step} from ${step.before || "nothing"}`, { timeout: 120_000 }, async () => {
      const words = dockerWords(docker, await freePort());
      await removeAll(docker, signal);
      await make(step.before === "" ? [] : readState("docker", step.before).resources, words);
      // By hand, as it was done before it was recorded.
      if (step.step === "06-refresh-drift") await removeFrom(docker, "/containers/spike-web", signal);
      const { replay, wrong, logs } = await replayBeside(step, {
        pkg: "docker",
        create: (directory, log) => createDockerProvider({ programDirectory: directory, log }),
        ours: words.ours,
        compare: (method, recorded, own) => words.same(recorded, own, method),
      });
      assert.deepEqual(wrong, []);
      if (!replay.options.dryRun) assert.deepEqual(await look(docker, signal), named(replay.after.resources));
      const failures = logs.filter(({ severity }) => severity === "error").map(({ message }) => message);
      assert.deepEqual(failures, []);
    });
  }

  async function callAgain(call: RecordedCall, provider: Provider, words: DockerWords): Promise<void> {
    const request = words.ours(call.method, call.request);
    const path = `${call.method} ${String(call.request.urn ?? "")}`;
    let response: PropertyMap | undefined;
    try {
      response = await callProvider(provider, call.method, request, signal);
    } catch (error) {
      assert.ok(error instanceof ProviderError, String(error));
      assert.ok(call.error, `${path}: ${error.message}`);
      assert.equal(error.code === "unimplemented", call.error.code === "Unimplemented", error.message);
      if (error.code !== "unimplemented") assert.equal(error.message, words.answers.text(call.error.message));
      compared++;
      return;
    }
    // Where the official one has no DiffConfig, ours says that nothing needs to be replaced.
    if (call.error?.code === "Unimplemented") assert.deepEqual(response, {});
    else {
      assert.equal(call.error?.message, undefined, path);
      words.same(call.response ?? {}, response, path);
    }
    compared++;
  }

  /** Makes on the daemon what the checkpoint says is there. */
  async function make(resources: ResourceState[], words: DockerWords): Promise<void> {
    const provider = createDockerProvider({ programDirectory: program, log() {} });
    await provider.configure({ args: { host: docker.host } });
    for (const { urn, inputs = {}, outputs = {}, id = "", custom, delete: old } of resources) {
      if (!custom || !urn.includes("docker:index") || old) continue;
      const properties = words.ours("Create", { properties: withoutSecretMarks(inputs) }).properties;
      assert.ok(isMap(properties));
      const made = await provider.create({ urn, properties }, signal);
      // The state is as an update or a refresh left it later: only what the daemon decided is taken from it.
      words.answers.learnFrom({ id, ...withoutSecretMarks(outputs) }, { ...made.properties, id: made.id ?? "" });
    }
    await provider.close();
  }
});

async function removeAll(docker: TestDocker, signal: AbortSignal): Promise<void> {
  const { containers, networks, volumes, images } = await look(docker, signal);
  for (const name of containers) await removeFrom(docker, `/containers/${name}`, signal);
  for (const name of networks) await removeFrom(docker, `/networks/${name}`, signal);
  for (const name of volumes) await removeFrom(docker, `/volumes/${name}`, signal);
  for (const name of images) await removeFrom(docker, `/images/${name}`, signal);
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
