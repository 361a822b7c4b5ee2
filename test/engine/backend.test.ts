/** The file backend: where it is, how it is laid out, who holds a stack, what its history keeps. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { openBackend, parseReference, readStackOutputs } from "../../engine/backend.ts";
import { stackInit, stackList, stackRemove, stackSelect } from "../../engine/commands/stack.ts";
import { stackExport, stackImport } from "../../engine/commands/stack-transfer.ts";
import { stateDelete, stateUnprotect } from "../../engine/commands/state.ts";
import { attrsOf } from "../../engine/files.ts";
import { lockStack } from "../../engine/locks.ts";
import { beginUpdate, openWorkspace, requireStack, type Workspace } from "../../engine/stack.ts";
import { secret } from "../../engine/values.ts";
import { createProjectFolder, type ProjectFolder, recordings } from "../support/project-folder.ts";

const options = join(recordings, "options");
let folder: ProjectFolder;
beforeEach(() => {
  folder = createProjectFolder();
});
afterEach(() => folder.remove());

const now = () => new Date();

/** A stack with the resources of a recorded step, and a stack file with the salt of its state. */
function place(step = "29-up-base"): void {
  const state = readFileSync(join(options, `${step}.checkpoint.json`), "utf8");
  folder.write("state/.pulumi/meta.yaml", "version: 1\n");
  folder.write("state/.pulumi/stacks/options/dev.json", state);
  folder.write(
    "stacks/Pulumi.dev.yaml",
    `encryptionsalt: ${JSON.parse(state).checkpoint.latest.secrets_providers.state.salt}\n`,
  );
  folder.env.PULUMI_STACK = "dev";
}

async function opened(): Promise<Workspace> {
  return openWorkspace({ cwd: folder.path, env: folder.env });
}

test("the folder of the backend, from every form of its URL", async () => {
  const directory = async (url: string) =>
    (await openBackend({ env: { HOME: "/home/ann", PULUMI_BACKEND_URL: url }, project: undefined, cwd: "/srv/here" }))
      .directory;
  assert.equal(await directory("file://~"), "/home/ann");
  assert.equal(await directory("file://~/state"), "/home/ann/state");
  assert.equal(await directory("file:///var/lib/state"), "/var/lib/state");
  assert.equal(await directory("file://./state"), "/srv/here/state");
  assert.equal(await directory("file://state?no_tmp_dir=true"), "/srv/here/state");
  assert.equal(await directory("file:///with%20space"), "/with space");
});

test("the environment comes before the project file, that before the login", async () => {
  folder.write("home/.pulumi/credentials.json", '{"current":"file:///from/login"}');
  folder.env.PULUMI_BACKEND_URL = undefined;
  assert.equal((await opened()).backend.directory, "/from/login");
  folder.write("Pulumi.yaml", `${folder.read("Pulumi.yaml")}backend:\n  url: file:///from/project\n`);
  assert.equal((await opened()).backend.directory, "/from/project");
  folder.env.PULUMI_BACKEND_URL = "file:///from/environment";
  assert.equal((await opened()).backend.directory, "/from/environment");
});

test("names of stacks", () => {
  assert.deepEqual(parseReference("dev", "p"), { project: "p", name: "dev", qualified: "organization/p/dev" });
  assert.equal(parseReference("organization/dev", "p").qualified, "organization/p/dev");
  assert.equal(parseReference("organization/other/dev", "p").qualified, "organization/other/dev");
  for (const bad of ["", "a b", "..", "acme/dev", "organization/../dev", "a/b/c/d", "x".repeat(101)]) {
    assert.throws(() => parseReference(bad, "p"), { name: "EngineError" }, bad);
  }
});

test("the selected stack is kept where the CLI keeps it", async () => {
  place();
  delete folder.env.PULUMI_STACK;
  await folder.run((context) => stackSelect(context, { name: "dev" }));
  const [file = ""] = readdirSync(join(folder.path, "home/.pulumi/workspaces"));
  assert.match(file, /^options-[0-9a-f]{40}-workspace\.json$/);
  assert.deepEqual(JSON.parse(folder.read(`home/.pulumi/workspaces/${file}`)), {
    stacks: { [folder.env.PULUMI_BACKEND_URL ?? ""]: "organization/options/dev" },
  });
  assert.equal((await requireStack(await opened())).name, "dev");
});

test("an update leaves the files that the CLI leaves", async () => {
  place();
  const workspace = await opened();
  const update = await beginUpdate(workspace, await requireStack(workspace), {
    kind: "update",
    environment: { "exec.kind": "cli" },
    now,
  });
  const { snapshot } = update.stack;
  await update.writer.save(() => snapshot);
  await update.finish({ ok: true, snapshot, changes: { same: 3, "read-discard": 1, create: 0 } });
  const files = readdirSync(join(folder.path, "state/.pulumi"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(join(folder.path, "state/.pulumi/").length)
        .replace(/\d{19}/, "<time>"),
    )
    .filter((name) => name !== "meta.yaml")
    .sort();
  const recorded = [
    ...[
      "backups/options/dev/dev.<time>.json",
      "history/options/dev/dev-<time>.checkpoint.json",
      "history/options/dev/dev-<time>.history.json",
    ],
    ...["stacks/options/dev.json", "stacks/options/dev.json.bak"],
  ];
  assert.deepEqual(files, recorded.flatMap((name) => [name, `${name}.attrs`]).sort());
  for (const entry of readdirSync(join(folder.path, "state/.pulumi"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".attrs")) continue;
    const path = join(entry.parentPath, entry.name);
    assert.equal(readFileSync(path, "utf8"), attrsOf(readFileSync(path.slice(0, -".attrs".length))), path);
  }
  const [history = ""] = readdirSync(join(folder.path, "state/.pulumi/history/options/dev")).filter((name) =>
    name.endsWith(".history.json"),
  );
  const entry = JSON.parse(folder.read(`state/.pulumi/history/options/dev/${history}`));
  assert.deepEqual(Object.keys(entry), [
    "kind",
    "startTime",
    "message",
    "environment",
    "config",
    "version",
    "result",
    "endTime",
    "resourceChanges",
  ]);
  assert.deepEqual(entry.resourceChanges, { discard: 1, same: 3 });
  assert.deepEqual(entry.config, { "options:count": "1", "options:mode": "base" });
});

test("a compressed state is read, and written where it is asked for", async () => {
  place();
  folder.env.PULUMI_DIY_BACKEND_GZIP = "true";
  await folder.run((context) => stateUnprotect(context, [], { all: true }));
  assert.deepEqual(
    readdirSync(join(folder.path, "state/.pulumi/stacks/options")).filter((name) => /json(\.gz)?$/.test(name)),
    ["dev.json.gz"],
  );
  delete folder.env.PULUMI_DIY_BACKEND_GZIP;
  const { out } = await folder.run((context) => stackList(context, { json: true }));
  assert.equal(JSON.parse(out)[0].resourceCount, 32);
});

test("a lock of a process that is gone is taken over with a note", async () => {
  place();
  const child = spawn(process.execPath, ["-e", "0"]);
  await once(child, "exit");
  const lock = { pid: child.pid, username: "ann", hostname: hostname(), timestamp: "2026-01-01T00:00:00.123456789Z" };
  folder.write("state/.pulumi/locks/organization/options/dev/a.json", JSON.stringify(lock));
  const workspace = await opened();
  const held = await lockStack(workspace.backend, await requireStack(workspace), now());
  assert.equal(held.notes.length, 1);
  assert.match(
    held.notes[0] ?? "",
    new RegExp(
      `took over the lock of ann@${hostname()} \\(pid ${child.pid}, since 2026-01-01T00:00:00Z\\): that process is gone`,
    ),
  );
  await held.release();
  assert.deepEqual(readdirSync(join(folder.path, "state/.pulumi/locks/organization/options/dev")), []);
});

test("a process number that was given out again does not hold the lock", { skip: process.platform !== "linux" }, async () => {
  place();
  // This process runs, but it began long after the lock was made.
  const lock = { pid: process.pid, username: "ann", hostname: hostname(), timestamp: "2026-01-01T00:00:00Z" };
  folder.write("state/.pulumi/locks/organization/options/dev/a.json", JSON.stringify(lock));
  const workspace = await opened();
  const ref = await requireStack(workspace);
  const first = await lockStack(workspace.backend, ref, now());
  assert.equal(first.notes.length, 1);
  await assert.rejects(lockStack(workspace.backend, ref, now()), /currently locked by 1 lock\(s\)[\s\S]*pid/);
  await first.release();
});

test("a lock goes with its process, also on a signal", async () => {
  place();
  const script = `
    import { openWorkspace, requireStack } from ${JSON.stringify(join(import.meta.dirname, "../../engine/stack.ts"))};
    import { lockStack } from ${JSON.stringify(join(import.meta.dirname, "../../engine/locks.ts"))};
    const workspace = await openWorkspace({ cwd: ${JSON.stringify(folder.path)}, env: process.env });
    await lockStack(workspace.backend, await requireStack(workspace), new Date());
    console.log("locked"); setInterval(() => {}, 1000);`;
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) {
    const env = Object.fromEntries(Object.entries(folder.env).filter(([, value]) => value !== undefined));
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env, stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    const locks = join(folder.path, "state/.pulumi/locks/organization/options/dev");
    assert.equal(readdirSync(locks).length, 1);
    child.kill(signal);
    const [, endedBy] = await once(child, "exit");
    assert.equal(endedBy, signal);
    assert.deepEqual(readdirSync(locks), []);
  }
});

test("of another stack only the outputs are read, secrets marked", async () => {
  place();
  const { backend } = await opened();
  const outputs = await readStackOutputs(backend, "organization/options/dev", folder.env);
  assert.equal(outputs?.unwrapped, "open");
  const ids = outputs?.ids;
  assert.ok(typeof ids === "object" && ids !== null && !Array.isArray(ids) && ids.bytes);
  assert.deepEqual(
    ids.bytes,
    secret(typeof ids.bytes === "object" && !Array.isArray(ids.bytes) ? (ids.bytes.value ?? null) : null),
  );
  assert.equal(await readStackOutputs(backend, "organization/options/none", folder.env), undefined);
});

test("what is exported is imported again, into another salt too", async () => {
  place();
  const before = (await folder.run((context) => stackExport(context, { showSecrets: true }))).out;
  const exported = (await folder.run((context) => stackExport(context, {}))).out;
  const { out, exitCode } = await folder.run((context) => stackImport(context, {}), { stdin: exported });
  assert.deepEqual([out, exitCode], ["Import complete.\n", 0]);
  const same = JSON.parse((await folder.run((context) => stackExport(context, {}))).out);
  const expected = JSON.parse(exported);
  expected.deployment.manifest.time = same.deployment.manifest.time;
  delete expected.deployment.pending_operations;
  assert.deepEqual(same, expected);
  folder.write("stacks/Pulumi.dev.yaml", "");
  folder.write("state/.pulumi/stacks/options/dev.json", '{"version":3,"checkpoint":{"stack":"organization/options/dev"}}');
  folder.write("clear.json", before);
  await folder.run((context) => stackImport(context, { file: "clear.json" }));
  const clear = JSON.parse((await folder.run((context) => stackExport(context, { showSecrets: true }))).out);
  assert.deepEqual(clear.deployment.resources, JSON.parse(before).deployment.resources);
  assert.doesNotMatch(folder.read("state/.pulumi/stacks/options/dev.json"), /"plaintext"/);
});

test("a resource is deleted from the state together with what depends on it", async () => {
  place();
  const box = "urn:pulumi:dev::options::demo:index:Box::box";
  const { out } = await folder.run((context) => stateDelete(context, [box], { targetDependents: true }));
  assert.equal(out, "Resource deleted\n");
  assert.doesNotMatch(folder.read("state/.pulumi/stacks/options/dev.json"), /box-inner/);
});

test("two clones of a project do not see each other's selection", async () => {
  const other = createProjectFolder();
  try {
    other.env.HOME = folder.env.HOME;
    other.env.PULUMI_HOME = folder.env.PULUMI_HOME;
    other.env.PULUMI_BACKEND_URL = folder.env.PULUMI_BACKEND_URL;
    await folder.run((context) => stackInit(context, { name: "dev" }));
    const { err } = await other.run(async (context) => {
      await requireStack(await openWorkspace(context));
    });
    assert.match(err, /no stack selected/);
    assert.equal((await folder.run((context) => stackRemove(context, { yes: true, removeBackups: true }))).exitCode, 0);
    assert.deepEqual(readdirSync(join(folder.path, "state/.pulumi/stacks/options")), []);
  } finally {
    other.remove();
  }
});
