/** Parts of the command provider that need no process: globs, quoting, masking, checks, diffs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { quote } from "../../engine/go-quote.ts";
import { createGuardian } from "../../engine/guardian.ts";
import { globMatcher } from "../../engine/providers/command/glob.ts";
import { masker } from "../../engine/providers/command/messages.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import type { PropertyMap } from "../../engine/values.ts";
import { secret, unknown } from "../../engine/values.ts";

const provider = createCommandProvider({ programDirectory: "/", guardian: createGuardian(), log() {} });
const urn = "urn:pulumi:dev::p::command:local:Command::x";

test("globs match what github.com/gobwas/glob matches", () => {
  const table: [string, string[], string[]][] = [
    ["*.txt", ["a.txt", ".txt"], ["a/b.txt", "a.txt2"]],
    ["out/**", ["out/x", "out/a/b"], ["out", "about/x"]],
    ["**/x", ["a/x", "a/b/x", "/x"], ["x"]],
    ["**secret.*", ["secret.js", "a/b/top-secret.txt"], ["secret"]],
    ["?.[ab]c", ["x.ac"], ["/.ac", "x.cc"]],
    ["[!a-c]", ["d"], ["b", ""]],
    ["{*.js,lib/**.ts}", ["a.js", "lib/a/b.ts"], ["a.ts", "a/b.js"]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["{a,b", ["a", "b"], ["{a,b"]],
    ["a+(b).c", ["a+(b).c"], ["aab.c"]],
  ];
  for (const [glob, matching, others] of table) {
    for (const path of matching) assert.ok(globMatcher(glob)(path), `${glob} matches ${path}`);
    for (const path of others) assert.ok(!globMatcher(glob)(path), `${glob} does not match ${path}`);
  }
  assert.throws(() => globMatcher("[a"), /"\[a" has a "\[" without its "\]"/);
});

test("commands are quoted as Go does", () => {
  assert.equal(
    quote('a "b" \\ \n\t\u0007\u0001 é 世 \u00a0\u{e0001}'),
    '"a \\"b\\" \\\\ \\n\\t\\a\\x01 é 世 \\u00a0\\U000e0001"',
  );
});

test("secrets are taken out, but not what is too short to be one", () => {
  const mask = masker(["hunter2", "line one\nline two", "a"], ["curl -H 'Authorization: t0ken'"]);
  assert.equal(mask("a hunter2, line two; t0ken"), "a [secret], [secret]; [secret]");
  assert.equal(masker(["(.*)", "a"], [])("(.*) abc"), "[secret] abc");
});

test("wrong kinds and names are told in the official provider's words", async () => {
  const reasons = async (news: PropertyMap) => (await provider.check({ urn, olds: {}, news })).failures ?? [];
  assert.deepEqual(await reasons({ create: 3 }), [
    { property: "create", reason: "Field 'create' on 'local.CommandInputs' must be a 'string'; got 'float64' instead" },
  ]);
  assert.deepEqual(await reasons({ creat: "x" }), [
    { property: "creat", reason: "Unrecognized field 'creat' on 'local.CommandInputs'" },
  ]);
  assert.deepEqual(await reasons({ environment: { A: true }, interpreter: ["sh", 1] }), [
    {
      property: "environment[A] value",
      reason: "Field 'environment[A] value' on 'local.CommandInputs' must be a 'string'; got 'bool' instead",
    },
    {
      property: "interpreter[1]",
      reason: "Field 'interpreter[1]' on 'local.CommandInputs' must be a 'string'; got 'float64' instead",
    },
  ]);
  assert.deepEqual(
    await reasons({ environment: secret({ A: "x" }), triggers: [1, { a: null }], dir: unknown, stdin: secret(unknown) }),
    [],
  );
});

test("a change of all triggers replaces, of one it is left to the program", async () => {
  const diff = async (oldInputs: PropertyMap, news: PropertyMap) => {
    const { replaces, detailedDiff } = await provider.diff({ id: "x", urn, olds: oldInputs, oldInputs, news });
    return { replaces, detailedDiff };
  };
  assert.deepEqual(await diff({ triggers: ["a", "b"] }, { triggers: ["a", "c"] }), {
    replaces: undefined,
    detailedDiff: { "triggers[1]": { kind: "UPDATE" } },
  });
  assert.deepEqual(await diff({ triggers: ["a"] }, { triggers: unknown }), {
    replaces: ["triggers"],
    detailedDiff: { triggers: { kind: "UPDATE_REPLACE" } },
  });
  assert.deepEqual(await diff({}, { triggers: ["a"], environment: { "a.b": "c" } }), {
    replaces: ["triggers"],
    detailedDiff: { triggers: { kind: "ADD_REPLACE" }, environment: {} },
  });
  assert.deepEqual(await diff({ environment: { "a.b": "c" } }, { environment: { "a.b": "d" } }), {
    replaces: undefined,
    detailedDiff: { 'environment["a.b"]': { kind: "UPDATE" } },
  });
  assert.deepEqual(await diff({ dir: "x", create: "a" }, { create: secret("a") }), {
    replaces: undefined,
    detailedDiff: { dir: { kind: "DELETE" }, create: { kind: "UPDATE" } },
  });
});
