/**
 * What can be wrong with project files, stack files, states, locks and settings: each fault gives one clear error with its
 * place and what to do (the golden file), no stack trace, and nothing on disk changes.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { CommandContext } from "../../engine/commands/context.ts";
import { beginUpdate, openStack, openWorkspace, requireStack } from "../../engine/stack.ts";
import type { Fault } from "../support/engine-faults/fault.ts";
import { faults } from "../support/engine-faults/index.ts";
import { assertGolden } from "../support/golden-file.ts";
import { createProjectFolder, type ProjectFolder, recordings } from "../support/project-folder.ts";

const printed: string[] = [];
const options = join(recordings, "options");
const recorded = (file: string): string => readFileSync(join(options, file), "utf8");

/** A project with a stack that has secrets and resources, all of it in order. */
function prepare(): ProjectFolder {
  const folder = createProjectFolder();
  const history = JSON.parse(recorded("state-tree/history/options/dev/dev-1795265969295742975.history.json"));
  const checkpoint = JSON.parse(recorded("29-up-base.checkpoint.json"));
  const { salt } = checkpoint.checkpoint.latest.secrets_providers.state;
  folder.write(
    "stacks/Pulumi.dev.yaml",
    `encryptionsalt: ${salt}\nconfig:\n  options:count: "2"\n  options:planted:\n    secure: ${history.config["options:planted"].secure}\n`,
  );
  folder.write("state/.pulumi/meta.yaml", "version: 1\n");
  folder.write("state/.pulumi/stacks/options/dev.json", JSON.stringify(checkpoint));
  folder.env.PULUMI_STACK = "dev";
  return folder;
}

/** As a preview begins. */
async function preview(context: CommandContext): Promise<void> {
  const workspace = await openWorkspace(context);
  await openStack(workspace, await requireStack(workspace, context.stack));
}

/** As an update begins. */
async function update(context: CommandContext): Promise<void> {
  const workspace = await openWorkspace(context);
  const ref = await requireStack(workspace, context.stack);
  const begun = await beginUpdate(workspace, ref, { kind: "update", environment: {}, now: context.now });
  await begun.abandon();
}

test("the prepared project has no fault", async () => {
  const folder = prepare();
  try {
    assert.deepEqual(await folder.run(preview), { out: "", err: "", exitCode: 0 });
    assert.deepEqual(await folder.run(update), { out: "", err: "", exitCode: 0 });
  } finally {
    folder.remove();
  }
});

test("every fault has its own name", () => {
  assert.equal(new Set(faults.map(({ name }) => name)).size, faults.length);
  assert.ok(faults.length >= 60, `${faults.length} faults`);
});

for (const fault of faults) {
  test(`fault: ${fault.name}`, async () => {
    const folder = prepare();
    try {
      await fault.arrange(folder);
      const before = hashOf(folder.path);
      const ran = await unprivileged(fault, folder, () =>
        folder.run(fault.command ?? (fault.begins === "update" ? update : preview), fault.with),
      );
      assert.notEqual(ran.exitCode, 0, "it fails");
      assert.match(ran.err, /^error: \S/);
      assert.doesNotMatch(ran.err, /\n\s+at .*[:(]\d+|node:internal|\[object|undefined/);
      assert.doesNotMatch(ran.err, /my planted secret/);
      assert.equal(hashOf(folder.path), before, "nothing on disk changed");
      printed.push(`## ${fault.name} (exit ${ran.exitCode})\n${normalise(ran.err, folder)}`);
    } finally {
      folder.remove();
    }
  });
}

after(() => assertGolden(join(import.meta.dirname, "golden", "faults.txt"), printed.join("\n")));

test("a full disk is named, and the state stays readable", async (t) => {
  const folder = prepare();
  const mount = join(folder.path, "small");
  mkdirSync(mount);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], { stdio: "ignore" });
  } catch {
    folder.remove();
    t.skip("needs the right to mount a small file system");
    return;
  }
  try {
    folder.env.PULUMI_BACKEND_URL = `file://${mount}`;
    const state = "small/.pulumi/stacks/options/dev.json";
    folder.write(state, recorded("29-up-base.checkpoint.json"));
    folder.write("small/.pulumi/meta.yaml", "version: 1\n");
    const ran = await folder.run(async (context) => {
      const workspace = await openWorkspace(context);
      const begun = await beginUpdate(workspace, await requireStack(workspace), {
        kind: "update",
        environment: {},
        now: context.now,
      });
      await begun.finish({ ok: true, snapshot: begun.stack.snapshot, changes: {} });
    });
    assert.match(ran.err, /^error: .*small.*no space left on the device; free some space/);
    assert.equal(folder.read(state), recorded("29-up-base.checkpoint.json"));
    assert.deepEqual(await folder.run(preview), { out: "", err: "", exitCode: 0 });
  } finally {
    execFileSync("umount", [mount]);
    folder.remove();
  }
});

/** The owner of everything may write anywhere: faults of permission are tried as somebody else. */
async function unprivileged<T>(fault: Fault, folder: ProjectFolder, run: () => Promise<T>): Promise<T> {
  if (!fault.unprivileged || process.getuid?.() !== 0 || !process.seteuid) return run();
  execFileSync("chmod", ["a+rX", folder.path]);
  process.seteuid(65534);
  try {
    return await run();
  } finally {
    process.seteuid(0);
  }
}

function hashOf(path: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort())
    hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}

function normalise(text: string, folder: ProjectFolder): string {
  return text
    .replaceAll(folder.path, "/project")
    .replace(/-[0-9a-f]{40}-/, "-<hash of the path>-")
    .replaceAll(`${userInfo().username}@${hostname()}`, "me@this-host")
    .replaceAll(`pid ${process.pid}`, "pid 1234")
    .replace(/at \d{4}-\d\d-\d\dT[\d:]+Z/g, "at 2026-01-01T00:00:00Z");
}
