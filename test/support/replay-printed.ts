/** What the user sees of a replay against what was printed in the recording: blocks at the end, diffs, JSON documents. */
import { join } from "node:path";
import { z } from "zod";
import { openDisplay } from "../../engine/display/display.ts";
import type { Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import { plainOptions } from "./plain-display.ts";
import type { PrintedDeployment } from "./printed.ts";
import { sections, takeApart } from "./printed.ts";
import { describe, differences, plain } from "./replay-compare.ts";
import { readText } from "./replay-recording.ts";
import type { Replay } from "./replay-run.ts";
import type { Problem } from "./replay-verify.ts";

interface Printed {
  out: string;
  err: string;
  /** Both as they come. */
  both: string;
}

/** As printed without a terminal. */
async function print({ events, options }: Replay, form: { diff?: boolean; json?: boolean }): Promise<Printed> {
  const printed: Printed = { out: "", err: "", both: "" };
  const display = await openDisplay(
    {
      ...plainOptions,
      kind: options.kind,
      isPreview: options.dryRun,
      project: options.project,
      stack: options.stack,
      diff: form.diff ?? false,
      json: form.json ?? false,
    },
    {
      out: (piece) => {
        printed.out += piece;
        printed.both += piece;
      },
      err: (piece) => {
        printed.err += piece;
        printed.both += piece;
      },
      columns: () => 80,
      rows: () => 24,
      nowMs: () => 0,
    },
  );
  for (const event of events) display.event(event);
  display.close();
  return printed;
}

const documentSchema = z.looseObject({
  steps: z.array(z.looseObject({ urn: z.string(), op: z.string() })),
  duration: z.number(),
});

/** The document with its steps in one order and without its duration. */
function readDocument(text: string): Value {
  const { duration: _, ...document } = documentSchema.parse(JSON.parse(text));
  const key = (step: { urn: string; op: string }) => `${step.urn} ${step.op}`;
  return plain({ ...document, steps: document.steps.toSorted((a, b) => key(a).localeCompare(key(b))) });
}

function keyOrder(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(keyOrder).join()}]`;
  return isMap(value)
    ? `{${Object.entries(value)
        .map(([key, item]) => (key === "stackTrace" ? key : `${key}${keyOrder(item)}`))
        .join()}}`
    : "";
}

const repository = join(import.meta.dirname, "../..");

/** The places of the recording and of the replay, and what every run makes anew. */
function settled(text: string, replay: Replay): string {
  let settled = text.replaceAll(replay.root, "/project").replaceAll(repository, "/project");
  for (const [recorded, ours] of replay.comparison.ids) settled = settled.replaceAll(ours, recorded);
  return settled;
}

/** What was done and what failed; how much was found unchanged by then is chance. */
function certain(resources: string | undefined): string {
  return (resources ?? "").replace(/^ *(\d+ changes\. )?\d+ unchanged$/gm, "").trimEnd();
}

function compareBlocks(wanted: PrintedDeployment, ours: PrintedDeployment): Problem[] {
  const problems: Problem[] = [];
  for (const name of ["Outputs", "Resources"] as const) {
    if (wanted.blocks[name] !== ours.blocks[name]) {
      const text = `${name}: recorded\n${wanted.blocks[name] ?? "(none)"}\n  ours\n${ours.blocks[name] ?? "(none)"}`;
      problems.push({ text, chance: name === "Resources" && certain(wanted.blocks[name]) === certain(ours.blocks[name]) });
    }
  }
  const recorded = sections(wanted.blocks.Diagnostics).join("\n");
  const printed = sections(ours.blocks.Diagnostics).join("\n");
  if (recorded !== printed) problems.push({ text: `Diagnostics: recorded\n${recorded}\n  ours\n${printed}` });
  return problems;
}

export async function verifyPrinted(replay: Replay, index: number): Promise<Problem[]> {
  const { step, comparison } = replay;
  if (step.killAt) return [];
  const out = readText(step.recording, `${step.step}.out`) ?? "";
  if (out.startsWith("{")) {
    const { out: printed } = await print(replay, { json: true });
    const [recorded, ours] = [readDocument(out), readDocument(settled(printed, replay))];
    const problems = differences(recorded, ours, comparison).map((difference) => ({ text: `JSON: ${describe(difference)}` }));
    if (keyOrder(recorded) !== keyOrder(ours)) problems.push({ text: "JSON: the keys stand in another order" });
    return problems;
  }
  if (out.includes("\n    [urn=")) {
    const err = readText(step.recording, `${step.step}.err`);
    const printed = await print(replay, { diff: true });
    // Where no file for the standard error was kept, both went into one.
    const problems = compareLines(out, settled(err === undefined ? printed.both : printed.out, replay));
    return err === undefined ? problems : [...problems, ...compareLines(err, settled(printed.err, replay))];
  }
  const wanted = takeApart(out)[index];
  if (!wanted) return [{ text: `the recording printed ${index} deployments only` }];
  const [ours] = takeApart(settled((await print(replay, {})).out, replay));
  return ours ? compareBlocks(wanted, ours) : [{ text: "nothing was printed" }];
}

/** Lines in any order: which resource is told of first is chance. */
function compareLines(recorded: string, ours: string): Problem[] {
  const count = (text: string) => {
    const lines = new Map<string, number>();
    for (const line of text.split("\n").filter(Boolean)) lines.set(line, (lines.get(line) ?? 0) + 1);
    return lines;
  };
  const [wanted, had] = [count(recorded), count(ours)];
  const lines = new Set([...wanted.keys(), ...had.keys()]);
  return [...lines]
    .filter((line) => wanted.get(line) !== had.get(line))
    .map((line) => ({ text: `printed: recorded ${wanted.get(line) ?? 0} times, ours ${had.get(line) ?? 0} times: ${line}` }));
}
