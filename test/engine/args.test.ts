/** The command line: what it takes, and the sentences with which it refuses. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseArguments } from "../../engine/args.ts";
import { EngineError } from "../../engine/errors.ts";
import { commands, globalFlags } from "../../engine/flags.ts";
import { usageText } from "../../engine/usage.ts";
import { assertGolden } from "../support/golden-file.ts";

const parse = (line: string) => parseArguments(line.split(" "));

function refusal(line: string): string {
  try {
    parse(line);
  } catch (error) {
    if (error instanceof EngineError) return error.message;
    throw error;
  }
  return "(taken)";
}

describe("what the command line takes", () => {
  test("flags with and without values, letters together, many times, after the command or before", () => {
    const args = parse("-s dev up -yf --target a --target=b,c -p4 --refresh --continue-on-error=false -m now");
    assert.equal(args?.command, "up");
    assert.equal(args?.text("stack"), "dev");
    assert.equal(args?.has("yes"), true);
    assert.equal(args?.has("skip-preview"), true);
    assert.deepEqual(args?.list("target"), ["a", "b,c"]);
    assert.equal(args?.count("parallel"), 4);
    assert.equal(args?.truth("refresh"), true);
    assert.equal(args?.truth("continue-on-error"), false);
    assert.equal(args?.text("message"), "now");
  });

  test("commands in groups, their older names, and what follows them", () => {
    assert.equal(parse("-C elsewhere stack ls -j")?.command, "stack ls");
    assert.equal(parse("stack list")?.command, "stack ls");
    assert.equal(parse("stack")?.command, "stack");
    assert.equal(parse("update")?.command, "up");
    assert.deepEqual(parse("config set a -- -1")?.rest, ["a", "-1"]);
    assert.deepEqual(parse("config set count -1")?.rest, ["count", "-1"]);
    assert.equal(parseArguments([]), undefined);
  });

  test("everything after pulumi is passed on as it is", () => {
    const args = parse("-s dev pulumi -- stack rename --yes x");
    assert.equal(args?.command, "pulumi");
    assert.deepEqual(args?.rest, ["stack", "rename", "--yes", "x"]);
    assert.equal(parse("--engine pulumi preview")?.command, "preview");
    assert.deepEqual(parse("pulumi whoami -v")?.rest, ["whoami", "-v"]);
  });

  test("every command has help with its flags", () => {
    for (const [name, spec] of Object.entries(commands)) {
      const text = usageText(name);
      assert.ok(text.startsWith(spec.summary), name);
      for (const flag of `${spec.flags} ${globalFlags}`.split(" ").filter(Boolean)) {
        assert.ok(text.includes(`--${flag.split(/[|=]/)[0]}`), `${name} --${flag}`);
      }
      assert.ok(usageText().includes(name), name);
    }
  });
});

test("what it refuses, and how", () => {
  const lines = [
    "upp",
    "destory",
    "frobnicate",
    "login",
    "stack",
    "stack outptu",
    "stack rename x",
    "state",
    "state move",
    "config edit",
    "up --ys",
    "up --skip-previw",
    "up --frobnicate",
    "up -k",
    "up --policy-pack x",
    "up --plan p.json",
    "up -x urn",
    "up --tracing file:./t",
    "preview --save-plan p.json",
    "preview --yes",
    "destroy --remove",
    "refresh --clear-pending-creates",
    "stack output a b",
    "config get",
    "config set a b c",
    "up dev",
    "up --target",
    "up --yes=maybe",
  ];
  const seen = lines.map((line) => `${line}\n  ${refusal(line)}\n`).join("");
  assertGolden(join(import.meta.dirname, "golden", "refusals.txt"), seen);
});

test("numbers and truths that are none", () => {
  assert.throws(
    () => parse("up -p 0")?.count("parallel"),
    /invalid argument "0" for "--parallel": it must be a whole number of at least 1/,
  );
  assert.throws(() => parse("up -p many")?.count("parallel"), /invalid argument "many" for "--parallel"/);
  assert.throws(
    () => parse("up --refresh=perhaps")?.truth("refresh"),
    /unable to determine value for --refresh: it takes true or false/,
  );
});
