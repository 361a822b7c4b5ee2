/** The pure rules of a plan: diffs and options, aliases, targets, deletions, paths, marks. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { aliasUrns } from "../../engine/aliases.ts";
import { type Cell, createDependencyGraph } from "../../engine/dependency-graph.ts";
import { decide, isImport } from "../../engine/plan.ts";
import { planDeletions, scheduleDeletions } from "../../engine/plan-delete.ts";
import {
  applyReplaceOnChanges,
  invertDiff,
  isReplacement,
  resolveUnknownDiff,
  triggersReplacement,
} from "../../engine/plan-diff.ts";
import { annotateSecrets, deepEqual, dropEmptyContents, restoreAssets, toWire } from "../../engine/properties.ts";
import { parsePath, pathContains, printPath, resetIgnored } from "../../engine/property-path.ts";
import { makeUrn, type ResourceState } from "../../engine/resource.ts";
import { noDiff } from "../../engine/resource-operations.ts";
import { createNormaliser } from "../../engine/state-keeper.ts";
import { createTargets } from "../../engine/targets.ts";
import { type PropertyMap, secret, signatureKey, signatures, unknown } from "../../engine/values.ts";
import { emptyGoal } from "../support/scripted-source.ts";

const urn = (name: string, parent?: string) => makeUrn("dev", "test", parent, "fake:index:Thing", name);
const state = (name: string, more: Partial<ResourceState> = {}): ResourceState => ({
  urn: urn(name),
  custom: true,
  id: name,
  type: "fake:index:Thing",
  ...more,
});
const goal = { ...emptyGoal, type: "fake:index:Thing", name: "a" };
const some = { ...noDiff, changes: "some" as const };

describe("what is to be done after a diff", () => {
  test("no change is the same, a change an update, a replaced key a replacement", () => {
    assert.equal(decide(noDiff, goal, state("a"), false).op, "same");
    assert.equal(decide({ ...some, changedKeys: ["x"] }, goal, state("a"), false).op, "update");
    assert.equal(decide({ ...some, replaceKeys: ["x"] }, goal, state("a"), false).op, "replace");
    const detailed = { ...some, detailedDiff: { x: { kind: "UPDATE_REPLACE" as const } } };
    assert.equal(decide(detailed, goal, state("a"), false).op, "replace");
  });
  test("a failed initialisation is an update, or a replacement where #initerror is asked for", () => {
    const failed = state("a", { initErrors: ["no"] });
    assert.equal(decide(noDiff, goal, failed, false).op, "update");
    assert.equal(decide(noDiff, { ...goal, replaceOnChanges: ["#initerror"] }, failed, false).op, "replace");
  });
  test("a trigger and an unfinished replacement replace", () => {
    assert.equal(decide(some, goal, state("a"), true).op, "replace");
    assert.equal(decide(noDiff, goal, state("a", { pendingReplacement: true }), false).op, "replace");
  });
  test("replaceOnChanges covers what lies below its paths", () => {
    const diff = { ...some, changedKeys: ["env", "other"], detailedDiff: { "env.A": { kind: "ADD" as const }, other: {} } };
    const forced = applyReplaceOnChanges(diff, ["env"], false);
    assert.deepEqual(forced.replaceKeys, ["env"]);
    assert.deepEqual(forced.detailedDiff, { "env.A": { kind: "ADD_REPLACE" }, other: {} });
    assert.ok(!isReplacement(applyReplaceOnChanges(diff, ["triggers[*]"], false)));
    assert.ok(isReplacement(applyReplaceOnChanges(diff, ["*"], false)));
  });
  test("where the provider does not know, the inputs decide; secrets alone are no change", () => {
    const unsure = { ...noDiff, changes: "unknown" as const };
    assert.equal(resolveUnknownDiff(unsure, { a: 1 }, { a: secret(1) }).changes, "none");
    const changed = resolveUnknownDiff(unsure, { a: { b: 1 }, gone: 1 }, { a: { b: 2 }, new: [1] });
    assert.deepEqual(changed.changedKeys, ["a", "gone", "new"]);
    assert.deepEqual(changed.detailedDiff, {
      "a.b": { kind: "UPDATE", inputDiff: true },
      gone: { kind: "DELETE", inputDiff: true },
      new: { kind: "ADD", inputDiff: true },
    });
  });
  test("a refresh shows a diff from the other side", () => {
    const inverted = invertDiff({ ...some, detailedDiff: { a: {}, b: { kind: "DELETE_REPLACE" }, c: { kind: "UPDATE" } } });
    assert.deepEqual(inverted.detailedDiff, { a: { kind: "DELETE" }, b: { kind: "ADD_REPLACE" }, c: { kind: "UPDATE" } });
  });
  test("a trigger counts where it was and is there, or is unknown", () => {
    assert.ok(!triggersReplacement(undefined, "x"));
    assert.ok(!triggersReplacement("x", undefined));
    assert.ok(!triggersReplacement(secret("x"), "x"));
    assert.ok(triggersReplacement("y", "x"));
    assert.ok(triggersReplacement(unknown, undefined));
  });
  test("an import is due until the resource of that id is managed", () => {
    const wanted = { ...goal, importId: "i" };
    assert.ok(isImport(wanted, undefined));
    assert.ok(isImport(wanted, state("a", { id: "other" })));
    assert.ok(!isImport(wanted, state("a", { id: "i" })));
    assert.ok(!isImport(wanted, state("a", { id: "other", importID: "i" })));
    assert.ok(isImport(wanted, state("a", { id: "i", external: true })));
  });
});

describe("aliases", () => {
  const renamed = new Map([[urn("chest"), urn("box")]]);
  const scope = { stack: "dev", project: "test", usedAlias: (of: string) => renamed.get(of) };
  const resource = { name: "a", type: "fake:index:Thing", aliases: [] };
  test("parts that are not named are the resource's own", () => {
    const parent = makeUrn("dev", "test", undefined, "demo:index:Box", "p");
    const aliases = [{ name: "b" }, { type: "fake:index:Old" }, { stack: "prod" }, { noParent: true }, { urn: "given" }];
    assert.deepEqual(aliasUrns({ ...resource, parent, aliases }, scope), [
      "urn:pulumi:dev::test::demo:index:Box$fake:index:Thing::b",
      "urn:pulumi:dev::test::demo:index:Box$fake:index:Old::a",
      "urn:pulumi:prod::test::demo:index:Box$fake:index:Thing::a",
      "urn:pulumi:dev::test::fake:index:Thing::a",
      "given",
    ]);
  });
  test("children of a renamed parent were below its older name, and may have been named after it", () => {
    const parent = urn("chest");
    const nested = "urn:pulumi:dev::test::fake:index:Thing$fake:index:Thing";
    assert.deepEqual(aliasUrns({ ...resource, name: "chest-x", parent }, scope), [`${nested}::box-x`]);
    assert.deepEqual(aliasUrns({ ...resource, parent, aliases: [{ name: "b" }] }, scope), [`${nested}::b`, `${nested}::a`]);
  });
  test("what refers to an older URN is rewritten in the snapshot, and keeps its identity between snapshots", () => {
    const normalise = createNormaliser();
    const moved = state("new", { aliases: [urn("old")] });
    const user = state("user", { dependencies: [urn("old")], propertyDependencies: { v: [urn("old")], w: [] } });
    const other = state("other");
    const first = normalise([moved, user, other]);
    assert.deepEqual(first[0], state("new"));
    assert.deepEqual(first[1]?.dependencies, [urn("new")]);
    assert.deepEqual(first[1]?.propertyDependencies, { v: [urn("new")], w: [] });
    assert.equal(first[2], other);
    assert.equal(normalise([moved, user, other])[1], first[1]);
  });
});

test("targets are URNs, or globs within and across the parts of one", () => {
  const targets = createTargets([urn("a"), "**::b*", "urn:pulumi:dev::test::fake:*:Thing::c"]);
  for (const name of ["a", "b1", "c"]) assert.ok(targets.contains(urn(name)), name);
  assert.ok(!targets.contains(urn("d")));
  assert.ok(!targets.contains(urn("a1")));
  assert.ok(!createTargets(["fake.index"]).contains("fakeXindex"));
  assert.ok(createTargets([]).contains(urn("anything")));
});

describe("deletions", () => {
  const chain = [
    state("base"),
    state("mid", { dependencies: [urn("base")] }),
    state("leaf", { propertyDependencies: { v: [urn("mid")] } }),
    state("child", { parent: urn("base") }),
    state("half", { delete: true, dependencies: [urn("base")] }),
    state("begun", { pendingReplacement: true }),
    state("read", { external: true }),
  ];
  const cells = chain.map((one): Cell => ({ state: one }));
  const input = { cells, isTargeted: () => true, isOperatedOn: () => false, alreadyDeleted: new Set<Cell>() };
  const text = (steps: { op: string; urn: string }[]) => steps.map(({ op, urn: of }) => `${op} ${of.split("::").pop()}`);
  test("all that nobody registered goes, each in its way", () => {
    assert.deepEqual(text(planDeletions(input).deletions), [
      "delete base",
      "delete mid",
      "delete leaf",
      "delete child",
      "delete-replaced half",
      "remove-pending-replace begun",
      "read-discard read",
    ]);
    const { deletions } = planDeletions({ ...input, isOperatedOn: () => true });
    assert.deepEqual(text(deletions), ["delete-replaced half"]);
    const { deletions: none, sames } = planDeletions({ ...input, isTargeted: () => false });
    assert.equal(none.length, 0);
    assert.equal(sames.length, chain.length);
  });
  test("dependents go before what they depend on, children before parents", () => {
    const groups = scheduleDeletions(planDeletions(input).deletions, createDependencyGraph(cells)).map(text);
    assert.deepEqual(groups[0], ["delete leaf"]);
    assert.deepEqual(groups[1], ["delete mid", "delete child", "delete-replaced half"]);
    assert.ok(groups[2]?.includes("delete base"));
  });
});

describe("property paths", () => {
  test("are read and printed", () => {
    assert.deepEqual(parsePath('a.b[0]["c d"].*[*]'), ["a", "b", 0, "c d", "*", "*"]);
    assert.equal(printPath(["a", "b", 0, "c d", "e.f"]), 'a.b[0]["c d"]["e.f"]');
    for (const wrong of [".a", "a.", "a[", "a[x]", 'a["b']) assert.equal(parsePath(wrong), undefined, wrong);
    assert.ok(pathContains(["a", "*"], ["a", 3, "x"]));
    assert.ok(!pathContains(["a", "b"], ["a"]));
  });
  test("put back the old values of ignored changes, marks included", () => {
    const reset = (ignore: string[], now: PropertyMap, old: PropertyMap) => resetIgnored(now, old, ignore);
    assert.deepEqual(reset(["a"], { a: 2, b: 2 }, { a: 1, b: 1 }).inputs, { a: 1, b: 2 });
    assert.deepEqual(reset(["a"], { a: 2 }, {}).inputs, {});
    assert.deepEqual(reset(["a.x"], { a: { x: 2, y: 2 } }, { a: secret({ x: 1, y: 1 }) }).inputs, {
      a: { x: secret(1), y: 2 },
    });
    assert.deepEqual(reset(["*"], { a: 2, c: 3 }, { a: 1, b: 1 }).inputs, { a: 1, b: 1 });
    assert.deepEqual(reset(["l[*].n"], { l: [{ n: 2 }] }, { l: [{ n: 1 }] }).inputs, { l: [{ n: 1 }] });
    assert.deepEqual(reset(["l[1]"], { l: [1] }, { l: [1, 2] }).invalid, ["l[1]"]);
    const inputs = { a: { x: 1 } };
    reset(["a.x"], inputs, { a: { x: 2 } });
    assert.deepEqual(inputs, { a: { x: 1 } }, "the inputs that were given are left alone");
  });
});

describe("values for providers", () => {
  const asset = { [signatureKey]: signatures.asset, hash: "h", text: "hello" };
  test("secrets, contents of assets and references go as the provider takes them", () => {
    const reference = { [signatureKey]: signatures.resource, urn: "u", id: "i" };
    const map = { s: [secret("x")], a: asset, r: reference };
    assert.deepEqual(toWire(map, { keepSecrets: false, keepResources: false, elideAssets: true }), {
      s: ["x"],
      a: { [signatureKey]: signatures.asset, hash: "h" },
      r: "i",
    });
    assert.equal(toWire(map, { keepSecrets: true, keepResources: true, elideAssets: false }), map);
  });
  test("marks come back on maps inside, on anything else as a whole", () => {
    const marked = annotateSecrets({ m: { a: 1, b: 2 }, l: [1], o: 1 }, { m: { a: secret(0) }, l: [secret(0)], o: 0 });
    assert.deepEqual(marked, { m: { a: secret(1), b: 2 }, l: secret([1]), o: 1 });
  });
  test("assets are equal by hash, get their contents back, and have no empty ones", () => {
    const bare = { [signatureKey]: signatures.asset, hash: "h" };
    assert.ok(deepEqual(asset, bare));
    assert.deepEqual(restoreAssets({ a: bare }, { x: asset }), { a: asset });
    assert.deepEqual(dropEmptyContents({ a: { ...bare, text: "", uri: "" } }), { a: bare });
    assert.ok(deepEqual({ a: null }, {}));
    assert.ok(!deepEqual({ a: 1 }, { a: secret(1) }));
  });
});
