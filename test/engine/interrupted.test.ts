/** Creations that nobody saw end, where the provider can look what became of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProviderError } from "../../engine/providers/provider.ts";
import { createTestStack, type TestStack, thingProgram, urnOf } from "../support/test-deployment.ts";

/** Its provider notes what it is asked to undo. */
function createStack(refuses: () => boolean = () => false): { stack: TestStack; undone: string[] } {
  const stack = createTestStack();
  const undone: string[] = [];
  const { load } = stack.cloud.host;
  stack.cloud.host.load = async (pkg, version, log) => ({
    ...(await load(pkg, version, log)),
    async undoCreate({ urn, again, known }) {
      if (refuses()) throw new ProviderError("failed", "not reachable");
      undone.push(`${urn.split("::").at(-1)}${again ? " again" : ""}${known.length > 0 ? ` (${known.length} known)` : ""}`);
    },
  });
  return { stack, undone };
}

/** As a kill leaves it. */
function interrupt(stack: TestStack, name: string): void {
  const provider = stack.snapshot.resources.find(({ type }) => type === "pulumi:providers:fake") ?? assert.fail("no provider");
  const resource = {
    urn: urnOf(name),
    type: "fake:index:Thing",
    custom: true,
    inputs: {},
    provider: `${provider.urn}::${provider.id}`,
  };
  stack.snapshot = {
    ...stack.snapshot,
    pendingOperations: [...stack.snapshot.pendingOperations, { resource, type: "creating" }],
  };
}

test("what is in the way is taken away, and once it is created again nothing is on record", async () => {
  const { stack, undone } = createStack();
  await stack.run(thingProgram({ a: {} }));
  for (const _ of ["killed", "killed again"]) interrupt(stack, "b");
  const run = await stack.run(thingProgram({ a: {}, b: {} }));
  assert.ok(run.ok);
  assert.match(run.warnings[0] ?? "", /b, interrupted while creating\n.*there is nothing to do by hand\.$/);
  assert.deepEqual(undone, ["b again (1 known)", "b again (1 known)"]);
  assert.deepEqual(run.steps, ["same a", "create b"]);
  assert.deepEqual(stack.pending(), []);
});

test("what nobody wants any more is taken away before deletions, in an update and in a destroy", async () => {
  const { stack, undone } = createStack();
  await stack.run(thingProgram({ a: {} }));
  interrupt(stack, "b");
  await stack.run(thingProgram({ a: {} }));
  assert.deepEqual(undone.splice(0), ["b again (1 known)", "b (1 known)"]);
  assert.deepEqual(stack.pending(), []);
  interrupt(stack, "b");
  interrupt(stack, "a");
  const run = await stack.run(undefined);
  assert.ok(run.ok);
  assert.deepEqual(undone, ["a again (1 known)", "b (1 known)"]);
  assert.deepEqual(stack.snapshot.resources, []);
  assert.deepEqual(stack.pending(), []);
});

test("where the provider cannot look it stays on record, and a preview touches nothing", async () => {
  let refuses = true;
  const { stack, undone } = createStack(() => refuses);
  await stack.run(thingProgram({ a: {} }));
  interrupt(stack, "b");
  const run = await stack.run(thingProgram({ a: {} }));
  assert.ok(run.warnings.some((text) => text === "What an interrupted creation left could not be taken away: not reachable"));
  assert.deepEqual(stack.pending(), [`creating ${urnOf("b")}`]);
  refuses = false;
  await stack.run(thingProgram({ a: {} }), { dryRun: true });
  assert.deepEqual(undone, []);
  await stack.run(thingProgram({ a: {} }));
  assert.deepEqual(stack.pending(), []);
});

test("a creation whose connection was lost stays on record until the next update has looked", async () => {
  const { stack, undone } = createStack();
  stack.cloud.before = ({ method, request }) => {
    if (method === "create" && !("preview" in request))
      throw new ProviderError("failed", "connection lost", { unfinished: true });
  };
  const lost = await stack.run(thingProgram({ a: {} }));
  assert.deepEqual(lost.errors, ["connection lost", "update failed"]);
  assert.deepEqual(stack.pending(), [`creating ${urnOf("a")}`]);
  stack.cloud.before = undefined;
  const run = await stack.run(thingProgram({ a: {} }));
  assert.ok(run.ok);
  assert.deepEqual(undone, ["a again"]);
  assert.deepEqual(stack.pending(), []);
});

test("what was interrupted while it was updated is updated, even where it is wanted as it was", async () => {
  const { stack } = createStack();
  await stack.run(thingProgram({ a: {}, b: {} }));
  const resource = stack.snapshot.resources.find(({ urn }) => urn === urnOf("a")) ?? assert.fail("no a");
  stack.snapshot = { ...stack.snapshot, pendingOperations: [{ resource, type: "updating" }] };
  const run = await stack.run(thingProgram({ a: {}, b: {} }));
  assert.deepEqual(run.steps, ["update a", "same b"]);
  assert.deepEqual((await stack.run(thingProgram({ a: {}, b: {} }))).steps, ["same a", "same b"]);
});
