/** The engine against the recordings of the official CLI: the real programs run, providers answer as recorded. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exceptions, neededExceptions } from "../support/replay-compare.ts";
import { verifyPrinted } from "../support/replay-printed.ts";
import { replayStep } from "../support/replay-run.ts";
import { replaySteps } from "../support/replay-steps.ts";
import { type Problem, verify } from "../support/replay-verify.ts";

for (const recording of new Set(replaySteps.map((step) => step.recording))) {
  describe(`recording ${recording}`, { concurrency: 2 }, () => {
    for (const step of replaySteps.filter((candidate) => candidate.recording === recording)) {
      test(step.step, { timeout: 60_000 }, async () => {
        const replays = await replayStep(step);
        const problems: Problem[] = [];
        for (const [index, replay] of replays.entries()) {
          problems.push(...verify(replay), ...(await verifyPrinted(replay, index)));
        }
        const wrong = problems.filter((problem) => !(step.races && problem.chance)).map((problem) => problem.text);
        assert.ok(wrong.length === 0, `\n  ${wrong.join("\n  ")}`);
      });
    }
  });
}

test("every exception of the comparison is needed", () => {
  const unneeded = exceptions.map((entry) => entry.name).filter((name) => !neededExceptions.has(name));
  assert.deepEqual(unneeded, []);
});
