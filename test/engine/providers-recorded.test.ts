/**
 * Every recorded request to the official random, command and docker providers is given to ours, in the recorded order; the answer
 * must be the recorded one. What may differ stands in one table with its reason, and an entry that nothing needs fails.
 */
import assert from "node:assert/strict";
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, test } from "node:test";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { type Provider, ProviderError } from "../../engine/providers/provider.ts";
import { createRandomProvider } from "../../engine/providers/random/provider.ts";
import { isMap, isSecret, type PropertyMap, type Value } from "../../engine/values.ts";
import { callProvider } from "../support/provider-call.ts";
import { type RecordedCall, readRuns, recordings, replaceText } from "../support/replay-recording.ts";

interface Answer {
  response?: PropertyMap;
  error?: string;
}
interface Difference {
  call: RecordedCall;
  recorded: Answer;
  ours: Answer;
}

/** Each makes the two answers equal where the reason holds, and says whether it had to. */
const exceptions: { name: string; why: string; apply(difference: Difference): boolean }[] = [
  {
    name: "command ids",
    why: "eight random hexadecimal digits after the name",
    apply: ({ call, recorded, ours }) => {
      const [a, b] = [recorded.response?.id, ours.response?.id];
      if (call.pkg !== "command" || call.method !== "Create" || a === b) return false;
      const pattern = new RegExp(`^${call.request.name}[0-9a-f]{8}$`);
      if (!pattern.test(String(a)) || !pattern.test(String(b))) return false;
      return copy(ours, recorded, ["id"]);
    },
  },
  {
    name: "random values",
    why: "they are random; a seed or an import id fixes them, and then they are compared",
    apply: ({ call, recorded, ours }) => {
      if (call.pkg !== "random" || call.method !== "Create" || call.request.preview === true) return false;
      if (isMap(call.request.properties) && call.request.properties.seed !== undefined) return false;
      const wanted = generatedForms[String(call.request.type)] ?? {};
      let used = false;
      for (const [name, form] of Object.entries(wanted)) {
        const [a, b] = [inner(recorded, name), inner(ours, name)];
        assert.match(String(a), form, `the recorded ${name} has not the form that this test knows`);
        assert.match(String(b), form, `our ${name}`);
        used = setInner(ours, name, a) || used;
      }
      if (ours.response && recorded.response && ours.response.id !== recorded.response.id)
        ours.response.id = recorded.response.id ?? "";
      return used;
    },
  },
  {
    name: "order of changed keys",
    why: "the official provider lists them in Go's random map order",
    apply: ({ call, recorded, ours }) => {
      const [a, b] = [recorded.response?.diffs, ours.response?.diffs];
      if (call.method !== "Diff" || !Array.isArray(a) || !Array.isArray(b) || !ours.response) return false;
      if (JSON.stringify(a) === JSON.stringify(b) || JSON.stringify([...a].sort()) !== JSON.stringify([...b].sort()))
        return false;
      ours.response.diffs = a;
      return true;
    },
  },
  {
    name: "files of a command that is refreshed",
    why: "the official answer has their hashes alone, with which the next program fails (options 29); ours has their paths too",
    apply: ({ call, recorded, ours }) => {
      const [a, b] = [recorded.response?.properties, ours.response?.properties];
      if (call.method !== "Read" || call.pkg !== "command" || !isMap(a) || !isMap(b) || !isMap(a.assets)) return false;
      assert.deepEqual(hashes(b.assets ?? null), hashes(a.assets));
      assert.equal(isMap(b.archive) && b.archive.hash, isMap(a.archive) && a.archive.hash);
      b.assets = a.assets;
      b.archive = a.archive ?? null;
      return true;
    },
  },
  {
    name: "methods that are not there",
    why: "the text comes from the gRPC library, and the engine looks at the code alone",
    apply: ({ call, recorded, ours }) => {
      if (call.error?.code !== "Unimplemented" || ours.error === undefined || ours.error === recorded.error) return false;
      ours.error = recorded.error;
      return true;
    },
  },
];

const base64Url = /^[\w-]+$/;
const password = /^[\w!@#$%&*()=+[\]{}<>:?-]+$/;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const generatedForms: { [type: string]: { [output: string]: RegExp } } = {
  "random:index/randomBytes:RandomBytes": { base64: /^[\w+/]+=*$/, hex: /^[0-9a-f]+$/ },
  "random:index/randomId:RandomId": {
    id: base64Url,
    b64Url: base64Url,
    b64Std: /^[\w+/]+=*$/,
    hex: /^[0-9a-f]+$/,
    dec: /^\d+$/,
  },
  "random:index/randomPassword:RandomPassword": { result: password, bcryptHash: /^\$2a\$10\$[./\w]{53}$/ },
  "random:index/randomPet:RandomPet": { id: /^p_[a-z]+_[a-z]+$/ },
  "random:index/randomString:RandomString": { id: /^[A-Za-z0-9]{6}$/, result: /^[A-Za-z0-9]{6}$/ },
  "random:index/randomUuid:RandomUuid": { id: uuid, result: uuid },
  "random:index/randomUuid4:RandomUuid4": { id: uuid, result: /^.{14}4.{4}[89ab]/ },
  "random:index/randomUuid7:RandomUuid7": { id: uuid, result: /^.{14}7.{4}[89ab]/ },
};

const used = new Set<string>();
const folder = mkdtempSync(join(tmpdir(), "providers-recorded-"));
const guardian = createGuardian();
after(() => {
  guardian.close();
  rmSync(folder, { recursive: true });
});

const steps = globSync("*/*.grpc.jsonl", { cwd: recordings }).sort();
assert.ok(steps.length > 40, "the recordings are there");
let compared = 0;

for (const file of steps) {
  const [recording, step] = [dirname(file), basename(file, ".grpc.jsonl")];
  test(`${recording} ${step}`, async () => {
    const project = projectFolder(recording);
    for (const run of readRuns(recording, step)) {
      const providers: { [pkg: string]: Provider } = {};
      const calls = run.calls.filter((call) => call.service === "ResourceProvider" && isOurs(call));
      for (const call of calls) {
        const pkg = call.pkg ?? "";
        const provider = providers[pkg] ?? create(pkg, project);
        providers[pkg] = provider;
        await compare(call, provider, project);
      }
      for (const provider of Object.values(providers)) await provider.close();
    }
  });
}

test("every exception is needed, and thousands of calls were compared", () => {
  assert.deepEqual(
    exceptions.filter(({ name }) => !used.has(name)).map(({ name }) => name),
    [],
  );
  assert.ok(compared > 1400, `only ${compared} calls were compared`);
});

function create(pkg: string, project: string): Provider {
  if (pkg === "random") return createRandomProvider();
  if (pkg === "docker") return createDockerProvider({ programDirectory: join(project, "infra"), log() {} });
  return createCommandProvider({ programDirectory: join(project, "infra"), guardian, log() {} });
}

const changing = new Set(["Create", "Update", "Delete"]);

/** Not compared: what needs a host (test/e2e/engine-remote.test.ts does those), calls that the CLI cut off, other packages. */
function isOurs(call: RecordedCall): boolean {
  if (call.pkg !== "random" && call.pkg !== "command") return false;
  const type = String(call.request.type ?? call.request.tok ?? "");
  return (
    !(type.startsWith("command:remote:") && changing.has(call.method) && call.request.preview !== true) &&
    call.ended !== undefined &&
    call.error?.code !== "Canceled" &&
    call.method !== "Cancel"
  );
}

async function compare(call: RecordedCall, provider: Provider, project: string): Promise<void> {
  const killed = call.error?.message.startsWith("signal: killed") ?? false;
  const local = (value: PropertyMap | undefined) => {
    const moved = replaceText(structuredClone(value ?? {}), "/project", project);
    // Nobody needs to wait for it, unless it is to be killed.
    const shorter = killed ? moved : replaceText(moved, "sleep 5", "sleep 0.1");
    return isMap(shorter) ? shorter : {};
  };
  const recorded: Answer = call.error ? { error: moved(call.error.message, project) } : { response: local(call.response) };
  const ours: Answer = {};
  const signal = AbortSignal.timeout(killed ? 200 : 30_000);
  try {
    ours.response = await callProvider(provider, call.method, local(call.request), signal);
  } catch (error) {
    assert.ok(error instanceof ProviderError, String(error));
    ours.error = error.message;
    assert.equal(error.code === "unimplemented", call.error?.code === "Unimplemented", error.message);
  }
  for (const exception of exceptions) if (exception.apply({ call, recorded, ours })) used.add(exception.name);
  assert.deepEqual(ours, recorded, `${call.pkg} ${call.method} ${call.request.urn ?? ""}`);
  compared++;
}

function moved(text: string, project: string): string {
  return text.replaceAll("/project", project);
}

function projectFolder(recording: string): string {
  const project = join(folder, recording);
  mkdirSync(join(project, "infra"), { recursive: true });
  // `out` is what the recorded command makes.
  const filter = (path: string) => basename(path) !== "out";
  if (recording === "options")
    cpSync(join(recordings, recording, "files"), join(project, "files"), { recursive: true, filter });
  return project;
}

function copy(to: Answer, from: Answer, names: string[]): boolean {
  for (const name of names) if (to.response) to.response[name] = from.response?.[name] ?? null;
  return true;
}

function hashes(assets: Value): Value {
  if (!isMap(assets)) return null;
  return Object.fromEntries(Object.entries(assets).map(([name, asset]) => [name, isMap(asset) ? (asset.hash ?? null) : null]));
}

/** An output without its secret mark. */
function inner(answer: Answer, name: string): Value {
  const value = isMap(answer.response?.properties) ? (answer.response.properties[name] ?? null) : null;
  return isSecret(value) ? (value.value ?? null) : value;
}

function setInner(answer: Answer, name: string, value: Value): boolean {
  const properties = answer.response?.properties;
  if (!isMap(properties) || inner(answer, name) === value) return false;
  const old = properties[name];
  if (isMap(old) && isSecret(old)) old.value = value;
  else properties[name] = value;
  return true;
}
