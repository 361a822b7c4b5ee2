/** Ctrl-C during an update, with real signals: once, what runs comes to its end; twice, all ends at once. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createCommandLine } from "../support/command-line.ts";
import { placeFilePlugin } from "../support/file-plugin.ts";
import { gone } from "../support/processes.ts";

const repository = join(import.meta.dirname, "../..");
const root = mkdtempSync(join(tmpdir(), "engine-interrupt-"));
const made = (name: string): string => join(root, "files", name);
const urn = (type: string, name: string): string => `urn:pulumi:dev::interrupt::${type}::${name}`;
const cli = createCommandLine(root, "x");

/** What the program makes, and then makes of it. */
const program = `
import * as pulumi from "@pulumi/pulumi";
import * as command from "@pulumi/command";
const mode = new pulumi.Config().require("mode");
const quick = new command.local.Command("quick", { create: "true" });
const file = (name, content, options) =>
  new pulumi.CustomResource("files:index:File", name, { path: "${made("")}/" + name, content }, { version: "1.2.3", ...options });
let slow;
if (mode === "command") slow = new command.local.Command("slow", { create: "echo $$ > ${made("pid")}; sleep 60 & wait" }, { dependsOn: quick });
if (mode === "plug-in") slow = file("slow", "wait", { dependsOn: quick });
if (slow) file("next", "text", { dependsOn: slow });
if (mode === "stubborn") { process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); slow = file("slow", "wait", { dependsOn: quick }); }
`;

before(async () => {
  for (const folder of ["files", "infra", "stacks"]) mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(root, "Pulumi.yaml"),
    "name: interrupt\nmain: infra/index.ts\nstackConfigDir: stacks\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(root, "infra/index.ts"), program);
  placeFilePlugin(join(root, "home/.pulumi"));
  assert.equal((await cli.run(["stack", "init", "dev"])).exit, 0);
});
after(() => rmSync(root, { recursive: true, force: true }));

const up = ["up", "--yes", "--skip-preview"];
const firstSignal =
  "^C received; cancelling. If you would like to terminate immediately, press ^C again.\n" +
  "Note that terminating immediately may lead to orphaned resources and other inconsistencies.\n";

interface Running {
  child: ChildProcess;
  text(): string;
  ended: Promise<number | string>;
}

/** An update in which `slow` is being made, and everything before it is done. */
async function upUntilSlow(mode: string, sign: string): Promise<Running> {
  rmSync(made(""), { recursive: true });
  mkdirSync(made(""));
  assert.equal((await cli.run(["config", "set", "mode", mode])).exit, 0);
  const child = spawn(process.execPath, [join(repository, "engine/main.ts"), ...up], {
    cwd: root,
    env: { ...cli.env, INTERRUPTED: String(process.pid) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const ended = new Promise<number | string>((resolve) => child.on("close", (code, signal) => resolve(code ?? signal ?? "")));
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!existsSync(made(sign))) {
    assert.ok(!over, text);
    await delay(10);
  }
  return { child, text: () => text, ended };
}

interface State {
  latest: { resources: { urn: string }[]; pending_operations?: { resource: { urn: string }; type: string }[] };
}

function state(): State["latest"] {
  const { checkpoint }: { checkpoint: State } = JSON.parse(
    readFileSync(join(cli.backend, ".pulumi/stacks/interrupt/dev.json"), "utf8"),
  );
  return checkpoint.latest;
}

const names = (): string[] => state().resources.map((resource) => resource.urn.split("::").at(-1) ?? "");
const pending = (): string[] => (state().pending_operations ?? []).map(({ resource, type }) => `${type} ${resource.urn}`);

function results(): string[] {
  const folder = join(cli.backend, ".pulumi/history/interrupt/dev");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".history.json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")).result);
}

async function nothingIsLeft(): Promise<void> {
  const locks = join(cli.backend, ".pulumi/locks/organization/interrupt/dev");
  assert.deepEqual(existsSync(locks) ? readdirSync(locks) : [], []);
  if (process.platform !== "linux") return;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let environment = "";
    try {
      environment = readFileSync(`/proc/${pid}/environ`, "utf8");
    } catch {
      // It is gone, or somebody else's.
    }
    if (environment.includes(`INTERRUPTED=${process.pid}`)) await gone(Number(pid), 1000);
  }
}

test("once, while a command runs: it is killed, as by the official provider, and nothing new is begun", {
  timeout: 60_000,
}, async () => {
  const running = await upUntilSlow("command", "pid");
  running.child.kill("SIGINT");
  assert.equal(await running.ended, 1, running.text());
  await nothingIsLeft();
  await gone(Number(readFileSync(made("pid"), "utf8")), 1000);
  assert.ok(running.text().includes(firstSignal), running.text());
  assert.match(running.text(), /slow \*\*creating failed\*\* error: signal: killed/);
  assert.match(running.text(), /error: update failed/);
  assert.ok(names().includes("quick") && !names().includes("slow") && !names().includes("next"), names().join());
  assert.deepEqual(pending(), []);
  assert.equal(results().at(-1), "failed");
});

test("once, while a plug-in works that cannot be interrupted: its work is finished and kept", { timeout: 60_000 }, async () => {
  const running = await upUntilSlow("plug-in", "slow.waits");
  running.child.kill("SIGINT");
  while (!running.text().includes(firstSignal)) await delay(10);
  writeFileSync(made("slow.go"), "");
  assert.equal(await running.ended, 8, running.text());
  await nothingIsLeft();
  assert.match(running.text(), /slow created/);
  assert.match(running.text(), /error: update cancelled\n$/);
  assert.ok(names().includes("slow") && !names().includes("next"), names().join());
  assert.deepEqual(pending(), []);
  assert.equal(results().at(-1), "failed");
});

for (const mode of ["plug-in", "stubborn"]) {
  test(`twice: all ends at once, and the next run names what was interrupted (${mode})`, { timeout: 60_000 }, async () => {
    assert.equal((await cli.run(["config", "set", "mode", "none"])).exit, 0);
    assert.equal((await cli.run(up)).exit, 0);
    const running = await upUntilSlow(mode, "slow.waits");
    running.child.kill("SIGINT");
    while (!running.text().includes(firstSignal)) await delay(10);
    const from = performance.now();
    running.child.kill("SIGINT");
    const exit = await running.ended;
    const took = performance.now() - from;
    await nothingIsLeft();
    assert.equal(exit, 8, running.text());
    assert.match(running.text(), /error: update cancelled\n$/);
    assert.ok(took < 1000, `${took} ms`);
    // Those of earlier runs come after it: only the user can say what became of them.
    assert.equal(pending()[0], `creating ${urn("files:index:File", "slow")}`);
    assert.equal(results().at(-1), "failed");
    assert.equal((await cli.run(["config", "set", "mode", "none"])).exit, 0);
    const next = await cli.run(up);
    assert.equal(next.exit, 0, next.out + next.err);
    assert.ok(next.out.includes(`${urn("files:index:File", "slow")}, interrupted while creating`), next.out);
    assert.equal((await cli.run(["refresh", "--yes", "--skip-preview"])).exit, 0);
  });
}
