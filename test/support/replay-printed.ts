/** What the user sees of a replay against what was printed in the recording: blocks at the end, diffs, JSON documents. */
import { createDiffView } from "../../engine/display/diff.ts";
import { createPlainProgress } from "../../engine/display/progress-plain.ts";
import { createPaint } from "../../engine/display/style.ts";
import type { PrintedDeployment } from "./printed.ts";
import { sections, takeApart } from "./printed.ts";
import { readText } from "./replay-recording.ts";
import type { Replay } from "./replay-run.ts";

const paint = createPaint(false);

/** As without a terminal. */
export function printProgress({ events, options }: Replay): string {
  let text = "";
  const display = createPlainProgress({
    project: options.project,
    stack: options.stack,
    isPreview: options.dryRun,
    showSames: false,
    showReads: false,
    showReplacementSteps: false,
    debug: false,
    paint,
    nowMs: () => 0,
    label: "updating",
    suppressProgress: true,
    suppressOutputs: false,
    showConfig: false,
    showSecrets: false,
    truncate: true,
    write: (piece) => {
      text += piece;
    },
  });
  for (const event of events) display.event(event);
  display.close();
  return text;
}

export function printDiff({ events }: Replay): string {
  let text = "";
  const write = (piece: string) => {
    text += piece;
  };
  const view = createDiffView({
    paint,
    showSames: false,
    showReplacementSteps: false,
    showSecrets: false,
    suppressOutputs: false,
    truncate: true,
    debug: false,
    write,
    writeError: () => {},
  });
  for (const event of events) view.event(event);
  return text;
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

export function verifyPrinted(replay: Replay, index: number): string[] {
  const { step } = replay;
  if (step.killAt) return [];
  const out = readText(step.recording, `${step.step}.out`) ?? "";
  if (out.startsWith("{")) return [];
  if (out.includes("\n    [urn=")) {
    const body = (text: string) =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .sort()
        .join("\n");
    const [, ...lines] = out.split("\n");
    const recorded = body(lines.join("\n"));
    const ours = body(settled(printDiff(replay), replay));
    return recorded === ours ? [] : [`printed: recorded\n${out}\n  ours\n${settled(printDiff(replay), replay)}`];
  }
  const wanted = takeApart(out)[index];
  if (!wanted) return [`the recording printed ${index} deployments only`];
  const [ours] = takeApart(`${wanted.title}\n${settled(printProgress(replay), replay)}`);
  return ours ? compareBlocks(wanted, ours) : ["nothing was printed"];
}
