/** The commands over stacks and configuration print what the recorded CLI printed, and end as it did. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cancelUpdate } from "../../../engine/commands/cancel.ts";
import { configGet, configList, configSet } from "../../../engine/commands/config.ts";
import type { CommandContext } from "../../../engine/commands/context.ts";
import { stackInit, stackList, stackRemove } from "../../../engine/commands/stack.ts";
import { stackHistory, stackOutput, stackShow } from "../../../engine/commands/stack-show.ts";
import { stackExport } from "../../../engine/commands/stack-transfer.ts";
import { openWorkspace } from "../../../engine/stack.ts";
import { loadStackConfig } from "../../../engine/stack-config.ts";
import { createProjectFolder, type ProjectFolder, recordings } from "../../support/project-folder.ts";

const options = join(recordings, "options");
const recorded = (file: string): string => readFileSync(join(options, file), "utf8");
const exitCodes = new Map(
  recorded("commands.txt")
    .trim()
    .split("\n")
    .map((line) => [line.slice(0, line.indexOf(" |")), Number(/exit (\d+)$/.exec(line)?.[1])]),
);

let folder: ProjectFolder;
before(() => {
  folder = createProjectFolder();
});
after(() => folder.remove());

async function step(
  name: string,
  command: (context: CommandContext) => Promise<void>,
  extra: { stdin?: string; now?: () => Date } = {},
) {
  const { out, err, exitCode } = await folder.run(command, extra);
  assert.equal(out, recorded(`${name}.out`), `${name}: standard output`);
  let expected = "";
  try {
    expected = recorded(`${name}.err`);
  } catch {
    // Nothing was recorded where the CLI printed nothing there.
  }
  assert.equal(err, expected, `${name}: standard error`);
  assert.equal(exitCode, exitCodes.get(name), `${name}: exit code`);
}

/** The state as it was recorded at a step. */
function stateOf(name: string, stack = "dev"): void {
  folder.write(`state/.pulumi/stacks/options/${stack}.json`, recorded(`${name}.checkpoint.json`));
}

test("a stack is made and configured", async () => {
  await step("00-preview-without-stack", async (context) => {
    const workspace = await openWorkspace(context);
    const { requireStack } = await import("../../../engine/stack.ts");
    await requireStack(workspace, undefined);
  });
  await step("01-stack-init", (context) => stackInit(context, { name: "dev" }));
  const made = JSON.parse(folder.read("state/.pulumi/stacks/options/dev.json"));
  const template = JSON.parse(recorded("01-stack-init.checkpoint.json"));
  template.checkpoint.latest.manifest.time = made.checkpoint.latest.manifest.time;
  template.checkpoint.latest.secrets_providers.state.salt = made.checkpoint.latest.secrets_providers.state.salt;
  assert.deepEqual(made, template);
  await step("02-config-set", (context) => configSet(context, "count", "2", {}));
  await step("03-config-set-secret", (context) => configSet(context, "planted", "my planted secret", { secret: true }));
  await step("04-config-set-path", (context) => configSet(context, "nested.list[0].name", "value", { path: true }));
  await step("05-config-set-path-secret", (context) =>
    configSet(context, "nested.key", "hidden", { path: true, secret: true }),
  );
  await step("06-config-ls", (context) => configList(context, {}));
  await step("07-config-ls-json", (context) => configList(context, { json: true, showSecrets: true }));
  await step("08-config-get", (context) => configGet(context, "planted", {}));
  await step("09-config-get-missing", (context) => configGet(context, "nothing", {}));
  const file = folder.read("stacks/Pulumi.dev.yaml");
  assert.match(
    file,
    /^encryptionsalt: v1:\S+\nconfig:\n {2}options:count: "2"\n {2}options:nested:\n {4}key:\n {6}secure: v1:\S+\n {4}list:\n {6}- name: value\n {2}options:planted:\n {4}secure: v1:\S+\n$/,
  );
});

test("a wrong passphrase is refused", async () => {
  folder.env.PULUMI_CONFIG_PASSPHRASE = "y";
  await step("37-wrong-passphrase", (context) => configGet(context, "planted", {}));
  folder.env.PULUMI_CONFIG_PASSPHRASE = "x";
});

test("a stack shows what it holds", async () => {
  stateOf("31-stack-ls");
  folder.write("state/.pulumi/stacks/options/other.json", readFileSync(join(options, "state-tree/stacks/options/other.json")));
  // Without a passphrase: what is shown holds no secret in clear.
  delete folder.env.PULUMI_CONFIG_PASSPHRASE;
  await step("31-stack-ls", (context) => stackList(context, { json: true }));
  const now = () => new Date("2026-11-21T12:59:26Z");
  const { out } = await folder.run((context) => stackShow(context, {}), { now });
  assert.equal(out.replace(`Managed by ${hostname()}`, "Managed by vm"), recorded("32-stack.out"));
  await step("33-stack-output-one", (context) => stackOutput(context, { property: "invoked" }));
  await step("34-stack-output-missing", (context) => stackOutput(context, { property: "nothing" }));
  folder.env.PULUMI_CONFIG_PASSPHRASE = "x";
});

test("outputs and deployments are printed as documents", async () => {
  const lifecycle = createProjectFolder(join(recordings, "lifecycle", "Pulumi.yaml"));
  try {
    await lifecycle.run((context) => stackInit(context, { name: "dev" }));
    const recordedAt = (file: string) => readFileSync(join(recordings, "lifecycle", file), "utf8");
    lifecycle.write("state/.pulumi/stacks/lifecycle/dev.json", recordedAt("06-outputs-json.checkpoint.json"));
    const outputs = await lifecycle.run((context) => stackOutput(context, { json: true, showSecrets: true }));
    assert.equal(outputs.out, recordedAt("06-outputs-json.out"));
    const exported = await lifecycle.run((context) => stackExport(context, {}));
    assert.equal(exported.out, recordedAt("07-export.out"));
  } finally {
    lifecycle.remove();
  }
});

test("the history is printed as a document", async () => {
  const entries = JSON.parse(recorded("35-stack-history.out"));
  const config = await loadStackConfig((await openWorkspace({ cwd: folder.path, env: folder.env })).project, "dev");
  entries.toReversed().forEach((entry: { [key: string]: unknown }, index: number) => {
    const stored = {
      kind: entry.kind,
      startTime: Date.parse(String(entry.startTime)) / 1000,
      message: entry.message,
      environment: entry.environment,
      config: storedConfig(entry.config, config.values.get("options:planted")),
      version: entry.version,
      result: entry.result,
      endTime: Date.parse(String(entry.endTime)) / 1000,
      resourceChanges: entry.resourceChanges,
    };
    folder.write(`state/.pulumi/history/options/dev/dev-${1000 + index}.history.json`, JSON.stringify(stored));
  });
  await step("35-stack-history", (context) => stackHistory(context, { json: true }));
});

/** The document leaves secrets out: something encrypted stands for them. */
function storedConfig(shown: unknown, secret: unknown): { [key: string]: unknown } {
  const entries: [string, { value?: string; objectValue?: unknown }][] = Object.entries({
    ...(typeof shown === "object" ? shown : {}),
  });
  return Object.fromEntries(entries.map(([key, entry]) => [key, entry.objectValue ?? entry.value ?? secret]));
}

test("locks name their holder, and cancel clears them", async () => {
  const lock = { pid: 12386, username: "root", hostname: "vm.elsewhere", timestamp: "2026-11-21T12:58:21.123456789Z" };
  const path = "state/.pulumi/locks/organization/options/dev/acf514ab-f3fa-4600-b926-93365030bad1.json";
  folder.write(path, JSON.stringify(lock));
  const { err, exitCode } = await folder.run((context) => stackRemove(context, { yes: true, force: true }));
  const place = `file://${folder.path}/state/.pulumi`;
  assert.equal(err.replace(place, "file:///project/state/.pulumi").replace("vm.elsewhere", "vm"), recorded("23-up-locked.err"));
  assert.equal(exitCode, exitCodes.get("23-up-locked"));
  await step("24-cancel", (context) => cancelUpdate(context, { yes: true }));
  assert.throws(() => folder.read(path), /ENOENT/);
});

test("a stack is removed only when it is empty", async () => {
  stateOf("39-stack-rm-with-resources");
  await step("39-stack-rm-with-resources", (context) => stackRemove(context, { name: "dev", yes: true }));
  stateOf("40-destroy");
  await step("41-stack-rm", (context) => stackRemove(context, { name: "dev", yes: true }));
  assert.throws(() => folder.read("stacks/Pulumi.dev.yaml"), /ENOENT/);
  assert.throws(() => folder.read("state/.pulumi/stacks/options/dev.json"), /ENOENT/);
  // As in the recorded tree: a backup of the state stays.
  assert.ok(folder.read("state/.pulumi/stacks/options/dev.json.bak"));
  assert.ok(folder.read("state/.pulumi/stacks/options/dev.json.bak.attrs"));
});
