/** State files: every recorded one is read, and written again byte for byte; what is new or damaged is told apart. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { decodeDeployment, parseCheckpoint } from "../../engine/checkpoint.ts";
import { verifySnapshot } from "../../engine/integrity.ts";
import type { ResourceState, Snapshot } from "../../engine/resource.ts";
import { openSecrets, type SecretsManager } from "../../engine/secrets.ts";
import { encodeCheckpoint } from "../../engine/state.ts";
import { type PropertyMap, secret, signatureKey, signatures } from "../../engine/values.ts";
import { recordings } from "../support/project-folder.ts";

const env = { PULUMI_CONFIG_PASSPHRASE: "x" };
const files = globSync(`${recordings}/**/*.json`).filter((file) => /checkpoint\.json$|state-tree\/(stacks|backups)/.test(file));

async function load(path: string, bytes = readFileSync(path)) {
  const checkpoint = parseCheckpoint(path, bytes);
  assert.ok(checkpoint.latest);
  const secrets = await openSecrets(checkpoint.latest.secretsProvider?.salt ?? "", env);
  const snapshot = decodeDeployment(path, checkpoint.latest, secrets);
  verifySnapshot(path, checkpoint.latest, snapshot);
  return { checkpoint, latest: checkpoint.latest, secrets, snapshot };
}

test("there are recorded state files", () => assert.ok(files.length > 70, `${files.length} files`));

for (const file of files) {
  test(`same bytes after a round: ${relative(recordings, file)}`, async () => {
    const bytes = readFileSync(file);
    const { checkpoint, latest, secrets, snapshot } = await load(file);
    const { checkpoint: stored } = JSON.parse(bytes.toString());
    const frame = { stack: stored.stack, secrets, extras: latest.extras, features: checkpoint.features };
    assert.equal(encodeCheckpoint(frame, snapshot, latest.manifest.time).toString(), bytes.toString());
  });
}

const emptyFrame = (secrets: SecretsManager) => ({ stack: "organization/p/s", secrets });
const sample = files.find((file) => file.endsWith("lifecycle/04-up-3.checkpoint.json")) ?? "";
const urn = "urn:pulumi:s::p::t:m:T::a";

function snapshotOf(properties: PropertyMap): Snapshot {
  return { resources: [{ urn, custom: false, type: "t:m:T", outputs: properties }], pendingOperations: [] };
}

test("a compressed state file is read as the plain one", async () => {
  const plain = await load(sample);
  const packed = await load(sample, gzipSync(readFileSync(sample)));
  assert.deepEqual(packed.snapshot, plain.snapshot);
});

test("fields of a newer CLI stay where they were", async () => {
  const stored = JSON.parse(readFileSync(sample, "utf8"));
  stored.checkpoint.latest.resources[0].laterField = { b: 1, a: ["x"] };
  stored.checkpoint.latest.laterSection = { kept: true };
  const { latest, secrets, snapshot } = await load(sample, Buffer.from(JSON.stringify(stored)));
  const frame = { stack: stored.checkpoint.stack, secrets, extras: latest.extras };
  assert.deepEqual(JSON.parse(encodeCheckpoint(frame, snapshot, latest.manifest.time).toString()), stored);
});

test("older versions are read, newer ones refused", () => {
  const stored = JSON.parse(readFileSync(sample, "utf8"));
  for (const version of [1, 2, 3]) assert.ok(parseCheckpoint("f", Buffer.from(JSON.stringify({ ...stored, version }))).latest);
  assert.throws(
    () => parseCheckpoint("f", Buffer.from(JSON.stringify({ ...stored, version: 5 }))),
    /unsupported checkpoint version 5/,
  );
  const features = ["somethingNew"];
  assert.throws(() => parseCheckpoint("f", Buffer.from(JSON.stringify({ ...stored, version: 4, features }))), /somethingNew/);
});

test("a secret keeps its ciphertext as long as its value stays", async () => {
  const secrets = await openSecrets("v1:s85AXsAJDnQ=:v1:ACx0xxkiZaA7dsPQ:+jggUQMn2jlQnWExoulZDF/LmF9xFA==", env);
  const write = (value: string) =>
    encodeCheckpoint(emptyFrame(secrets), snapshotOf({ key: secret(value), open: 1 }), "t").toString();
  const first = write("one");
  assert.equal(write("one"), first);
  assert.notEqual(write("two"), first);
  assert.doesNotMatch(first, /one/);
});

test("a secret inside a secret holds plain JSON, encrypted with the outer one", async () => {
  const secrets = await openSecrets("v1:s85AXsAJDnQ=:v1:ACx0xxkiZaA7dsPQ:+jggUQMn2jlQnWExoulZDF/LmF9xFA==", env);
  const nested = secret({ inner: secret("deep"), list: [secret(1)] });
  const bytes = encodeCheckpoint(emptyFrame(secrets), snapshotOf({ nested }), "t");
  const { ciphertext } = JSON.parse(bytes.toString()).checkpoint.latest.resources[0].outputs.nested;
  assert.deepEqual(JSON.parse(secrets.decrypt(ciphertext)), {
    inner: { [signatureKey]: signatures.secret, ciphertext: '"deep"' },
    list: [{ [signatureKey]: signatures.secret, ciphertext: "1" }],
  });
  const { latest } = parseCheckpoint("f", bytes);
  assert.ok(latest);
  assert.deepEqual(decodeDeployment("f", latest, secrets).resources[0]?.outputs, { nested });
});

test("the version tells whether a newer reader is needed", async () => {
  const secrets = await openSecrets("v1:s85AXsAJDnQ=:v1:ACx0xxkiZaA7dsPQ:+jggUQMn2jlQnWExoulZDF/LmF9xFA==", env);
  const write = (more: Partial<ResourceState>) => {
    const resource: ResourceState = { urn, custom: false, type: "t:m:T", ...more };
    return JSON.parse(encodeCheckpoint(emptyFrame(secrets), { resources: [resource], pendingOperations: [] }, "t").toString());
  };
  assert.equal(write({}).version, 3);
  assert.equal(write({ taint: false }).version, 3);
  assert.deepEqual(write({ taint: true }).features, ["taint"]);
  assert.deepEqual(write({ taint: true, replaceWith: [urn], refreshBeforeUpdate: true }).features, [
    "refreshBeforeUpdate",
    "replaceWith",
    "taint",
  ]);
});
