/** What the user sees of a replay against what was printed in the recording: blocks at the end, diffs, JSON documents. */
import { z } from "zod";
import { openDisplay } from "../../engine/display/display.ts";
import type { Value } from "../../engine/values.ts";
import type { PrintedDeployment } from "./printed.ts";
import { sections, takeApart } from "./printed.ts";
import { describe, differences, plain } from "./replay-compare.ts";
import { readText } from "./replay-recording.ts";
import type { Replay } from "./replay-run.ts";

/** As printed without a terminal; standard output only. */
export async function print({ events, options }: Replay, form: { diff?: boolean; json?: boolean }): Promise<string> {
  let text = "";
  const display = await openDisplay(
    {
      kind: options.kind,
      isPreview: options.dryRun,
      project: options.project,
      stack: options.stack,
      diff: form.diff ?? false,
      json: form.json ?? false,
      interactive: false,
      colors: false,
      showSames: false,
      showReads: false,
      showReplacementSteps: false,
      showConfig: false,
      showSecrets: false,
      suppressOutputs: false,
      suppressProgress: true,
      fullOutput: false,
      debug: false,
    },
    {
      out: (piece) => {
        text += piece;
      },
      err: () => {},
      columns: () => 80,
      rows: () => 24,
      nowMs: () => 0,
    },
  );
  for (const event of events) display.event(event);
  display.close();
  return text;
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

/** The places of the recording and of the replay, and what every run makes anew. */
function settled(text: string, replay: Replay): string {
  let settled = text.replaceAll(replay.root, "/project");
  for (const [recorded, ours] of replay.comparison.ids) settled = settled.replaceAll(ours, recorded);
  return settled;
}

function compareBlocks(wanted: PrintedDeployment, ours: PrintedDeployment): string[] {
  const problems: string[] = [];
  for (const name of ["Outputs", "Resources"] as const) {
    if (wanted.blocks[name] !== ours.blocks[name]) {
      problems.push(`${name}: recorded\n${wanted.blocks[name] ?? "(none)"}\n  ours\n${ours.blocks[name] ?? "(none)"}`);
    }
  }
  const recorded = sections(wanted.blocks.Diagnostics).join("\n");
  const printed = sections(ours.blocks.Diagnostics).join("\n");
  if (recorded !== printed) problems.push(`Diagnostics: recorded\n${recorded}\n  ours\n${printed}`);
  return problems;
}

export async function verifyPrinted(replay: Replay, index: number): Promise<string[]> {
  const { step, comparison } = replay;
  if (step.killAt) return [];
  const out = readText(step.recording, `${step.step}.out`) ?? "";
  if (out.startsWith("{")) {
    const ours = readDocument(settled(await print(replay, { json: true }), replay));
    return differences(readDocument(out), ours, comparison).map((difference) => `JSON: ${describe(difference)}`);
  }
  if (out.includes("\n    [urn=")) {
    const lines = (text: string) => text.split("\n").filter(Boolean).sort().join("\n");
    const ours = settled(await print(replay, { diff: true }), replay);
    return lines(out) === lines(ours) ? [] : [`printed: recorded\n${out}\n  ours\n${ours}`];
  }
  const wanted = takeApart(out)[index];
  if (!wanted) return [`the recording printed ${index} deployments only`];
  const [ours] = takeApart(settled(await print(replay, {}), replay));
  return ours ? compareBlocks(wanted, ours) : ["nothing was printed"];
}
