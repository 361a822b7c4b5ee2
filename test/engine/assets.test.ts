/** Hashes of assets and archives against values that the official CLI computed. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hashArchive, hashAsset, withHashes } from "../../engine/assets.ts";
import { type PropertyMap, signatureKey, signatures } from "../../engine/values.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "assets-"));
  await mkdir(join(directory, "files/out"), { recursive: true });
  await mkdir(join(directory, "program"));
  await writeFile(join(directory, "files/out/x.txt"), "hello\n");
});
after(() => rm(directory, { recursive: true }));

const asset = (fields: PropertyMap): PropertyMap => ({ [signatureKey]: signatures.asset, ...fields });
const archive = (fields: PropertyMap): PropertyMap => ({ [signatureKey]: signatures.archive, ...fields });

const helloHash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const outHash = "9dbec5c3660dd570797b2ab3354d38a99bf448fd50779a481b15ca57337fa501";

test("an asset's hash is that of its bytes, from text, path or file URL", async () => {
  const program = join(directory, "program");
  assert.equal(await hashAsset(asset({ text: "hello\n" }), program), helloHash);
  assert.equal(await hashAsset(asset({ path: "../files/out/x.txt" }), program), helloHash);
  assert.equal(await hashAsset(asset({ uri: `file://${directory}/files/out/x.txt` }), program), helloHash);
});

test("an archive's hash is the recorded one, from a map and from a folder", async () => {
  const program = join(directory, "program");
  const map = archive({ assets: { "out/x.txt": asset({ path: "../files/out/x.txt" }) } });
  assert.equal(await hashArchive(map, program), outHash);
  assert.equal(await hashArchive(archive({ path: "../files" }), program), outHash);
  assert.equal(await hashArchive(archive({ assets: { out: archive({ path: "../files/out" }) } }), program), outHash);
  const empty = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
  assert.equal(await hashArchive(archive({ assets: {} }), program), empty);
});

test("long and foreign names are hashed as Go's archive/tar writes them", async () => {
  const hashes: { [name: string]: string } = {
    [`${"d".repeat(60)}/${"e".repeat(60)}`]: "b7e9960e61651174bea954b83ab771075726c4453a83f1e7c5f90a8973f70c04",
    ["f".repeat(130)]: "821029ea221b515b4f0543a8e2e0cbcdae61506749a8f342876dd33a1e878f75",
    [`ordner/straße-${"ü".repeat(10)}.txt`]: "9bdbe4f88861bbdf674af5c130e7f93c49b6cc7821f4de7bc2bbee59f5e0ca75",
    [`${"a/".repeat(200)}x`]: "484b50be1f64b3a785d3e6fd40ea07861ef5b6876e7eb5057bb11e68d1a8e1f7",
    ["g".repeat(100)]: "e1a4f781693bdc4cbd39d94a3aa2bc68aa405479e20200abc7d7314bb7b6813e",
    [`${"ä".repeat(80)}/${"b".repeat(70)}`]: "c4269c5c1b2bfe66c2027fef3094655f53426e5c1763514457148c7e6b1553f5",
  };
  for (const [name, hash] of Object.entries(hashes)) {
    assert.equal(await hashArchive(archive({ assets: { [name]: asset({ text: "hi" }) } }), directory), hash, name);
  }
});

test("links to files are followed, links to folders and .pulumi are left out", async () => {
  const folder = join(directory, "linked");
  await mkdir(join(folder, "out"), { recursive: true });
  await mkdir(join(folder, ".pulumi"));
  await writeFile(join(folder, ".pulumi/state"), "not part of it");
  await symlink(join(directory, "files/out/x.txt"), join(folder, "out/x.txt"));
  await symlink(join(directory, "files"), join(folder, "loop"));
  assert.equal(await hashArchive(archive({ path: "linked" }), directory), outHash);
});

test("hashes are added where they are missing, and nothing else is touched", async () => {
  const plain = { a: 1, b: ["x"] };
  assert.equal(await withHashes(plain, directory), plain);
  const before = { list: [asset({ text: "hello\n" })], done: asset({ hash: "kept", text: "x" }) };
  assert.deepEqual(await withHashes(before, directory), {
    list: [asset({ text: "hello\n", hash: helloHash })],
    done: asset({ hash: "kept", text: "x" }),
  });
});

test("what cannot be read is named with its property", async () => {
  const missing = withHashes({ source: asset({ path: "nowhere.txt" }) }, directory);
  await assert.rejects(missing, /failed to compute asset hash for "source": .*nowhere\.txt/);
  const url = withHashes({ source: asset({ uri: "https://example.com/x" }) }, directory);
  await assert.rejects(url, /"source": assets from a URL are not supported.*Pulumi CLI/);
  const folder = withHashes({ source: asset({ path: "files" }) }, directory);
  await assert.rejects(folder, /is a directory; try using an archive/);
});
