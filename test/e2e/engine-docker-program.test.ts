/**
 * The recorded docker program, run by the engine itself on a real daemon: after each step the checkpoint holds the same
 * resources as the recorded one, and the same steps were taken and failed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isMap, isSecret, type PropertyMap, type Value } from "../../engine/values.ts";
import { recordedNetworks, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { freePort } from "../support/free-port.ts";
import { parseCheckpoint } from "../support/replay-checkpoint.ts";
import { createReplayProject, type ReplayProject } from "../support/replay-project.ts";
import { readText } from "../support/replay-recording.ts";
import { type SameAnswers, sameAnswers } from "../support/same-answers.ts";

const skip = whyNoDocker();
const passphrase = "x";
const entry = join(import.meta.dirname, "../../engine/main.ts");

const steps = [
  { step: "02-up", args: ["up", "--skip-preview", "--yes"] },
  { step: "03-up-same", args: ["up", "--skip-preview", "--yes"] },
  { step: "04-preview-change", args: ["preview"], changed: true },
  { step: "05-up-change", args: ["up", "--skip-preview", "--yes"], changed: true, fails: true },
  { step: "06-refresh-drift", args: ["refresh", "--skip-preview", "--yes"], changed: true },
  { step: "07-up-repair", args: ["up", "--skip-preview", "--yes"], changed: true, fails: true },
  { step: "08-destroy", args: ["destroy", "--skip-preview", "--yes"], changed: true },
];

describe("the recorded program on a real daemon", { skip: skip ?? false }, () => {
  let docker: TestDocker;
  let project: ReplayProject;
  const answers: SameAnswers = sameAnswers([]);
  let port = 0;

  before(async () => {
    docker = await startDocker(recordedNetworks);
    await docker.importBase("demo-base:1");
    project = createReplayProject("docker", "first");
    port = await freePort();
    const file = join(project.program, "index.ts");
    const text = readFileSync(file, "utf8").replaceAll("18081", String(port));
    writeFileSync(file, text.replaceAll("/project-out", join(project.root, "out")));
    await engine(["stack", "init", "dev"]);
  });
  after(async () => {
    await docker?.close();
    project?.remove();
  });

  async function engine(args: string[]): Promise<{ code: number; said: string }> {
    const env = {
      ...process.env,
      DOCKER_HOST: docker.host,
      PULUMI_BACKEND_URL: `file://${project.root}`,
      PULUMI_CONFIG_PASSPHRASE: passphrase,
      PULUMI_HOME: join(project.root, "home"),
    };
    const child = spawn(process.execPath, [entry, ...args, "--non-interactive"], { cwd: project.root, env });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        said += chunk;
      });
    }
    const [code] = await once(child, "close");
    return { code: Number(code), said };
  }

  for (const { step, args, changed, fails } of steps) {
    test(step, { timeout: 180_000 }, async () => {
      if (changed) {
        const file = join(project.root, "stacks/Pulumi.dev.yaml");
        const text = readFileSync(file, "utf8").replace(/config:[\s\S]*$/, "");
        writeFileSync(file, `${text}config:\n  spike2:greeting: bonjour\n`);
      }
      if (step === "06-refresh-drift") {
        const query = { force: true };
        await docker.daemon.bytes({ method: "DELETE", path: "/containers/spike-web", query }, AbortSignal.timeout(20_000));
      }
      const { code, said } = await engine([...args, "--stack", "dev"]);
      assert.equal(code !== 0, fails === true, said);
      if (fails) assert.match(said, /conflict: unable to remove repository reference "spike:1" \(must force\)/);
      const ours = parseCheckpoint(readFileSync(join(project.root, ".pulumi/stacks/spike2/dev.json"), "utf8"), passphrase);
      const recorded = parseCheckpoint(readText("docker", `${step}.checkpoint.json`) ?? "", passphrase);
      const name = ({ urn, delete: old }: { urn: string; delete?: boolean }) => `${urn}${old ? " (old)" : ""}`;
      assert.deepEqual(ours.resources.map(name).sort(), recorded.resources.map(name).sort());
      for (const before of recorded.resources) {
        const now = ours.resources.find((resource) => name(resource) === name(before));
        if (before.urn.includes("random:index")) learn(plain(before.outputs ?? {}), plain(now?.outputs ?? {}));
      }
      for (const before of recorded.resources) {
        const now = ours.resources.find((resource) => name(resource) === name(before));
        if (!before.urn.includes("docker:index") || !now) continue;
        answers.same(before.id, now.id, `${before.urn} id`);
        for (const part of ["inputs", "outputs"] as const) {
          answers.same(withPort(sorted(plain(before[part] ?? {}))), sorted(plain(now[part] ?? {})), `${name(before)} ${part}`);
        }
      }
    });
  }

  function learn(recorded: PropertyMap, ours: PropertyMap): void {
    for (const key of ["result", "hex"]) {
      const [a, b] = [recorded[key], ours[key]];
      if (typeof a === "string" && typeof b === "string") answers.learn(a, b);
    }
  }

  function plain(map: PropertyMap): PropertyMap {
    const open = (value: Value): Value => {
      if (isSecret(value)) return open(value.value ?? null);
      if (Array.isArray(value)) return value.map(open);
      return isMap(value) ? plain(value) : value;
    };
    return Object.fromEntries(
      Object.entries(map).map(([key, value]) => [key, key === "bridge" && value === docker.bridge ? "" : open(value)]),
    );
  }

  function withPort(map: PropertyMap): PropertyMap {
    const swap = (value: Value): Value => {
      if (value === 18081) return port;
      if (Array.isArray(value)) return value.map(swap);
      return isMap(value) ? withPort(value) : value;
    };
    return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, swap(value)]));
  }
});

/** Uploads are a set that is kept by its contents, one of which is random here: by file instead. */
function sorted(map: PropertyMap): PropertyMap {
  const uploads = map.uploads;
  if (!Array.isArray(uploads)) return map;
  const file = (value: Value) => (isMap(value) ? String(value.file) : "");
  return { ...map, uploads: [...uploads].sort((a, b) => (file(a) < file(b) ? -1 : 1)) };
}
