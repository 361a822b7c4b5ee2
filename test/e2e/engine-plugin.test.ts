/** A provider written in TypeScript and placed under `~/.pulumi/plugins` is used over gRPC, and ends with the engine. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { createProviderHost } from "../../engine/plugins.ts";
import { ProviderError, type ProviderLog } from "../../engine/providers/provider.ts";
import { createCommandLine } from "../support/command-line.ts";
import { placeFilePlugin } from "../support/file-plugin.ts";
import { gone } from "../support/processes.ts";

const folder = mkdtempSync(join(tmpdir(), "engine-plugin-"));
const env = { ...process.env, PULUMI_HOME: join(folder, "home") };
const urn = "urn:pulumi:dev::project::files:index:File::one";
const signal = new AbortController().signal;

before(() => {
  placeFilePlugin(env.PULUMI_HOME);
});
after(() => rmSync(folder, { recursive: true }));

test("a TypeScript plug-in is started, used, and ended", { timeout: 60_000 }, async (t) => {
  const host = createProviderHost({ programDirectory: folder, project: "project", env });
  t.after(() => host.close());
  const logs: ProviderLog[] = [];
  const provider = await host.load("files", "1.2.3", (entry) => logs.push(entry));
  assert.deepEqual(await provider.getPluginInfo(), { version: "1.2.3" });
  await provider.configure({ acceptSecrets: true, acceptResources: true });

  const bad = await provider.check({ urn, olds: {}, news: {} });
  assert.deepEqual(bad.failures, [{ property: "path", reason: "must be a string" }]);
  const path = join(folder, "one.txt");
  const { inputs } = await provider.check({ urn, olds: {}, news: { path, content: "hello" } });
  const created = await provider.create({ urn, properties: inputs }, signal);
  assert.equal(created.id, path);
  assert.equal(readFileSync(path, "utf8"), "hello");
  assert.equal(created.properties?.project, "project");
  assert.deepEqual(logs, [{ severity: "info", message: `writing ${path}`, urn }]);

  const diff = await provider.diff({ id: path, urn, olds: created.properties, news: { path: "other", content: "hello" } });
  assert.equal(diff.changes, "DIFF_SOME");
  assert.deepEqual(diff.replaces, ["path"]);
  await provider.update({ id: path, urn, olds: created.properties, news: { path, content: "new" } }, signal);
  assert.deepEqual((await provider.invoke({ tok: "files:index:read", args: { path } })).return, { text: "new" });
  await assert.rejects(
    provider.create({ urn, properties: { path, content: "fail" } }, signal),
    (error) => error instanceof ProviderError && error.message.includes("the disk is full"),
  );
  await provider.delete({ id: path, urn, properties: created.properties }, signal);
  assert.ok(!existsSync(path));

  await host.close();
  await gone(Number(created.properties?.pid));
});

test("a plug-in that ends by itself is reported with its last words", { timeout: 60_000 }, async (t) => {
  const host = createProviderHost({ programDirectory: folder, env });
  t.after(() => host.close());
  const failed = Promise.withResolvers<string>();
  const provider = await host.load("files", "1.2.3", ({ severity, message }) => {
    if (severity === "error") failed.resolve(message);
  });
  const properties = { path: join(folder, "crash.txt"), content: "crash" };
  await assert.rejects(provider.create({ urn, properties }, signal), ProviderError);
  assert.match(await failed.promise, /plug-in files ended unexpectedly \(exit status 9\)\.\nout of paper$/);
});

test("a plug-in that cannot start says why", { timeout: 60_000 }, async (t) => {
  const host = createProviderHost({ programDirectory: folder, env });
  t.after(() => host.close());
  const broken = join(env.PULUMI_HOME, "plugins", "resource-broken-v0.1.0");
  mkdirSync(broken);
  const text = async () => {
    const error = await host.load("broken", undefined, () => {}).catch((reason: unknown) => reason);
    assert.ok(error instanceof ProviderError && error.code === "unavailable", String(error));
    return error.message;
  };
  assert.match(await text(), /neither pulumi-resource-broken nor PulumiPlugin\.yaml.*--reinstall$/);
  writeFileSync(join(broken, "PulumiPlugin.yaml"), "runtime: python\n");
  assert.match(await text(), /PulumiPlugin\.yaml: the runtime "python" is not supported/);
  writeFileSync(join(broken, "PulumiPlugin.yaml"), "runtime: nodejs\n");
  assert.match(await text(), /run "npm install" in .*broken/);
  writeFileSync(join(broken, "pulumi-resource-broken"), "#!/bin/sh\necho no port; echo sorry >&2\nsleep 60", { mode: 0o755 });
  assert.match(await text(), /first line must be the port.*"no port"/s);
  writeFileSync(join(broken, "pulumi-resource-broken"), "#!/bin/sh\necho sorry >&2\nexit 4", { mode: 0o755 });
  assert.match(await text(), /did not start: exit status 4\nsorry$/);
});

test("a plug-in dies with an engine that is killed", { timeout: 60_000 }, async (t) => {
  const engine = spawn(process.execPath, [join(import.meta.dirname, "../support/engine-stand-in.ts"), folder, urn], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => engine.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: engine.stdout }), "line");
  const pid = Number(line);
  assert.ok(pid > 0, `the plug-in's pid, not ${line}`);
  process.kill(pid, 0);
  engine.kill("SIGKILL");
  await gone(pid);
});

test("what is not installed is named with the command that installs it", async () => {
  const host = createProviderHost({ programDirectory: folder, env });
  for (const [pkg, version] of [
    ["files", "2.0.0"],
    ["kubernetes", "4.34.2"],
  ] as const) {
    await assert.rejects(
      host.load(pkg, version, () => {}),
      (error) => {
        assert.ok(error instanceof ProviderError);
        assert.equal(error.code, "unavailable");
        assert.match(error.message, new RegExp(`pulumi plugin install resource ${pkg} ${version}$`));
        return true;
      },
    );
  }
  await host.close();
});

test("a stack whose program needs the plug-in is deployed, changed and destroyed", { timeout: 120_000 }, async () => {
  const project = join(folder, "project");
  mkdirSync(project);
  symlinkSync(join(import.meta.dirname, "../../node_modules"), join(project, "node_modules"));
  const options = { env: { PULUMI_HOME: env.PULUMI_HOME, FILE: join(project, "made.txt"), CONTENT: "first" } };
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", type: "module" }));
  writeFileSync(
    join(project, "Pulumi.yaml"),
    "name: project\nmain: index.ts\nruntime: { name: nodejs, options: { typescript: false } }\n",
  );
  writeFileSync(
    join(project, "index.ts"),
    `import * as pulumi from "@pulumi/pulumi";
const inputs = { path: process.env.FILE, content: process.env.CONTENT, size: undefined };
const file: any = new pulumi.CustomResource("files:index:File", "one", inputs, { version: "1.2.3" });
export const size = file.size;
`,
  );
  const engine = createCommandLine(project, "x");
  const run = async (...args: string[]) => {
    const result = await engine.run([...args, "--stack", "dev"], options);
    assert.equal(result.exit, 0, result.out + result.err);
    return result.out;
  };
  assert.equal((await engine.run(["stack", "init", "dev"], options)).exit, 0);
  const up = await run("up", "--yes", "--skip-preview");
  assert.match(up, /\+ 2 created/);
  assert.match(up, /writing .*made\.txt/, "the plug-in's log is shown");
  assert.equal(readFileSync(options.env.FILE, "utf8"), "first");
  assert.match(await run("up", "--yes", "--skip-preview"), /2 unchanged/);
  options.env.CONTENT = "second one";
  assert.match(await run("up", "--yes", "--skip-preview"), /~ 1 updated/);
  assert.equal(await run("stack", "output", "size"), "10\n");
  assert.equal(readFileSync(options.env.FILE, "utf8"), "second one");
  await run("destroy", "--yes", "--skip-preview");
  assert.ok(!existsSync(options.env.FILE));
});
