/** Real programs on the real SDK, run against the monitor with an in-memory deployment logic. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { DeploymentOptions } from "../../engine/deployment.ts";
import type { EngineEvent } from "../../engine/events.ts";
import { startSource } from "../../engine/monitor.ts";
import { runProgram } from "../../engine/program.ts";
import { isSecret, type PropertyMap, secret, unknown } from "../../engine/values.ts";
import { createMemorySink, type MemorySinkOptions } from "../support/memory-sink.ts";
import { createProgramFolder, type ProgramFolder } from "../support/program-options.ts";

let folder: ProgramFolder;
before(async () => {
  folder = await createProgramFolder();
});
after(() => folder.remove());

/** Runs a program to its end and returns all that it did. */
async function run(source: string, more: Partial<DeploymentOptions> = {}, sinkOptions: Partial<MemorySinkOptions> = {}) {
  const options = await folder.write(source, more);
  const events: EngineEvent[] = [];
  const sink = createMemorySink({ stack: "dev", project: "demo", dryRun: options.dryRun, ...sinkOptions });
  const running = await startSource(options, { sink, runProgram, emit: (event) => events.push(event) });
  const registered = await running.registered;
  const outcome = await running.finish();
  const texts = events.map((event) => ("message" in event ? event.message : ""));
  const goal = (name: string) => sink.goals.find((candidate) => candidate.name === name) ?? assert.fail(`no goal ${name}`);
  const stackOutputs = sink.outputs.get("urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev") ?? {};
  return { registered, outcome, events, texts, sink, goal, stackOutputs };
}

const imports = `import * as pulumi from "@pulumi/pulumi"; import * as random from "@pulumi/random";\n`;

test("resources, their default provider, dependencies, secrets and outputs arrive", async () => {
  const { outcome, registered, sink, goal, stackOutputs } = await run(
    `${imports}
    const first = new random.RandomId("first", { byteLength: 4 });
    const second = new random.RandomPet("second", { prefix: first.hex, keepers: { a: pulumi.secret("s3cret") } },
      { protect: true, customTimeouts: { create: "1m30s" }, ignoreChanges: ["length"] });
    export const hex = first.hex; export const hidden = pulumi.secret(1);`,
    {},
    { outputsOf: (goal) => ({ ...goal.properties, hex: "ab" }) },
  );
  assert.deepEqual(outcome, { ok: true, exitCode: 0 });
  assert.deepEqual(registered, { ok: true });
  assert.equal(sink.goals[0]?.name, "demo-dev");
  const provider = goal("default_4_21_2");
  assert.deepEqual([provider.type, provider.properties], ["pulumi:providers:random", { __internal: {}, version: "4.21.2" }]);
  const reference = "urn:pulumi:dev::demo::pulumi:providers:random::default_4_21_2::id-of-default_4_21_2";
  const second = goal("second");
  assert.equal(second.provider, reference);
  assert.equal(goal("first").protect, undefined);
  assert.equal(second.protect, true);
  assert.deepEqual(second.customTimeouts, { create: 90 });
  assert.deepEqual(second.ignoreChanges, ["length"]);
  assert.deepEqual(second.properties, { prefix: "ab", keepers: { a: secret("s3cret") } });
  const firstUrn = "urn:pulumi:dev::demo::random:index/randomId:RandomId::first";
  assert.deepEqual(second.propertyDependencies, { prefix: [firstUrn], keepers: [] });
  assert.deepEqual(second.dependencies, [firstUrn]);
  assert.match(JSON.stringify(second.stackTrace), /"sourcePosition":"project:\/\/\/[^"]*#\d+,\d+"/);
  assert.deepEqual(stackOutputs, { hex: "ab", hidden: secret(1) });
});

test("in a preview unknown outputs reach the dependents as unknown", async () => {
  const { outcome, goal, stackOutputs } = await run(
    `${imports}
    const first = new random.RandomId("first", { byteLength: 4 });
    new random.RandomPet("second", { prefix: first.hex });
    export const hex = first.hex; export const dry = pulumi.runtime.isDryRun();`,
    { dryRun: true },
    { outputsOf: (goal) => ({ ...goal.properties, hex: unknown }) },
  );
  assert.equal(outcome.ok, true);
  assert.equal(goal("second").properties.prefix, unknown);
  assert.deepEqual(stackOutputs, { hex: unknown, dry: true });
});

test("a proxy in the environment does not come between the program and the engine", async (context) => {
  process.env.http_proxy = "http://127.0.0.1:9";
  context.after(() => {
    delete process.env.http_proxy;
  });
  const { outcome } = await run(`${imports}
    pulumi.runtime.registerResourceTransform(({ props, opts }) => ({ props, opts }));
    new random.RandomId("x", { byteLength: 1 });`);
  assert.equal(outcome.ok, true);
});

test("config and its secrets reach the program", async () => {
  const { stackOutputs } = await run(
    `${imports}
    const config = new pulumi.Config();
    export const plain = config.require("plain"); export const hidden = config.requireSecret("hidden");`,
    { config: { "demo:plain": "p", "demo:hidden": "h" }, configSecretKeys: ["demo:hidden"] },
  );
  assert.deepEqual(stackOutputs, { plain: "p", hidden: secret("h") });
});

test("components, parents, references and explicit providers", async () => {
  const { outcome, goal, sink } = await run(
    `${imports}
    class Box extends pulumi.ComponentResource {
      constructor(name, opts) {
        super("demo:index:Box", name, {}, opts);
        const inner = new random.RandomId(name + "-inner", { byteLength: 1 }, { parent: this });
        this.registerOutputs({ inner });
      }
    }
    const provider = new random.Provider("mine");
    new Box("box", { providers: [provider], protect: true });`,
  );
  assert.equal(outcome.ok, true);
  const inner = goal("box-inner");
  assert.equal(inner.parent, "urn:pulumi:dev::demo::demo:index:Box::box");
  assert.equal(inner.provider, "urn:pulumi:dev::demo::pulumi:providers:random::mine::id-of-mine");
  assert.equal(inner.protect, true, "protect is inherited");
  const outputs = sink.outputs.get("urn:pulumi:dev::demo::demo:index:Box::box");
  assert.deepEqual(outputs?.inner, {
    "4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e",
    urn: "urn:pulumi:dev::demo::demo:index:Box$random:index/randomId:RandomId::box-inner",
    id: "id-of-box-inner",
    name: "box-inner",
    type: "random:index/randomId:RandomId",
  });
});

test("an uncaught error: its text with stack, exit code 32, not ok", async () => {
  const { outcome, registered, texts } = await run(
    `${imports} function deep() { throw new Error("the program failed"); } deep();`,
  );
  assert.deepEqual(outcome, { ok: false, exitCode: 32 });
  assert.deepEqual(registered, { ok: false, exitCode: 32 });
  const message = texts.find((text) => text.includes("unhandled exception")) ?? assert.fail("no error text");
  assert.match(message, /the program failed/);
  assert.match(message, /index\.ts:2:\d+/, "the stack names the place");
});

test("process.exit in the middle is not success", async () => {
  const { outcome } = await run(`${imports} new random.RandomId("x", { byteLength: 1 }); process.exit(0);`);
  assert.equal(outcome.ok, false);
  assert.match(outcome.message ?? "", /non-zero exit code: 1|before all its resources/);
});

test("a program that runs out of memory: what to do about it", async () => {
  const { outcome } = await run("const all = []; for (;;) all.push(new Array(1e5).fill({}));", {
    runtimeOptions: { typescript: false, nodeargs: "--max-old-space-size=30" },
  });
  assert.equal(outcome.ok, false);
  assert.match(
    outcome.message ?? "",
    /Program was ended by SIGABRT\. Detected a possible out of memory error.*max-old-space-size/,
  );
});

test("an error that is only logged is not success either", async () => {
  const { outcome, registered, texts } = await run(`${imports} pulumi.log.error("logged only"); pulumi.log.info("for you");`);
  assert.equal(registered.ok, false);
  assert.equal(outcome.ok, false);
  assert.ok(texts.includes("logged only") && texts.includes("for you"));
});

test("what the program prints comes line by line", async () => {
  const { texts } = await run(`${imports} console.log("one\\ntwo"); process.stdout.write("no newline");`);
  assert.deepEqual(
    texts.filter((text) => ["one", "two", "no newline"].includes(text)),
    ["one", "two", "no newline"],
  );
});

test("functions, and functions that depend on what does not exist yet", async () => {
  const program = `${imports} import * as command from "@pulumi/command";
    const id = new random.RandomId("id", { byteLength: 1 });
    export const plain = command.local.runOutput({ command: "echo" }).stdout;
    export const later = command.local.runOutput({ command: "echo" }, { dependsOn: [id] }).stdout;
    export const got = random.RandomUuid.get("got", "11111111-2222-3333-4444-555555555555").result;`;
  const answer = (): PropertyMap => ({ stdout: secret("ran") });
  const real = await run(program, {}, { answer });
  assert.deepEqual(real.stackOutputs, {
    plain: secret("ran"),
    later: secret("ran"),
    got: "11111111-2222-3333-4444-555555555555",
  });
  assert.equal(real.sink.invokes.length, 2);
  assert.deepEqual(
    real.sink.reads.map((read) => read.id),
    ["11111111-2222-3333-4444-555555555555"],
  );
  const preview = await run(program, { dryRun: true }, { answer });
  assert.equal(preview.stackOutputs.later, unknown);
  assert.equal(preview.sink.invokes.length, 1);
  assert.ok(isSecret(preview.stackOutputs.plain));
});

test("a package that is asked for by config has no default provider", async () => {
  const { outcome, texts } = await run(`${imports} new random.RandomId("x", { byteLength: 1 });`, {
    config: { "pulumi:disable-default-providers": '["random"]' },
  });
  assert.equal(outcome.ok, false);
  assert.ok(texts.some((text) => text.includes("Default provider for 'random' disabled.")));
});

test("transforms run from the inside out: the resource's own, its parents', the stack's", async () => {
  const { goal, outcome } = await run(
    `${imports}
    const add = (mark) => (args) => {
      args.props.prefix = pulumi.output(args.props.prefix).apply((prefix) => (prefix ?? "") + mark);
      return { props: args.props, opts: args.opts };
    };
    pulumi.runtime.registerResourceTransform(add("-stack"));
    class Box extends pulumi.ComponentResource {
      constructor(name, opts) { super("demo:index:Box", name, {}, opts); }
    }
    const first = new random.RandomId("first", { byteLength: 1 });
    const box = new Box("box", { transforms: [add("-parent")] });
    new random.RandomPet("pet", { prefix: first.hex, separator: pulumi.secret("s") }, {
      parent: box,
      transforms: [add("-own"), (args) => ({ props: { ...args.props, length: 3 }, opts: { ...args.opts, protect: true } })],
    });
    pulumi.runtime.registerInvokeTransform((args) => ({ args: { ...args.args, stdin: "changed" }, opts: args.opts }));`,
    {},
    { outputsOf: (goal) => ({ ...goal.properties, hex: "ab" }) },
  );
  assert.equal(outcome.ok, true);
  const pet = goal("pet");
  assert.equal(pet.properties.prefix, "ab-own-parent-stack");
  assert.deepEqual(pet.properties.separator, secret("s"));
  assert.equal(pet.properties.length, 3);
  assert.equal(pet.protect, true);
  const firstUrn = "urn:pulumi:dev::demo::random:index/randomId:RandomId::first";
  // The Node SDK's transforms forget which property depends on what; the resource's own list stays.
  assert.deepEqual(pet.propertyDependencies.prefix, []);
  assert.ok(pet.dependencies.includes(firstUrn));
});

test("a transform of functions changes their arguments", async () => {
  const { sink } = await run(`${imports} import * as command from "@pulumi/command";
    pulumi.runtime.registerInvokeTransform((args) => ({ args: { ...args.args, stdin: "changed" }, opts: args.opts }));
    export const out = command.local.runOutput({ command: "cat" }).stdout;`);
  assert.deepEqual(sink.invokes[0]?.args, { command: "cat", stdin: "changed" });
});

test("hooks of the program are run by name, and may fail or only warn", async () => {
  const options = await folder.write(`${imports}
    const say = (text) => async (args) => { console.log(text + " " + args.name + " " + JSON.stringify(args.newInputs)); };
    const fine = new pulumi.ResourceHook("fine", say("fine"));
    const bad = new pulumi.ResourceHook("bad", async () => { throw new Error("bad hook"); });
    const again = new pulumi.ErrorHook("again", async (args) => args.errors[0] === "retry me");
    new random.RandomId("x", { byteLength: 1 }, { hooks: { beforeCreate: [fine], afterCreate: [bad], onError: [again] } });`);
  const events: EngineEvent[] = [];
  const sink = createMemorySink({ stack: "dev", project: "demo" });
  const source = await startSource(options, { sink, runProgram, emit: (event) => events.push(event) });
  await source.registered;
  const hooks = sink.goals.find((goal) => goal.name === "x")?.hooks;
  assert.deepEqual(hooks, { beforeCreate: ["fine"], afterCreate: ["bad"], onError: ["again"] });
  const call = {
    urn: "urn:pulumi:dev::demo::random:index/randomId:RandomId::x",
    name: "x",
    type: "random:index/randomId:RandomId",
  };
  await source.hooks.run("beforeCreate", ["fine"], { ...call, newInputs: { byteLength: 1 } });
  await assert.rejects(source.hooks.run("afterCreate", ["bad"], call), /after hook "bad" failed: .*bad hook/);
  await assert.rejects(source.hooks.run("afterCreate", ["none"], call), /hook "none" was not registered/);
  assert.equal(await source.hooks.runError(["again"], call, "create", ["retry me"]), true);
  assert.equal(await source.hooks.runError(["again"], call, "create", ["final"]), false);
  assert.deepEqual(await source.finish(), { ok: true, exitCode: 0 });
  assert.ok(events.some((event) => "message" in event && event.message === 'fine x {"byteLength":1}'));
});
