/** The state writer: calls share writes, each answer means durable, the old state stays as `.bak`, and 1000 steps are cheap. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { attrsOf } from "../../engine/files.ts";
import type { ResourceState, Snapshot } from "../../engine/resource.ts";
import { openSecrets } from "../../engine/secrets.ts";
import { createStateWriter, type StateFile } from "../../engine/state.ts";

const secrets = await openSecrets("v1:s85AXsAJDnQ=:v1:ACx0xxkiZaA7dsPQ:+jggUQMn2jlQnWExoulZDF/LmF9xFA==", {
  PULUMI_CONFIG_PASSPHRASE: "x",
});
const frame = { stack: "organization/p/s", secrets };
const now = () => new Date();
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "engine-state-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const resource = (name: string, padding = 0): ResourceState => ({
  urn: `urn:pulumi:s::p::t:m:T::${name}`,
  custom: true,
  id: name,
  type: "t:m:T",
  inputs: { text: "x".repeat(padding) },
  outputs: { text: "x".repeat(padding), hex: name },
});
const urnsIn = (path: string): string[] =>
  (JSON.parse(readFileSync(path, "utf8")).checkpoint.latest.resources ?? []).map((item: ResourceState) => item.id);

test("an answered save is on disk, with whatever came after the call", async () => {
  const path = join(folder, "s.json");
  const writer = createStateWriter({ path, compress: false }, frame, now);
  const resources: ResourceState[] = [];
  const current = (): Snapshot => ({ resources: [...resources], pendingOperations: [] });
  let answered = 0;
  const saves = Array.from({ length: 50 }, async (_, index) => {
    resources.push(resource(`r${index}`));
    await writer.save(current);
    answered++;
    assert.ok(urnsIn(path).includes(`r${index}`), `r${index} is in the file when its save is answered`);
  });
  await Promise.all(saves);
  assert.equal(answered, 50);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("the last write brings backup and sidecars into line", async () => {
  const path = join(folder, "s.json");
  const writer = createStateWriter({ path, compress: false }, frame, now);
  await writer.save(() => ({ resources: [resource("a")], pendingOperations: [] }));
  await writer.close({ resources: [resource("b")], pendingOperations: [] });
  assert.deepEqual(urnsIn(path), ["b"]);
  assert.deepEqual(urnsIn(`${path}.bak`), ["a"]);
  for (const file of [path, `${path}.bak`]) assert.equal(readFileSync(`${file}.attrs`, "utf8"), attrsOf(readFileSync(file)));
});

test("a change of the compression retires the old file", async () => {
  const plain = join(folder, "s.json");
  await createStateWriter({ path: plain, compress: false }, frame, now).close({
    resources: [resource("a")],
    pendingOperations: [],
  });
  const packed: StateFile = { path: `${plain}.gz`, compress: true, obsolete: plain };
  await createStateWriter(packed, frame, now).close({ resources: [resource("b")], pendingOperations: [] });
  assert.ok(!existsSync(plain));
  assert.deepEqual(urnsIn(`${plain}.bak`), ["a"]);
  assert.match(gunzipSync(readFileSync(`${plain}.gz`)).toString(), /"id":"b"/);
});

test("a save that cannot be written is refused, and the next one is tried again", async () => {
  const path = join(folder, "missing", "s.json");
  const file = join(folder, "missing");
  const writer = createStateWriter({ path, compress: false }, frame, now);
  const { writeFileSync } = await import("node:fs");
  writeFileSync(file, "in the way");
  const snapshot = { resources: [], pendingOperations: [] };
  await assert.rejects(
    writer.save(() => snapshot),
    /could not write the state file .*s\.json/,
  );
  rmSync(file);
  await writer.save(() => snapshot);
  assert.ok(existsSync(path));
});

test("1000 resources, each saved twice, cost little", async () => {
  const writer = createStateWriter({ path: join(folder, "s.json"), compress: false }, frame, now);
  const resources: ResourceState[] = [];
  const pending = new Set<ResourceState>();
  const current = (): Snapshot => ({
    resources: [...resources],
    pendingOperations: [...pending].map((item) => ({ resource: item, type: "creating" })),
  });
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < 1000) {
      const item = resource(`r${next++}`, 200);
      pending.add(item);
      await writer.save(current);
      pending.delete(item);
      resources.push({ ...item });
      await writer.save(current);
    }
  };
  const started = process.cpuUsage();
  await Promise.all(Array.from({ length: 32 }, work));
  const { user, system } = process.cpuUsage(started);
  const seconds = (user + system) / 1e6;
  // Processor time, since the machine may be busy with something else. Rewriting all of it each time would be 20 times this.
  assert.ok(seconds < 1.5, `${seconds} s of processor time`);
  assert.equal(urnsIn(join(folder, "s.json")).length, 1000);
});
