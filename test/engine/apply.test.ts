/** Deployments of scripted programs: what is done to the cloud and what the state holds afterwards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUrn } from "../../engine/resource.ts";
import { isSecret, secret } from "../../engine/values.ts";
import { createTestStack, thingProgram, urnOf } from "../support/test-deployment.ts";

const names = (resources: { urn: string; delete?: boolean }[]) =>
  resources.map(({ urn, delete: old }) => parseUrn(urn).name + (old ? " (old)" : ""));

test("creates, leaves alone, updates, deletes", async () => {
  const stack = createTestStack();
  const first = await stack.run(thingProgram({ a: { v: 1 }, b: { from: "$a" } }));
  assert.deepEqual(first.steps, ["create a", "create b"]);
  assert.deepEqual(first.changes, { create: 2 });
  assert.ok(first.ok);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "a", "b"]);
  assert.equal(stack.snapshot.resources[2]?.inputs?.from, `out of ${stack.snapshot.resources[1]?.id}`);

  const second = await stack.run(thingProgram({ a: { v: 1 }, b: { from: "$a" } }));
  assert.deepEqual(second.changes, { same: 2 });
  assert.deepEqual(stack.cloud.changes(), []);
  assert.equal(second.saves.length, 1, "nothing changed, so there is one write at the end");

  const third = await stack.run(thingProgram({ a: { v: 2 } }));
  assert.deepEqual(third.changes, { update: 1, delete: 1 });
  assert.deepEqual(stack.cloud.changes(), ["update a", "delete b"]);

  await stack.run(undefined);
  assert.deepEqual(stack.snapshot.resources, []);
  assert.equal(stack.cloud.objects.size, 0);
});

test("creates the replacement first and deletes the old half at the end", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { replace: 1 }, b: { from: "$a" } }));
  const run = await stack.run(thingProgram({ a: { replace: 2 }, b: { from: "$a" } }));
  assert.deepEqual(run.steps, ["create-replacement a", "replace a", "update b", "delete-replaced a"]);
  assert.deepEqual(run.changes, { replace: 1, update: 1 });
  assert.deepEqual(stack.cloud.changes(), ["create a", "update b", "delete a"]);
  assert.ok(run.saves.some(({ resources }) => names(resources).includes("a (old)")));
});

test("deletes first where asked, with the dependents that would be replaced", async () => {
  const stack = createTestStack();
  const program = (first: number) => thingProgram({ a: { first }, b: { replace: "$a" }, c: { from: "$b" }, d: { v: 1 } });
  await stack.run(program(1));
  const run = await stack.run(program(2));
  assert.deepEqual(stack.cloud.changes(), ["delete b", "delete a", "create a", "create b", "update c"]);
  assert.deepEqual(run.changes, { replace: 2, update: 1, same: 1 });
  assert.ok(run.saves.some(({ resources }) => resources.some(({ pendingReplacement }) => pendingReplacement)));
  assert.ok(!stack.snapshot.resources.some(({ pendingReplacement }) => pendingReplacement));
});

test("a preview asks and changes nothing", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { replace: 1 }, b: { from: "$a" }, gone: {} }));
  const run = await stack.run(thingProgram({ a: { replace: 2 }, b: { from: "$a" }, c: { from: "$b" } }), { dryRun: true });
  assert.deepEqual(run.changes, { replace: 1, update: 1, create: 1, delete: 1 });
  assert.deepEqual(stack.cloud.changes(), []);
});

test("after a failure what runs is finished and nothing is begun", async () => {
  const stack = createTestStack();
  const run = await stack.run(thingProgram({ a: {}, b: { fail: "create" }, c: {} }));
  assert.ok(!run.ok);
  assert.deepEqual(run.errors, ["create failed as asked", "update failed"]);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "a"]);
  assert.deepEqual(stack.snapshot.pendingOperations, []);
  const repaired = await stack.run(thingProgram({ a: {}, b: {}, c: {} }));
  assert.deepEqual(repaired.changes, { same: 1, create: 2 });
});

test("with continueOnError independent work goes on and dependents are left out", async () => {
  const stack = createTestStack();
  const run = await stack.run(
    async (program) => {
      const provider = await program.register({ type: "pulumi:providers:fake", name: "default_1_0_0" });
      const reference = `${provider.urn}::${provider.id}`;
      const thing = (name: string, more: object) =>
        program.register({ type: "fake:index:Thing", name, provider: reference, ...more });
      const bad = await thing("bad", { properties: { fail: "create" } });
      assert.equal(bad.result, "fail");
      const dependent = await thing("dependent", { dependencies: [bad.urn] });
      assert.equal(dependent.result, "skip");
      const further = await thing("further", { dependencies: [dependent.urn] });
      assert.equal(further.result, "skip");
      assert.equal((await thing("other", {})).result, "success");
    },
    { continueOnError: true },
  );
  assert.ok(!run.ok);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "other"]);
});

test("a resource that is there but not ready is kept, and the next update waits for it again", async () => {
  const stack = createTestStack();
  const run = await stack.run(thingProgram({ a: { partial: "create" } }));
  assert.ok(!run.ok);
  assert.deepEqual(stack.snapshot.resources[1]?.initErrors, ["not ready"]);
  const again = await stack.run(thingProgram({ a: {} }));
  assert.deepEqual(again.changes, { update: 1 });
  assert.equal(stack.snapshot.resources[1]?.initErrors, undefined);
});

test("operations of an interrupted run are reported; only creations stay on record", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: {} }));
  const [, resource] = stack.snapshot.resources;
  assert.ok(resource);
  stack.snapshot = {
    ...stack.snapshot,
    pendingOperations: [
      { resource: { urn: urnOf("lost"), type: "fake:index:Thing", custom: true }, type: "creating" },
      { resource, type: "updating" },
    ],
  };
  const run = await stack.run(thingProgram({ a: {} }));
  assert.match(run.warnings[0] ?? "", /2 pending operations from previous deployment/);
  assert.match(run.warnings[0] ?? "", /lost, interrupted while creating\n {2}\* .*a, interrupted while updating/);
  assert.deepEqual(stack.pending(), [`creating ${urnOf("lost")}`]);
});

test("old halves that an earlier run left are deleted", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { replace: 1, fail: "delete" } }));
  const failed = await stack.run(thingProgram({ a: { replace: 2 } }));
  assert.ok(!failed.ok);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "a", "a (old)"]);
  const old = stack.snapshot.resources[2];
  assert.ok(old?.inputs);
  old.inputs = { replace: 1 };
  const run = await stack.run(thingProgram({ a: { replace: 2 } }));
  assert.deepEqual(run.steps, ["same a", "delete-replaced a"]);
  assert.equal(stack.cloud.objects.size, 1);
});

test("a replacement that was deleted but not created is created by the next run", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ a: { first: 1 } }));
  const failed = await stack.run(thingProgram({ a: { first: 2, fail: "create" } }));
  assert.ok(!failed.ok);
  assert.ok(stack.snapshot.resources[1]?.pendingReplacement);
  const run = await stack.run(thingProgram({ a: { first: 2 } }));
  assert.deepEqual(stack.cloud.changes(), ["create a"]);
  assert.ok(run.ok);
  assert.equal(stack.cloud.objects.size, 1);
});

test("a provider without secrets gets clear inputs; what held one is secret in inputs and outputs", async () => {
  const stack = createTestStack();
  await stack.run(async ({ register }) => {
    const provider = await register({ type: "pulumi:providers:clear", name: "default_1_0_0" });
    const properties = { token: secret("t"), list: ["x", secret("y")], map: { inner: secret("z"), open: 1 }, plain: "p" };
    const result = await register({
      type: "clear:index:Thing",
      name: "a",
      provider: `${provider.urn}::${provider.id}`,
      properties,
      additionalSecretOutputs: ["out"],
    });
    assert.ok(isSecret(result.outputs.token));
  });
  const { inputs = {}, outputs = {} } = stack.snapshot.resources[1] ?? {};
  assert.deepEqual(inputs.map, { inner: secret("z"), open: 1 });
  assert.deepEqual(inputs.list, secret(["x", "y"]));
  for (const key of ["token", "list", "out"]) assert.ok(isSecret(outputs[key]), `${key} is secret in the outputs`);
  assert.equal(outputs.plain, "p");
});

test("an interrupt lets running steps finish; nothing is begun and nothing deleted", async () => {
  const stack = createTestStack();
  await stack.run(thingProgram({ gone: {} }));
  const stop = new AbortController();
  stack.cloud.before = ({ method }) => {
    if (method === "create") stop.abort();
  };
  const run = await stack.run(thingProgram({ a: {}, b: {} }), { stop: stop.signal });
  assert.ok(run.cancelled && !run.ok);
  assert.deepEqual(run.errors, ["update canceled"]);
  assert.deepEqual(names(stack.snapshot.resources), ["default_1_0_0", "a", "gone"]);
});

test("a second interrupt ends at once and leaves on record what was under way", async () => {
  const stack = createTestStack();
  const terminate = new AbortController();
  stack.cloud.before = async ({ method }, signal) => {
    if (method !== "create") return;
    assert.deepEqual(stack.pending(), [`creating ${urnOf("a")}`]);
    terminate.abort();
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("given up"))));
  };
  const run = await stack.run(thingProgram({ a: {} }), { terminate: terminate.signal });
  assert.ok(run.cancelled);
  assert.deepEqual(stack.pending(), [`creating ${urnOf("a")}`]);
});
