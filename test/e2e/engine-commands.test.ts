/** The command line against the recorded one: the list of commands of `options`, in its order, on the embedded providers. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createCommandLine, type RunOptions } from "../support/command-line.ts";
import { sections, takeApart, withoutGenerated } from "../support/printed.ts";
import { createReplayProject } from "../support/replay-project.ts";
import { readText, recordings } from "../support/replay-recording.ts";

interface Command {
  step: string;
  args: string[];
  exit: number | string;
}

/** What was typed between the recorded commands, as the configuration of the recorded programs shows. */
const between: { [step: string]: string[][] } = {
  "12-preview-changed": [["config", "set", "mode", "changed"]],
  "16-up-target": [
    ["config", "set", "mode", "base"],
    ["config", "set", "count", "4"],
  ],
  "19-up-fail": [["config", "set", "mode", "fail"]],
  "21-up-program-throws": [["config", "set", "mode", "throws"]],
  "22-up-killed": [["config", "set", "mode", "slow"]],
  "26-up-sigint": [
    ["config", "set", "mode", "base"],
    ["up", "--yes", "--skip-preview", "--non-interactive"],
    ["config", "set", "mode", "slow"],
  ],
  "27-refresh": [["config", "set", "mode", "base"]],
  "30-up-stack-reference": [
    ["stack", "init", "other"],
    ["config", "set", "mode", "reference", "-s", "other"],
    ["config", "set", "count", "1", "-s", "other"],
    ["stack", "select", "dev"],
  ],
};

function readCommands(): Command[] {
  return (readText("options", "commands.txt") ?? "")
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [step = "", typed = "", exit = ""] = line.split(" | ");
      const [command = ""] = typed.split(",");
      const words = command.replace("my planted secret", "my_planted_secret").split(" ");
      const args = words
        .slice(words.indexOf("pulumi") + 1)
        .map((word) => word.replaceAll("my_planted_secret", "my planted secret"));
      return { step, args, exit: Number(exit.replace("exit ", "")) };
    });
}

const runOptions: { [step: string]: RunOptions } = {
  "22-up-killed": { signalAt: { text: "slow creating", signal: "SIGKILL" } },
  "26-up-sigint": { signalAt: { text: "slow creating", signal: "SIGINT" } },
  "37-wrong-passphrase": { env: { PULUMI_CONFIG_PASSPHRASE: "y" } },
};

describe("the commands of the recording", () => {
  const project = createReplayProject("options", "later");
  rmSync(join(project.root, "files/out"), { recursive: true });
  const cli = createCommandLine(project.root, "x");
  after(() => project.remove());

  for (const { step, args, exit } of readCommands()) {
    if (step === "36-stack-rename") continue;
    test(step, { timeout: 60_000 }, async () => {
      for (const typed of between[step] ?? []) {
        const { exit: code, err } = await cli.run(typed);
        assert.equal(code, 0, `${typed.join(" ")}: ${err}`);
      }
      const result = await cli.run(args, runOptions[step]);
      const out = readText("options", `${step}.out`) ?? "";
      const err = readText("options", `${step}.err`) ?? "";
      assert.equal(result.exit, exit === 137 ? "SIGKILL" : exit, `${result.out}\n${result.err}`);
      const wanted = takeApart(withoutGenerated(out));
      if (exit === 137) return;
      if (wanted.length === 0) {
        assert.equal(withoutGenerated(result.out), withoutGenerated(out));
        assert.equal(withoutGenerated(result.err), withoutGenerated(err));
        return;
      }
      const ours = takeApart(withoutGenerated(result.out));
      assert.deepEqual(
        ours.map(({ title, blocks }) => ({ title, ...blocks, Diagnostics: sections(blocks.Diagnostics) })),
        wanted.map(({ title, blocks }) => ({ title, ...blocks, Diagnostics: sections(blocks.Diagnostics) })),
      );
    });
    if (step === "40-destroy") {
      test("the state folder", () => {
        const recorded = stateTree(join(recordings, "options/state-tree")).filter((name) => !name.includes("dev2"));
        assert.deepEqual(stateTree(join(cli.backend, ".pulumi")), recorded);
        const [ours = "", theirs = ""] = [join(cli.backend, ".pulumi"), join(recordings, "options/state-tree")].map(
          lastHistory,
        );
        assert.equal(ours, theirs);
      });
    }
  }
});

/** Names of all files, with times in place of the moments that they hold; one of each kind. */
function stateTree(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replace(/[.-]\d{19}(?=\.)/, ".<time>"),
    );
  return [...new Set(names)].sort();
}

/** The newest history entry of `dev`, without what belongs to the moment and the machine. */
function lastHistory(folder: string): string {
  const place = join(folder, "history/options/dev");
  const [name = ""] = readdirSync(place)
    .filter((entry) => entry.endsWith(".history.json"))
    .sort()
    .reverse();
  return readFileSync(join(place, name), "utf8")
    .replace(/"(startTime|endTime)":\d+/g, '"$1":0')
    .replace(/"secure":"[^"]*"/g, '"secure":""')
    .replace(/"pulumi\.env\.[^"]*":"[^"]*",/g, "");
}
