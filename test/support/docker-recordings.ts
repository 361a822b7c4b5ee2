/** The recordings of docker on a daemon of ours: their program's folder, and their words in ours and back. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import type { TestDocker } from "./docker.ts";
import { recordings } from "./replay-recording.ts";
import { type SameAnswers, sameAnswers } from "./same-answers.ts";

const recordedPort = 18081;

export interface DockerWords {
  readonly answers: SameAnswers;
  /** A recorded request as it is made here. */
  ours(method: string, request: object): PropertyMap;
  /** @throws where they differ by more than what a daemon decides by chance; `own` is changed */
  same(recorded: PropertyMap, own: PropertyMap, where: string): void;
}

/** The folder of the program, below `folder`, with the image beside it that the program builds. */
export function recordedProgram(folder: string): string {
  const program = join(folder, "infra");
  mkdirSync(program);
  mkdirSync(join(folder, "image"));
  cpSync(join(recordings, "docker/Dockerfile"), join(folder, "image/Dockerfile"));
  return program;
}

/** `port`: instead of the recorded one, which may be taken here. */
export function dockerWords(docker: TestDocker, port: number): DockerWords {
  const answers = sameAnswers([]);
  return {
    answers,
    ours(method, request) {
      const plain: Value = JSON.parse(JSON.stringify(request));
      const ours = withPort(answers.ours(plain), port);
      assert.ok(isMap(ours));
      if (method === "Configure" && isMap(ours.args)) ours.args.host = docker.host;
      return ours;
    },
    same(recorded, own, where) {
      const { properties } = own;
      // A daemon that was told which bridge to use says its name; the recorded one used its own.
      if (isMap(properties) && properties.bridge === docker.bridge) properties.bridge = "";
      // The official provider lists them in the order of a Go map.
      for (const answer of [recorded, own]) if (Array.isArray(answer.diffs)) answer.diffs.sort();
      answers.same(withPort(recorded, port), own, where);
    },
  };
}

export async function removeFrom({ daemon }: TestDocker, path: string, signal: AbortSignal): Promise<void> {
  await daemon.bytes({ method: "DELETE", path, query: { force: true } }, signal);
}

function withPort(value: Value, port: number): Value {
  if (value === recordedPort) return port;
  if (Array.isArray(value)) return value.map((item) => withPort(item, port));
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withPort(item, port)]));
}
