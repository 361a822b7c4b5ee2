/** What single options of a resource and of a deployment do, on the fake cloud. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUrn, type Urn } from "../../engine/resource.ts";
import type { Goal, HookRunner } from "../../engine/source.ts";
import { type PropertyMap, unknown } from "../../engine/values.ts";
import type { Program, Registering } from "../support/scripted-source.ts";
import { createTestStack, thingProgram, urnOf } from "../support/test-deployment.ts";

const names = (resources: { urn: string }[]) => resources.map(({ urn }) => parseUrn(urn).name);

type ThingOptions = Partial<Goal> & { v?: PropertyMap };
type Things = (name: string, options?: ThingOptions) => Promise<Urn>;

/** A program of custom resources of one provider. */
function things(body: (thing: Things, registering: Registering, reference: string) => Promise<void>): Program {
  return async (registering) => {
    const provider = await registering.register({ type: "pulumi:providers:fake", name: "default_1_0_0" });
    const reference = `${provider.urn}::${provider.id}`;
    const thing: Things = async (name, { v = {}, ...options } = {}) =>
      (await registering.register({ type: "fake:index:Thing", name, provider: reference, properties: v, ...options })).urn;
    await body(thing, registering, reference);
  };
}

test("a renamed parent brings its children along", async () => {
  const stack = createTestStack();
  const program = (name: string, aliases: Goal["aliases"]) =>
    things(async (thing, { register, outputs }) => {
      const { urn: parent } = await register({ type: "demo:index:Box", name, custom: false, aliases });
      await outputs(parent, {});
      const child = await thing(`${name}-child`, { parent });
      await thing("user", { dependencies: [child], propertyDependencies: { v: [child] }, v: { v: 1 } });
    });
  await stack.run(program("box", []));
  const run = await stack.run(program("chest", [{ name: "box" }]));
  assert.deepEqual(stack.cloud.changes(), []);
  assert.deepEqual(run.changes, { same: 3 });
  const child = "urn:pulumi:dev::test::demo:index:Box$fake:index:Thing::chest-child";
  assert.deepEqual(stack.snapshot.resources.at(-1)?.dependencies, [child]);
  assert.ok(!JSON.stringify(stack.snapshot).includes("::box"));
});

test("two resources of one URN are refused", async () => {
  const stack = createTestStack();
  const run = await stack.run(
    things(async (thing) => {
      await thing("a");
      await thing("a");
    }),
  );
  assert.ok(!run.ok);
  assert.deepEqual(run.errors, [`Duplicate resource URN '${urnOf("a")}'; try giving it a unique name`]);
});

test("inputs that the provider refuses end the deployment", async () => {
  const stack = createTestStack();
  const run = await stack.run(thingProgram({ a: { invalid: true } }));
  assert.deepEqual(run.errors, ["fake:index:Thing resource 'a': property invalid value {true} has a problem: is set"]);
  assert.ok(!run.ok);
});

test("ignored changes keep the old values", async () => {
  const stack = createTestStack();
  const program = (n: number) =>
    things(async (thing) => void (await thing("a", { v: { map: { x: n, y: n } }, ignoreChanges: ["map.x"] })));
  await stack.run(program(1));
  await stack.run(program(2));
  assert.deepEqual(stack.snapshot.resources[1]?.inputs, { map: { x: 1, y: 2 } });
});

test("replaceOnChanges turns an update into a replacement; replaceWith and deletedWith follow", async () => {
  const stack = createTestStack();
  const program = (n: number) =>
    things(async (thing) => {
      const a = await thing("a", { v: { n }, replaceOnChanges: ["n"] });
      await thing("with", { replaceWith: [a], dependencies: [a] });
      await thing("inside", { deletedWith: a });
    });
  await stack.run(program(1));
  const run = await stack.run(program(2));
  assert.deepEqual(run.changes, { replace: 3 });
  assert.deepEqual(stack.cloud.changes().sort(), ["create a", "create inside", "create with", "delete a", "delete with"]);
});

test("a changed replacement trigger replaces", async () => {
  const stack = createTestStack();
  const program = (replacementTrigger: string) => things(async (thing) => void (await thing("a", { replacementTrigger })));
  await stack.run(program("1"));
  assert.deepEqual((await stack.run(program("1"))).changes, { same: 1 });
  assert.deepEqual((await stack.run(program("2"))).changes, { replace: 1 });
});

test("protected resources are neither replaced nor deleted; retained ones stay in the cloud", async () => {
  const stack = createTestStack();
  const program = (n: number) =>
    things(async (thing) => {
      await thing("kept", { protect: true, v: { replace: n } });
      if (n === 1) await thing("retained", { retainOnDelete: true });
    });
  await stack.run(program(1));
  const run = await stack.run(program(2));
  assert.ok(!run.ok);
  assert.match(run.errors[0] ?? "", /unable to replace resource ".*kept"\nas it is currently marked for protection/);
  const destroyed = await stack.run(undefined);
  assert.match(destroyed.errors[0] ?? "", /kept" cannot be deleted\nbecause it is protected/);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "kept"]);
  assert.deepEqual(stack.cloud.changes(), []);
  assert.equal(stack.cloud.objects.size, 2);
});

test("imports what exists, reads what is not managed, and says what does not exist", async () => {
  const stack = createTestStack();
  stack.cloud.objects.set("there", { urn: "", inputs: { v: 1 } });
  const program = (importId: string) =>
    things(async (thing, { read }, provider) => {
      await thing("imported", { importId, v: { v: 1 } });
      const { outputs } = await read({ id: "there", type: "fake:index:Thing", name: "read", provider });
      assert.equal(outputs.out, "out of there");
    });
  const run = await stack.run(program("there"));
  assert.deepEqual(run.changes, { import: 1 });
  assert.deepEqual(stack.cloud.changes(), []);
  assert.deepEqual((await stack.run(program("there"))).changes, { same: 1 });
  const wrong = await stack.run(program("nowhere"));
  assert.deepEqual(wrong.errors.slice(0, 1), ["resource 'nowhere' does not exist"]);
});

test("operations on targets carry the rest over and refuse what needs more", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { v: 1 }, b: { v: 1 }, gone: {} }));
  const run = await stack.run(thingProgram({ a: { v: 2 }, b: { v: 2 } }), { targets: ["**::b"] });
  assert.deepEqual(stack.cloud.changes(), ["update b"]);
  assert.deepEqual(run.changes, { update: 1, same: 2 });
  const refused = await stack.run(thingProgram({ a: {}, new: {}, b: { from: "$new" } }), { targets: [urnOf("b")] });
  assert.match(refused.errors[0] ?? "", /b' depends on '.*new' which was was not specified in --target list/);
  const missing = await stack.run(thingProgram({ a: {} }), { targets: [urnOf("nothing")] });
  assert.match(missing.errors[0] ?? "", /Target '.*nothing' could not be found in the stack/);
});

test("a targeted destroy names dependents that would go too, and takes them along where asked", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: {}, b: { from: "$a" }, c: {} }));
  const refused = await stack.run(undefined, { targets: ["**::a"] });
  assert.match(refused.errors[0] ?? "", /b' will be destroyed but was not specified in --target list/);
  assert.equal(stack.cloud.objects.size, 3);
  const run = await stack.run(undefined, { targets: ["**::a"], targetDependents: true });
  assert.ok(run.ok);
  assert.deepEqual(stack.cloud.changes(), ["delete b", "delete a"]);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "c"]);
});

test("--replace replaces what it names", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: {}, b: {} }));
  assert.deepEqual((await stack.run(thingProgram({ a: {}, b: {} }), { replaceTargets: ["**::a"] })).changes, {
    replace: 1,
    same: 1,
  });
});

test("a refresh takes over what changed outside and forgets what is gone", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { v: 1 }, b: { from: "$a" }, c: {} }));
  const [, a, , c] = stack.snapshot.resources;
  stack.cloud.objects.delete(a?.id ?? "");
  stack.cloud.objects.set(c?.id ?? "", { urn: "", inputs: { v: 5 } });
  const preview = await stack.run(undefined, { kind: "refresh", refresh: true, dryRun: true });
  assert.deepEqual(preview.changes, { delete: 1, same: 1, update: 1 });
  const run = await stack.run(undefined, { kind: "refresh", refresh: true });
  assert.deepEqual(run.changes, { delete: 1, same: 1, update: 1 });
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "b", "c"]);
  assert.equal(stack.snapshot.resources[1]?.dependencies, undefined);
  assert.deepEqual(stack.snapshot.resources[2]?.inputs, { v: 5 });
  const up = await stack.run(thingProgram({ a: { v: 1 }, b: { from: "$a" }, c: {} }), { refresh: true });
  assert.deepEqual(up.changes, { create: 1, update: 2 });
});

test("a provider whose configuration asks for it takes its resources along", async () => {
  const stack = createTestStack();
  const program =
    (region: string): Program =>
    async ({ register }) => {
      const provider = await register({ type: "pulumi:providers:fake", name: "mine", properties: { region } });
      await register({ type: "fake:index:Thing", name: "a", provider: `${provider.urn}::${provider.id}` });
    };
  await stack.run(program("x"));
  assert.deepEqual((await stack.run(program("x"))).changes, { same: 2 });
  const run = await stack.run(program("y"));
  assert.deepEqual(run.changes, { replace: 2 });
  assert.equal(stack.cloud.objects.size, 1);
});

test("a provider whose configuration is not known yet is not called in a preview", async () => {
  const stack = createTestStack();
  const run = await stack.run(
    async ({ register }) => {
      const provider = await register({ type: "pulumi:providers:fake", name: "mine", properties: { region: unknown } });
      await register({ type: "fake:index:Thing", name: "a", provider: `${provider.urn}::${provider.id}` });
    },
    { dryRun: true },
  );
  assert.deepEqual(run.changes, { create: 2 });
  assert.deepEqual(stack.cloud.calls, []);
});

test("hooks run around steps; an error hook may ask for another attempt", async () => {
  const stack = createTestStack();
  const ran: string[] = [];
  const hooks: HookRunner = {
    run: async (type, called, { urn }) => void ran.push(`${type} ${called.join()} ${parseUrn(urn).name}`),
    async runError(_names, _call, operation, errors) {
      stack.cloud.failing.clear();
      ran.push(`error ${operation} ${errors.length}`);
      return true;
    },
  };
  stack.cloud.failing.add("a");
  const program = things(async (thing) => {
    await thing("a", { hooks: { beforeCreate: ["x"], afterCreate: ["y"], onError: ["z"] } });
  });
  const run = await stack.run(program, { hooks });
  assert.ok(run.ok);
  assert.deepEqual(ran, ["beforeCreate x a", "error create 1", "afterCreate y a"]);

  const late = createTestStack();
  const failing: HookRunner = {
    run: async (type) => {
      if (type === "afterCreate") throw new Error('after hook "y" failed: no');
    },
    runError: async () => false,
  };
  const failed = await late.run(program, { hooks: failing });
  assert.ok(!failed.ok);
  assert.deepEqual(failed.errors, ['after hook "y" failed: no', "update failed"]);
  assert.deepEqual(names(late.snapshot.resources), ["default_1_0_0", "a"]);
});

test("a program that fails deletes nothing", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: {} }));
  const run = await stack.run(async () => {
    throw new Error("the program failed");
  });
  assert.deepEqual(run.errors, ["the program failed"]);
  assert.deepEqual(stack.cloud.changes(), []);
});

test("outputs of the stack are kept where a failed program did not say them again", async () => {
  const stack = createTestStack();
  const program =
    (outputs: PropertyMap, fail: boolean): Program =>
    async (registering) => {
      const { urn } = await registering.register({ type: "pulumi:pulumi:Stack", name: "test-dev", custom: false });
      await registering.outputs(urn, outputs);
      if (fail) throw new Error("no");
    };
  await stack.run(program({ a: 1, b: 1 }, false));
  await stack.run(program({ b: 2 }, true));
  assert.deepEqual(stack.snapshot.resources[0]?.outputs, { a: 1, b: 2 });
  await stack.run(program({ b: 3 }, false));
  assert.deepEqual(stack.snapshot.resources[0]?.outputs, { b: 3 });
});
