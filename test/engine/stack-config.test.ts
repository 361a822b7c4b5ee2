/** Stack files and settings: comments and layout survive, values are what the CLI makes of them, the program gets its strings. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { configGet, configList, configRemove, configSet } from "../../engine/commands/config.ts";
import { parsePath } from "../../engine/config-values.ts";
import { loadProject } from "../../engine/project.ts";
import { openSecrets } from "../../engine/secrets.ts";
import { loadStackConfig } from "../../engine/stack-config.ts";
import { programConfig } from "../../engine/stack-settings.ts";
import { createProjectFolder, type ProjectFolder, recordings } from "../support/project-folder.ts";

const file = "stacks/Pulumi.dev.yaml";
let folder: ProjectFolder;
beforeEach(() => {
  folder = createProjectFolder();
  const state = readFileSync(join(recordings, "options", "01-stack-init.checkpoint.json"), "utf8");
  folder.write("state/.pulumi/meta.yaml", "version: 1\n");
  folder.write("state/.pulumi/stacks/options/dev.json", state);
  folder.write(file, `encryptionsalt: ${JSON.parse(state).checkpoint.latest.secrets_providers.state.salt}\n`);
  folder.env.PULUMI_STACK = "dev";
});
afterEach(() => folder.remove());

async function set(key: string, value: string, options: Parameters<typeof configSet>[3] = {}): Promise<void> {
  const { err } = await folder.run((context) => configSet(context, key, value, options));
  assert.equal(err, "");
}

/** What the program would get. */
async function program() {
  const project = await loadProject(folder.path);
  const config = await loadStackConfig(project, "dev");
  const secrets = config.encryptionSalt ? await openSecrets(config.encryptionSalt, folder.env) : undefined;
  return programConfig(project, "dev", config, secrets);
}

test("comments, order and style stay when a value changes", async () => {
  const text = [
    "# Who runs this: the platform team",
    "config:",
    "  # How many there are",
    "  options:count: 2 # at least one",
    "",
    "  options:mode: 'base'",
    "  options:nested:",
    "    # first",
    "    list:",
    "      - name: a # the first",
    "      - name: b",
    "    other: {flow: [1, 2]}",
    "  # the end",
    "",
  ].join("\n");
  folder.write(file, text);
  await set("count", "3");
  await set("nested.list[1].name", "c", { path: true });
  const expected = text
    .replace("count: 2 #", 'count: "3" #')
    .replace("name: b", "name: c")
    .replace("{flow: [1, 2]}", "{ flow: [ 1, 2 ] }");
  assert.equal(folder.read(file), expected);
});

test("a file with Windows line ends and lists that are not indented keeps both", async () => {
  folder.write(file, "config:\r\n  options:list:\r\n  - a\r\n  - b\r\n");
  await set("list[0]", "x", { path: true });
  assert.equal(folder.read(file), "config:\r\n  options:list:\r\n  - x\r\n  - b\r\n");
});

test("a byte order mark is no fault", async () => {
  folder.write(file, Buffer.from("\uFEFFconfig:\n  options:count: 5\n"));
  assert.equal((await folder.run((context) => configGet(context, "count", {}))).out, "5\n");
});

test("a value in a file without the project's name is changed in place", async () => {
  folder.write(file, "config:\n  count: 5\n");
  await set("count", "6");
  assert.equal(folder.read(file), 'config:\n  count: "6"\n');
});

test("nothing is written where nothing changes", async () => {
  const odd = "config:   \n    options:count:   '7'\n";
  folder.write(file, odd);
  await set("count", "7");
  assert.equal(folder.read(file), odd);
});

test("removing the last setting leaves the salt", async () => {
  const salt = folder.read(file);
  await set("count", "1");
  await folder.run((context) => configRemove(context, "count", {}));
  assert.equal(folder.read(file), salt);
  await set("a.b", "1", { path: true });
  await set("a.c", "true", { path: true });
  await folder.run((context) => configRemove(context, "a.b", { path: true }));
  assert.match(folder.read(file), /options:a:\n {4}c: true\n$/);
});

test("a long secret stays on one line", async () => {
  const secret = "long ".repeat(60);
  await set("planted", secret, { secret: true });
  assert.equal(folder.read(file).split("\n").length, 5);
  assert.equal((await folder.run((context) => configGet(context, "planted", {}))).out, `${secret}\n`);
});

test("a secret is taken from standard input, without its last newline", async () => {
  const run = (raw: boolean) =>
    folder.run((context) => configSet(context, "planted", undefined, { secret: true, raw }), { stdin: "one\ntwo\n" });
  assert.deepEqual(await run(false), { out: "", err: "", exitCode: 0 });
  assert.equal((await folder.run((context) => configGet(context, "planted", {}))).out, "one\ntwo\n");
  await run(true);
  assert.equal((await folder.run((context) => configGet(context, "planted", {}))).out, "one\ntwo\n\n");
});

test("a secret is asked for hidden on a terminal, and never shown", async () => {
  const asked: string[] = [];
  const askHidden = async (prompt: string) => {
    asked.push(prompt);
    return "typed";
  };
  const { out, err } = await folder.run((context) => configSet(context, "planted", undefined, { secret: true }), {
    interactive: true,
    askHidden,
  });
  assert.deepEqual([out, err, asked], ["", "", ["value"]]);
  assert.equal(
    (await folder.run((context) => configGet(context, "planted", { json: true }))).out,
    '{\n  "value": "typed",\n  "secret": true\n}\n',
  );
});

test("values as the CLI's YAML reader sees them", async () => {
  const values: [written: string, seen: string][] = [
    ["2", "2"],
    ["1.50", "1.5"],
    ["0x1F", "31"],
    ["0644", "420"],
    ["true", "true"],
    ["yes", "yes"],
    ["~", ""],
    ["2026-01-02", "2026-01-02 00:00:00 +0000 UTC"],
    ["'0644'", "0644"],
    ["[1, a, null]", '[1,"a",null]'],
    ["{b: 1, a: <x>}", '{"a":"\\u003cx\\u003e","b":1}'],
  ];
  folder.write(file, `config:\n${values.map(([written], index) => `  options:v${index}: ${written}\n`).join("")}`);
  const { config } = await program();
  values.forEach(([written, seen], index) => {
    assert.equal(config[`options:v${index}`], seen, written);
  });
});

test("the program gets defaults, secrets in clear, and the names of what is secret", async () => {
  await set("planted", "clear", { secret: true });
  await set("nested.key", "hidden", { path: true, secret: true });
  await set("nested.open", "7", { path: true });
  await set("random:seed", "x");
  const { config, configSecretKeys } = await program();
  assert.deepEqual(
    { config, configSecretKeys },
    {
      config: {
        "options:count": "1",
        "options:mode": "base",
        "options:nested": '{"key":"hidden","open":7}',
        "options:planted": "clear",
        "random:seed": "x",
      },
      configSecretKeys: ["options:nested", "options:planted"],
    },
  );
});

test("what the listing shows of other namespaces and of secrets", async () => {
  await set("random:seed", "x");
  await set("planted", "clear", { secret: true });
  const { out } = await folder.run((context) => configList(context, { json: true }));
  assert.deepEqual(JSON.parse(out)["options:planted"], { secret: true });
  const table = await folder.run((context) => configList(context, {}));
  assert.match(table.out, /^KEY {10}VALUE\ncount {8}1\nmode {9}base\nplanted {6}\[secret\]\nrandom:seed {2}x\n$/);
});

test("paths are read as the CLI reads them", () => {
  assert.deepEqual(parsePath('a.b[0]["c.d"].e["q\\"q"]'), ["a", "b", 0, "c.d", "e", 'q"q']);
  for (const bad of [".a", "a.", "a[", "a[x]", 'a["b', 'a["b"', "a.[0]"])
    assert.throws(() => parsePath(bad), /invalid config key path/, bad);
});

test("values below the top become booleans and numbers where they look like it", async () => {
  for (const [key, value] of [
    ["n", "12"],
    ["z", "007"],
    ["t", "true"],
    ["s", "1.5"],
  ])
    await set(`o.${key}`, value ?? "", { path: true });
  assert.match(folder.read(file), /n: 12\n {4}s: "1.5"\n {4}t: true\n {4}z: "007"\n/);
});

test("a project file: program, options, folders, from a folder below", async () => {
  folder.write("infra/deep/file", "");
  const project = await loadProject(join(folder.path, "infra", "deep"));
  assert.equal(project.name, "options");
  assert.equal(project.programDirectory, join(folder.path, "infra"));
  assert.equal(project.entryPoint, "index.ts");
  assert.equal(project.stackConfigDir, join(folder.path, "stacks"));
  assert.deepEqual(project.runtimeOptions, { typescript: false });
  rmSync(join(folder.path, "Pulumi.yaml"));
  folder.write(
    "Pulumi.yaml",
    "name: short\nruntime: nodejs\nmain: infra/\nconfig:\n  size: 3\n  aws:region: here\noptions:\n  refresh: always\n",
  );
  const short = await loadProject(folder.path);
  assert.deepEqual([short.entryPoint, short.programDirectory, short.refreshAlways], [".", join(folder.path, "infra"), true]);
  assert.deepEqual(short.config, [
    { key: "size", default: 3, secret: false },
    { key: "aws:region", value: "here", secret: false },
  ]);
});
