#!/usr/bin/env node
// The start of every npm command: plain JavaScript for any Node, so that a wrong Node gets a sentence instead of a stack trace.
// It installs what is missing, then hands over to TypeScript on the pinned Node 24.

const major = Number(process.versions.node.split(".")[0]);
if (major < 20) {
  console.error(
    `openclaw-stack needs Node 20 or newer to start; this is Node ${process.versions.node} (${process.execPath}).\n` +
      "Install a current Node from https://nodejs.org (or with nvm: nvm install 24) and run the command again.",
  );
  process.exit(1);
}

// Only now: these files use syntax and module names that an old Node does not know.
const { ensureDependencies } = require("./install.cjs");
const { runPinned } = require("./pinned-node.cjs");

/** Commands that need the development packages too, with the file that runs them; all others go to the operator's commands. */
const developmentCommands = {
  test: ["test/run.ts"],
  "test:fast": ["test/run.ts", "--fast"],
  bench: ["test/bench/speed.ts"],
  "bench:engine": ["test/bench/engine.ts"],
  "bench:gateway": ["test/bench/gateway.ts"],
  settings: ["docs/generate-settings.ts"],
};

async function main() {
  const [command, ...rest] = process.argv.slice(2);
  const development = command === undefined ? undefined : developmentCommands[command];
  await ensureDependencies({ development: development !== undefined });
  const args = development
    ? [...development, ...rest]
    : ["infra/operate/main.ts", ...(command === undefined ? [] : [command, ...rest])];
  await runPinned(args);
}

main().catch((error) => {
  console.error(error.expected ? error.message : error);
  process.exitCode = 1;
});
