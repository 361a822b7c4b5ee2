/**
 * The docker provider on a real daemon. Every call of the recordings is made again, in the recorded order; each must be
 * answered as the official provider was: what a daemon decides by chance by the bijection rule, all else the same.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { type Provider, ProviderError } from "../../engine/providers/provider.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { freePort } from "../support/free-port.ts";
import { callProvider } from "../support/provider-call.ts";
import { type RecordedCall, readRuns, recordings } from "../support/replay-recording.ts";
import { type SameAnswers, sameAnswers } from "../support/same-answers.ts";

const skip = whyNoDocker();
const steps = [
  "01-preview",
  "02-up",
  "03-up-same",
  "04-preview-change",
  "05-up-change",
  "06-refresh-drift",
  "07-up-repair",
  "08-destroy",
];

describe("the recorded calls on a real daemon", { skip: skip ?? false }, () => {
  let docker: TestDocker;
  let answers: SameAnswers;
  let port = 0;
  const folder = mkdtempSync(join(tmpdir(), "docker-replay-"));
  const program = join(folder, "infra");
  let compared = 0;

  before(async () => {
    mkdirSync(program);
    mkdirSync(join(folder, "image"));
    cpSync(join(recordings, "docker/Dockerfile"), join(folder, "image/Dockerfile"));
    docker = await startDocker();
    await docker.importBase("demo-base:1");
    answers = sameAnswers([]);
    port = await freePort();
  });
  after(async () => {
    await docker?.close();
    rmSync(folder, { recursive: true });
  });

  for (const step of steps) {
    test(step, { timeout: 120_000 }, async () => {
      if (step === "06-refresh-drift") await removeByHand(docker, "spike-web");
      for (const run of readRuns("docker", step)) {
        const provider = createDockerProvider({ programDirectory: program, log() {} });
        for (const call of run.calls) {
          if (call.service !== "ResourceProvider" || call.pkg !== "docker" || call.ended === undefined) continue;
          if (call.method === "Cancel" || call.error?.code === "Canceled") continue;
          await replay(call, provider);
        }
        await provider.close();
      }
    });
  }

  test("all of them were compared", () => {
    assert.ok(compared > 100, `only ${compared} calls were compared`);
  });

  async function replay(call: RecordedCall, provider: Provider): Promise<void> {
    const request = map(withPort(answers.ours(call.request), port));
    if (call.method === "Configure" && isMap(request.args)) request.args.host = docker.host;
    const path = `${call.method} ${String(call.request.urn ?? "")}`;
    let response: PropertyMap | undefined;
    try {
      response = await callProvider(provider, call.method, request, AbortSignal.timeout(60_000));
    } catch (error) {
      assert.ok(error instanceof ProviderError, String(error));
      assert.ok(call.error, `${path}: ${error.message}`);
      assert.equal(error.code === "unimplemented", call.error.code === "Unimplemented", error.message);
      if (error.code !== "unimplemented") assert.equal(error.message, answers.text(call.error.message));
      compared++;
      return;
    }
    // Where the official one has no DiffConfig, ours says that nothing needs to be replaced.
    if (call.error?.code === "Unimplemented") assert.deepEqual(response, {});
    else {
      assert.equal(call.error?.message, undefined, path);
      const properties = response.properties ?? null;
      // A daemon that was told which bridge to use says its name; the recorded one used its own.
      if (isMap(properties) && properties.bridge === docker.bridge) properties.bridge = "";
      answers.same(withPort(call.response ?? {}, port), response, path);
    }
    compared++;
  }
});

function map(value: Value): PropertyMap {
  assert.ok(isMap(value));
  return value;
}

/** The recorded port may be taken here. */
function withPort(value: Value, port: number): Value {
  if (value === 18081) return port;
  if (Array.isArray(value)) return value.map((item) => withPort(item, port));
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withPort(item, port)]));
}

async function removeByHand({ daemon }: TestDocker, name: string): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  await daemon.bytes({ method: "DELETE", path: `/containers/${name}`, query: { force: true } }, signal);
}
