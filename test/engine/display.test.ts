/** What the display prints, against recorded output of the official CLI and for cases that the recordings do not have. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { type DisplayOptions, openDisplay } from "../../engine/display/display.ts";
import { createRedactor } from "../../engine/display/redact.ts";
import { clip, createPaint, keepColors, width } from "../../engine/display/style.ts";
import { durationText, summaryText } from "../../engine/display/summary.ts";
import { diffLines } from "../../engine/display/text-diff.ts";
import type { EngineEvent, StepOp } from "../../engine/events.ts";
import { quote } from "../../engine/go-quote.ts";
import { makeUrn, parseUrn, type ResourceState } from "../../engine/resource.ts";
import { type PropertyMap, secret, signatureKey, signatures, unknown } from "../../engine/values.ts";
import { plainOptions } from "../support/plain-display.ts";
import { takeApart } from "../support/printed.ts";

const recordings = join(import.meta.dirname, "../fixtures/recordings");
const recorded = (name: string): string => readFileSync(join(recordings, name), "utf8");

async function print(events: EngineEvent[], options: Partial<DisplayOptions> = {}): Promise<{ out: string; err: string }> {
  let out = "";
  let err = "";
  const display = await openDisplay(
    { ...plainOptions, ...options },
    {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      columns: () => 80,
      rows: () => 24,
      nowMs: () => 0,
    },
  );
  for (const event of events) display.event(event);
  display.close();
  return { out, err };
}

const stateSchema = z.looseObject({ urn: z.string(), custom: z.boolean(), type: z.string() });
const documentSchema = z.looseObject({
  config: z.record(z.string(), z.string()),
  steps: z.array(
    z.looseObject({
      op: z.string(),
      urn: z.string(),
      provider: z.string().optional(),
      oldState: stateSchema.optional(),
      newState: stateSchema.optional(),
      diffReasons: z.array(z.string()).optional(),
      replaceReasons: z.array(z.string()).optional(),
      detailedDiff: z.record(z.string(), z.object({ kind: z.string(), inputDiff: z.boolean() })).nullable(),
    }),
  ),
  diagnostics: z.array(z.object({ message: z.string(), severity: z.literal("info") })).optional(),
  duration: z.number(),
  changeSummary: z.record(z.string(), z.number()),
});

const opNames: { [name: string]: StepOp } = { same: "same", read: "read", update: "update", replace: "replace" };
const kinds = z.enum(["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"]);

/** The events that a recorded `preview --json` was made from. */
function eventsOf(text: string): EngineEvent[] {
  const document = documentSchema.parse(JSON.parse(text));
  const steps = document.steps.map((step): EngineEvent => {
    const diff = step.detailedDiff && Object.entries(step.detailedDiff);
    return {
      kind: "resource-pre",
      planning: true,
      step: {
        op: opNames[step.op] ?? "same",
        urn: step.urn,
        type: parseUrn(step.urn).type,
        old: step.oldState,
        new: step.newState,
        diffs: step.diffReasons,
        keys: step.replaceReasons,
        detailedDiff: diff
          ? Object.fromEntries(
              diff.map(([path, { kind, inputDiff }]) => [
                path,
                { kind: kinds.parse(kind.toUpperCase().replace("-", "_")), inputDiff },
              ]),
            )
          : undefined,
        logical: true,
        provider: step.provider,
      },
    };
  });
  const diagnostics = (document.diagnostics ?? []).map((entry): EngineEvent => ({ kind: "diagnostic", ...entry }));
  const summary: EngineEvent = {
    kind: "summary",
    isPreview: true,
    durationSeconds: document.duration / 1e9,
    changes: document.changeSummary,
    maybeCorrupt: false,
  };
  return [{ kind: "prelude", config: document.config }, ...diagnostics, ...steps, summary];
}

describe("recorded previews", () => {
  for (const name of ["lifecycle/05-preview-json.out", "options/14-preview-json.out"]) {
    test(`${name}: the document is written byte by byte as the CLI wrote it`, async () => {
      const { out } = await print(eventsOf(recorded(name)), { json: true });
      assert.equal(out, recorded(name));
    });
  }

  test("options/12: the same steps as a diff", async () => {
    const { out, err } = await print(eventsOf(recorded("options/14-preview-json.out")), { diff: true });
    // The document does not hold the outputs of the stack.
    const wanted = recorded("options/12-preview-changed.out").replace(/ {4}--outputs:--\n(.*\n)*?(?=Resources:)/, "");
    const chunks = (text: string): string[] =>
      text
        // An id that each preview makes anew.
        .replaceAll(/(=> "(?:echo )?dbr)[0-9a-f]{8}/g, "$1<id>")
        .split(/\n(?= {4}\S)/)
        .map((chunk) => chunk.trimEnd())
        .sort();
    assert.deepEqual(chunks(out), chunks(wanted));
    assert.equal(err, "mode changed\n");
  });
});

const urn = (type: string, name: string): string => makeUrn("dev", "demo", undefined, type, name);
const stackState: ResourceState = { urn: urn("pulumi:pulumi:Stack", "demo-dev"), custom: false, type: "pulumi:pulumi:Stack" };

function resource(inputs: PropertyMap, outputs?: PropertyMap): ResourceState {
  const type = "random:index/randomId:RandomId";
  return { urn: urn(type, "one"), custom: true, type, id: "1", inputs, outputs, parent: stackState.urn };
}

function update(old: PropertyMap, next: PropertyMap): EngineEvent[] {
  const step = { op: "update" as const, urn: resource({}).urn, type: resource({}).type, logical: true };
  const event: EngineEvent = {
    kind: "resource-pre",
    planning: true,
    step: { ...step, old: resource(old, old), new: resource(next) },
  };
  const same = { op: "same" as const, urn: stackState.urn, type: stackState.type, logical: true };
  return [{ kind: "resource-pre", planning: true, step: { ...same, old: stackState, new: stackState } }, event];
}

/** The property lines of the diff of one resource. */
async function diffOf(old: PropertyMap, next: PropertyMap, options: Partial<DisplayOptions> = {}): Promise<string[]> {
  const { out } = await print(update(old, next), { diff: true, ...options });
  const lines = out.trimEnd().split("\n");
  return lines
    .slice(lines.findIndex((line) => line.includes("[urn=") && line.includes("::one")) + 1)
    .map((line) => line.slice(6));
}

describe("differences", () => {
  test("secrets stay hidden, on both sides, in lists and maps, and when they come or go", async () => {
    const hidden = "a planted secret";
    const lines = await diffOf(
      { a: secret(hidden), list: ["x", secret(hidden)], gone: secret(hidden), plain: "p", map: { k: secret(hidden) } },
      {
        a: secret("another"),
        list: ["y", secret("another")],
        come: secret(hidden),
        plain: secret(hidden),
        map: { k: secret("another") },
      },
    );
    assert.ok(!lines.join("\n").includes("planted") && !lines.join("\n").includes("another"), lines.join("\n"));
    assert.deepEqual(lines, [
      "~ a    : [secret] => [secret]",
      "+ come : [secret]",
      "- gone : [secret]",
      "~ list : [",
      '    ~ [0]: "x" => "y"',
      "    ~ [1]: [secret] => [secret]",
      "  ]",
      "~ map  : {",
      "    ~ k: [secret] => [secret]",
      "  }",
      '~ plain: "p" => [secret]',
    ]);
  });

  test("--show-secrets shows them", async () => {
    assert.deepEqual(await diffOf({ a: secret("one") }, { a: secret("two") }, { showSecrets: true }), ['~ a: "one" => "two"']);
  });

  test("what is not known yet, numbers, nothing, and what is empty", async () => {
    assert.deepEqual(
      await diffOf({ a: 1, b: 2.5, c: "x", d: null, e: [] }, { a: unknown, b: 1e21, c: null, d: true, e: ["x"] }),
      ["~ a: 1 => [unknown]", "~ b: 2.5 => 1000000000000000000000", '- c: "x"', "+ d: true", "~ e: [", '    + [0]: "x"', "  ]"],
    );
  });

  test("JSON inside a string, and a text over several lines", async () => {
    assert.deepEqual(
      await diffOf(
        { j: '{"a":1,"b":2}', t: "zero\none\ntwo\nthree\nfour\nfive" },
        { j: '{"a":1,"b":3}', t: "zero\none\ntwo\nthree\n4\nfive" },
      ),
      [
        "~ j: (json) {",
        "      a: 1",
        "    ~ b: 2 => 3",
        "  }",
        "~ t: ",
        "      ...",
        "      two",
        "      three",
        "    - four",
        "    + 4",
        "      five",
      ],
    );
  });

  test("an asset is named by its hash", async () => {
    const asset = (hash: string): PropertyMap => ({ [signatureKey]: signatures.asset, hash, path: "./f" });
    const archive = (hash: string): PropertyMap => ({ [signatureKey]: signatures.archive, hash, path: "./d" });
    assert.deepEqual(
      await diffOf({ a: asset("0123456789"), d: archive("aaaaaaaaaa") }, { a: asset("9876543210"), d: archive("bbbbbbbbbb") }),
      ["- a: asset(file:0123456) { ./f }", "+ a: asset(file:9876543) { ./f }", "~ d: archive(file:aaaaaaa->bbbbbbb) { ./d }"],
    );
  });
});

test("secrets are taken out of what programs and providers print, also encoded", async () => {
  const redactor = createRedactor({
    settings: ["from/the settings"],
    resources: [resource({ password: secret('hunter-2 "x"') })],
  });
  const said = [
    "from/the settings",
    'it was hunter-2 "x"!',
    JSON.stringify({ p: 'hunter-2 "x"' }),
    encodeURIComponent("from/the settings"),
    Buffer.from("from/the settings").toString("base64"),
  ].join("\n");
  assert.equal(redactor.text(said), '[secret]\nit was [secret]!\n{"p":"[secret]"}\n[secret]\n[secret]');
  const made = resource({}, { result: secret("made just now") });
  redactor.event({
    kind: "resource-outputs",
    planning: false,
    step: { op: "create", urn: made.urn, type: made.type, new: made, logical: true },
  });
  assert.deepEqual(redactor.event({ kind: "stdout", message: "it is made just now" }), {
    kind: "stdout",
    message: "it is [secret]",
  });
});

test("a failure: its resource with the cause, what came before, the counts", async () => {
  const bad = resource({ a: 1 });
  const step = { op: "create" as const, urn: bad.urn, type: bad.type, new: bad, logical: true };
  const { out } = await print(
    [
      { kind: "prelude", config: {} },
      { kind: "resource-pre", planning: false, step },
      { kind: "diagnostic", severity: "info", message: "trying", urn: bad.urn, ephemeral: true },
      { kind: "diagnostic", severity: "error", message: "it broke:\n\u001b[31mred\u001b[0m\u001b[2J end", urn: bad.urn },
      { kind: "resource-failed", step, error: "it broke" },
      { kind: "stdout", message: "from the program" },
      { kind: "stdout", message: "and more" },
      { kind: "summary", isPreview: false, durationSeconds: 61.2, changes: { same: 1 }, maybeCorrupt: true },
    ],
    { isPreview: false },
  );
  const [deployment] = takeApart(out);
  assert.equal(deployment?.title, "Updating (dev):");
  assert.equal(
    deployment?.blocks.Diagnostics,
    [
      "  random:index:RandomId (one):",
      "    error: it broke:",
      "    \u001b[31mred\u001b[0m end",
      "",
      "  pulumi:pulumi:Stack (demo-dev):",
      "    from the program",
      "    and more",
    ].join("\n"),
  );
  assert.equal(deployment?.blocks.Resources, "    1 unchanged\n    1 errored");
  assert.match(out, /\nDuration: 1m2s\n\n$/);
  assert.match(out, /\n \+ {2}random:index:RandomId one \*\*creating failed\*\* error: it broke:\n/);
});

test("events as lines of JSON, for what is not a preview", async () => {
  const made = resource({ p: secret("hush hush") });
  const step = { op: "create" as const, urn: made.urn, type: made.type, new: made, logical: true };
  const { out } = await print(
    [
      { kind: "prelude", config: { "demo:a": "1" } },
      { kind: "resource-pre", planning: false, step },
      { kind: "summary", isPreview: false, durationSeconds: 2, changes: { create: 1 }, maybeCorrupt: false },
    ],
    { json: true, isPreview: false },
  );
  assert.ok(!out.includes("hush"));
  const events = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    events.map(({ sequence, timestamp: _timestamp, ...event }) => [sequence, Object.keys(event)[0]]),
    [
      [0, "preludeEvent"],
      [1, "resourcePreEvent"],
      [2, "summaryEvent"],
    ],
  );
  assert.equal(events[1].resourcePreEvent.metadata.new.inputs.p.ciphertext, "[secret]");
});

test("counts, durations, quotes, colours and widths", () => {
  const paint = createPaint(false);
  const event = {
    kind: "summary" as const,
    isPreview: true,
    durationSeconds: 1,
    changes: { create: 1, replace: 2, same: 3, read: 9 },
    maybeCorrupt: false,
  };
  assert.equal(summaryText(event, 0, paint), "Resources:\n    + 1 to create\n    +-2 to replace\n    3 changes. 3 unchanged\n");
  assert.deepEqual([0.2, 59.5, 60, 3661].map(durationText), ["1s", "1m0s", "1m0s", "1h1m1s"]);
  assert.equal(quote('a "b"\n\u0001\u00e9\u200b\\'), '"a \\"b\\"\\n\\x01é\\u200b\\\\"');
  assert.equal(keepColors("\u001b[31ma\u001b[0m\u001b[2K\u001b]0;title\u0007b\rc"), "\u001b[31ma\u001b[0mbc");
  assert.equal(width("\u001b[1mé漢\u001b[0m"), 3);
  assert.equal(clip("abcdef", 4), "abc…");
  assert.deepEqual(
    diffLines("a\nb\nc", "a\nx\nc").map(({ kind, lines }) => [kind, lines.join()]),
    [
      ["same", "a"],
      ["delete", "b"],
      ["insert", "x"],
      ["same", "c"],
    ],
  );
});
