/**
 * Three hundred generated programs through several versions each, with previews, failures and options: what must hold for
 * every plan. A failure names its seed; GENERATED_SEED runs that one alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUrn, type ResourceState, type Snapshot } from "../../engine/resource.ts";
import { isSecret } from "../../engine/values.ts";
import { changeSpecs, createRandom, generateSpecs, programOf, type Random, type Spec } from "../support/program-generator.ts";
import { createTestStack, neededUrns, type TestRun, type TestStack } from "../support/test-deployment.ts";

const seeds = process.env.GENERATED_SEED ? [Number(process.env.GENERATED_SEED)] : Array.from({ length: 300 }, (_, n) => n + 1);

test(`${seeds.length} generated programs`, { timeout: 60_000 }, async () => {
  for (const seed of seeds) {
    try {
      await live(createRandom(seed));
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      assert.fail(`seed ${seed} (GENERATED_SEED=${seed}): ${text}`);
    }
  }
});

/** The life of one stack: versions of a program with failures in between, then quiet, then its end. */
async function live(random: Random): Promise<void> {
  const stack = createTestStack();
  stack.cloud.objects.set("outside", { urn: "", inputs: {} });
  watch(stack);
  let specs = generateSpecs(random);
  for (let version = 0; version < 3; version++) {
    if (version > 0) specs = changeSpecs(random, specs);
    for (const { importId } of specs) {
      if (importId && !knows(stack.snapshot, importId)) stack.cloud.objects.set(importId, { urn: "", inputs: { a: 1 } });
    }
    if (random.chance(50)) await preview(stack, specs);
    if (random.chance(40)) {
      for (const { name } of specs) if (random.chance(20)) stack.cloud.failing.add(name);
      await run(stack, specs, { continueOnError: random.chance(50) });
      stack.cloud.failing.clear();
    }
    await settle(stack, specs);
    if (random.chance(20)) await run(stack, specs, { refresh: true });
  }
  const again = await run(stack, specs);
  assert.ok(again.ok, `the second update failed: ${again.errors.join("; ")}`);
  assert.deepEqual(stack.cloud.changes(), [], "the second update changed something");
  checkSecrets(stack.snapshot, specs);
  await destroy(stack);
}

const knows = (snapshot: Snapshot, id: string): boolean => snapshot.resources.some((state) => state.importID === id);

async function preview(stack: TestStack, specs: Spec[]): Promise<void> {
  await stack.run(programOf(specs), { dryRun: true });
  assert.deepEqual(stack.cloud.changes(), [], "a preview changed something");
}

async function run(stack: TestStack, specs: Spec[], options: object = {}): Promise<TestRun> {
  const before = stack.snapshot;
  const result = await stack.run(programOf(specs), options);
  checkOrder(stack, before, result);
  return result;
}

/** Runs until it succeeds: what is protected is released where it stands in the way. */
async function settle(stack: TestStack, specs: Spec[]): Promise<void> {
  for (let attempt = 0; attempt < 8; attempt++) {
    const result = await run(stack, specs);
    if (result.ok) return;
    const text = result.errors.join("\n");
    assert.match(text, /protect|previously-imported/, `failed without a reason: ${text}`);
    unprotect(stack, specs);
    for (const spec of specs) if (text.includes("previously-imported")) delete spec.importId;
  }
  assert.fail("never succeeds");
}

function unprotect(stack: TestStack, specs: Spec[]): void {
  for (const spec of specs) delete spec.options.protect;
  const resources = stack.snapshot.resources.map(({ protect: _, ...state }): ResourceState => state);
  stack.snapshot = { ...stack.snapshot, resources };
}

async function destroy(stack: TestStack): Promise<void> {
  const before = stack.snapshot;
  const stays = new Set<string>();
  for (const state of before.resources) {
    if (state.retainOnDelete || state.external || state.deletedWith) stays.add(state.id ?? "");
  }
  const isProtected = before.resources.some(({ protect }) => protect);
  const first = await stack.run(undefined);
  checkOrder(stack, before, first);
  assert.equal(first.ok, !isProtected, first.errors.join("; "));
  if (isProtected) {
    unprotect(stack, []);
    assert.ok((await stack.run(undefined)).ok);
  }
  assert.deepEqual(stack.snapshot.resources, [], "a destroy left something in the state");
  for (const [id, { urn }] of stack.cloud.objects) {
    const explained = stays.has(id) || abandoned.has(id) || id === "outside" || id.startsWith("existing-");
    assert.ok(explained, `${urn} ${id} was left in the cloud`);
  }
}

/** Ids that left the state without a deletion in the cloud, as their options say. */
const abandoned = new Set<string>();

/** Checks each call to the cloud as it comes in. */
function watch(stack: TestStack): void {
  stack.cloud.before = ({ method, urn, id, request }) => {
    if ("preview" in request || !["create", "update", "delete"].includes(method)) return;
    const verb = method === "delete" ? "deleting" : method === "create" ? "creating" : "updating";
    assert.ok(stack.pending().includes(`${verb} ${urn}`), `${method} of ${urn} was not on record before`);
    if (method !== "delete") return;
    const state = stack.snapshot.resources.find((candidate) => candidate.id === id);
    assert.ok(state, `${urn} ${id} is deleted but was not in the state`);
    assert.ok(!state.retainOnDelete, `${urn} is to be retained`);
    assert.ok(!state.external, `${urn} is not managed`);
    const replaced = state.delete || stack.snapshot.pendingOperations.length > 0;
    assert.ok(!state.protect || replaced, `${urn} is protected`);
  };
}

function checkOrder(stack: TestStack, before: Snapshot, { events }: TestRun): void {
  const created = new Map<string, number>();
  const removed: { state: ResourceState; at: number }[] = [];
  const early = new Set<string>();
  events.forEach((event, at) => {
    if (event.kind !== "resource-pre") return;
    const { op, urn, old } = event.step;
    if (op === "create" || op === "create-replacement") {
      created.set(urn, at);
      for (const needed of event.step.new ? neededUrns(event.step.new) : []) {
        const begun = created.get(needed);
        assert.ok(begun === undefined || begun < at, `${urn} was created before ${needed}`);
      }
    }
    if (op === "delete" || (op === "delete-replaced" && old?.delete)) removed.push({ state: old ?? nothing, at });
    else if (op === "delete-replaced") early.add(urn);
    if ((op === "delete" || op === "delete-replaced") && (old?.retainOnDelete || old?.deletedWith)) abandoned.add(old.id ?? "");
    assert.ok(op !== "delete" || !old?.protect || failedProtected(events, urn), `${urn} is protected`);
  });
  const left = new Set(before.resources.filter((state) => state.delete).map(({ urn, id }) => `${urn} ${id}`));
  const wasLeft = ({ urn, id }: ResourceState) => left.has(`${urn} ${id}`);
  for (const dependent of removed) {
    for (const { state, at } of removed) {
      // What was the present one before cannot depend on the leftover half of an earlier run.
      if (state === dependent.state || wasLeft(state) !== wasLeft(dependent.state)) continue;
      if (state.urn === dependent.state.urn || !neededUrns(dependent.state).includes(state.urn)) continue;
      assert.ok(dependent.at < at, `${state.urn} was deleted before ${dependent.state.urn}, which depends on it`);
    }
  }
  for (const state of before.resources) {
    if (
      state.protect &&
      !state.delete &&
      !early.has(state.urn) &&
      state.custom &&
      !parseUrn(state.urn).type.startsWith("pulumi:")
    ) {
      const replaced = events.some(
        (event) => event.kind === "resource-pre" && event.step.op === "replace" && event.step.urn === state.urn,
      );
      const released = stack.snapshot.resources.some(({ urn, protect }) => urn === state.urn && !protect);
      const renamed = !stack.snapshot.resources.some(({ urn }) => urn === state.urn);
      assert.ok(
        stack.cloud.objects.has(state.id ?? "") || replaced || released || renamed,
        `${state.urn} is protected and gone`,
      );
    }
  }
}

const nothing: ResourceState = { urn: "", custom: false, type: "" };

const failedProtected = (events: TestRun["events"], urn: string): boolean =>
  events.some((event) => event.kind === "diagnostic" && event.urn === urn && event.message.includes("protected"));

function checkSecrets({ resources }: Snapshot, specs: Spec[]): void {
  for (const spec of specs) {
    const state = resources.find(({ urn, delete: old }) => !old && parseUrn(urn).name === spec.name);
    for (const key of spec.secrets) {
      if (spec.options.ignoreChanges.length > 0) continue;
      assert.ok(isSecret(state?.inputs?.[key]), `${spec.name}: input ${key} is not secret`);
      assert.ok(isSecret(state?.outputs?.[key]), `${spec.name}: output ${key} is not secret`);
    }
    if (spec.options.additionalSecretOutputs.includes("out")) assert.ok(isSecret(state?.outputs?.out), `${spec.name}: out`);
  }
}
