/** The tree on a terminal: redrawn in place, in narrow and small terminals, with elapsed times. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTtyProgress } from "../../engine/display/progress-tty.ts";
import { createPaint } from "../../engine/display/style.ts";
import type { EngineEvent, StepOp } from "../../engine/events.ts";
import { makeUrn, type ResourceState } from "../../engine/resource.ts";
import { createFakeTerminal } from "../support/fake-terminal.ts";

const stackUrn = makeUrn("dev", "demo", undefined, "pulumi:pulumi:Stack", "demo-dev");

function state(name: string, more: Partial<ResourceState> = {}): ResourceState {
  const type = more.type ?? "random:index/randomId:RandomId";
  return { urn: makeUrn("dev", "demo", undefined, type, name), custom: true, type, parent: stackUrn, ...more };
}

const stack: ResourceState = { urn: stackUrn, custom: false, type: "pulumi:pulumi:Stack", outputs: {} };

function pre(op: StepOp, next: ResourceState, old?: ResourceState): EngineEvent {
  return { kind: "resource-pre", planning: false, step: { op, urn: next.urn, type: next.type, old, new: next, logical: true } };
}

function outputs(op: StepOp, next: ResourceState, old?: ResourceState): EngineEvent {
  return {
    kind: "resource-outputs",
    planning: false,
    step: { op, urn: next.urn, type: next.type, old, new: next, logical: true },
  };
}

function open(columns: number, rows: number) {
  const screen = createFakeTerminal(columns, rows);
  let now = 0;
  const display = createTtyProgress({
    screen,
    label: "updating",
    project: "demo",
    stack: "dev",
    isPreview: false,
    showSames: false,
    showReads: false,
    showReplacementSteps: false,
    showConfig: false,
    showSecrets: false,
    suppressOutputs: false,
    suppressProgress: false,
    truncate: true,
    debug: false,
    paint: createPaint(true),
    nowMs: () => now,
  });
  const after = (ms: number): void => {
    now += ms;
    display.tick();
  };
  return { screen, display, after };
}

const summary: EngineEvent = {
  kind: "summary",
  isPreview: false,
  durationSeconds: 3,
  changes: { create: 3 },
  maybeCorrupt: false,
};

describe("the tree on a terminal", () => {
  test("what a signal does is wrapped where the terminal is narrow, and stays in the last frame", () => {
    const { screen, display } = open(40, 12);
    display.event(pre("create", stack));
    display.notice("^C received; cancelling. To terminate immediately, press ^C again.\n");
    const wrapped = /cancelling\. To terminate\nimmediately, press \^C again\./;
    assert.match(screen.screen().join("\n"), wrapped);
    display.event(summary);
    display.close();
    assert.match(screen.screen().join("\n"), wrapped);
  });

  test("grows in place and shows how long things take", () => {
    const { screen, display, after } = open(80, 24);
    const box = state("box", { custom: false, type: "demo:index:Box" });
    const inner = state("inner", { parent: box.urn });
    for (const event of [pre("create", stack), pre("create", box), pre("create", inner)]) display.event(event);
    after(2400);
    assert.deepEqual(screen.screen(), [
      "    Type                         Name      Status",
      " +  pulumi:pulumi:Stack          demo-dev  creating (2s)",
      " +  └─ demo:index:Box            box       creating (2s)",
      " +     └─ random:index:RandomId  inner     creating (2s)",
    ]);
    assert.equal(screen.cursorVisible(), false);
    display.event(outputs("create", inner));
    after(200);
    assert.match(screen.screen().at(-1) ?? "", /inner +created \(2s\)$/);
    assert.equal(screen.screen().length, 4);
  });

  test("ends with the whole tree, the blocks and the cursor", () => {
    const { screen, display, after } = open(80, 24);
    const one = state("one");
    for (const event of [pre("create", stack), pre("create", one), outputs("create", one), outputs("create", stack), summary]) {
      display.event(event);
    }
    after(1000);
    display.close();
    const shown = screen.screen();
    assert.match(shown[1] ?? "", /demo-dev +created/);
    assert.deepEqual(shown.slice(3), ["", "Resources:", "    + 3 created", "", "Duration: 3s"]);
    assert.equal(screen.cursorVisible(), true);
  });

  test("keeps to the height of a small terminal while it runs, and prints all of it at the end", () => {
    const { screen, display, after } = open(80, 12);
    display.event(pre("create", stack));
    const many = Array.from({ length: 40 }, (_, i) => state(`id-${i}`));
    for (const one of many) display.event(pre("create", one));
    after(1000);
    const shown = screen.screen();
    assert.ok(shown.length <= 12, `${shown.length} lines`);
    assert.match(shown[0] ?? "", /Type +Name +Status/);
    assert.match(shown[1] ?? "", /… 33 more above/);
    assert.match(shown.at(-1) ?? "", /id-39/);
    assert.deepEqual(screen.history(), []);
    for (const one of many) display.event(outputs("create", one));
    after(1000);
    display.close();
    const all = [...screen.history(), ...screen.screen()].join("\n");
    assert.deepEqual(
      screen
        .history()
        .concat(screen.screen())
        .slice(0, 42)
        .filter((line) => line === ""),
      [],
    );
    for (const one of many) assert.equal(all.split(`${one.urn.split("::").at(-1)} `).length, 2, one.urn);
  });

  test("cuts lines to a narrow terminal, also after it was made narrower", () => {
    const { screen, display, after } = open(60, 24);
    display.event(pre("create", stack));
    display.event(pre("create", state("a-resource-with-a-rather-long-name-that-does-not-fit")));
    after(1000);
    assert.ok(screen.screen().every((line) => line.length <= 59));
    screen.resize(30, 24);
    after(1000);
    const shown = screen.screen();
    assert.ok(
      shown.slice(-3).every((line) => line.length <= 29),
      shown.join("\n"),
    );
    assert.equal(shown.filter((line) => line.includes("pulumi:pulumi:Stack")).length, 1, shown.join("\n"));
  });

  test("a replacement is one row, and a failed resource shows its error", () => {
    const { screen, display, after } = open(120, 24);
    const old = state("one", { inputs: { byteLength: 2 } });
    const next = state("one", { inputs: { byteLength: 3 } });
    display.event(pre("same", stack, stack));
    for (const op of ["create-replacement", "replace", "delete-replaced"] as const) {
      display.event(pre(op, next, old));
      display.event(outputs(op, next, old));
    }
    const bad = state("bad");
    display.event(pre("create", bad));
    display.event({ kind: "diagnostic", severity: "error", message: "no such thing\nmore", urn: bad.urn });
    display.event({
      kind: "resource-failed",
      step: { op: "create", urn: bad.urn, type: bad.type, new: bad, logical: true },
      error: "x",
    });
    after(1000);
    const shown = screen.screen();
    assert.equal(shown.filter((line) => / one /.test(line)).length, 1);
    assert.match(shown.find((line) => line.includes(" bad ")) ?? "", /\*\*creating failed\*\* +error: no such thing$/);
  });

  test("a long run writes little where little changes", () => {
    const { screen, display, after } = open(80, 24);
    display.event(pre("create", stack));
    for (let i = 0; i < 15; i++) {
      display.event(pre("create", state(`id-${i}`)));
      if (i > 0) display.event(outputs("create", state(`id-${i}`)));
    }
    after(1000);
    const before = screen.written();
    for (let i = 0; i < 50; i++) after(20);
    assert.ok(screen.written() - before < 700, `${screen.written() - before} characters in a second`);
  });
});
