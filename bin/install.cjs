// Installs the packages of package-lock.json when node_modules does not hold them already; safe to run at any time.

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { failure } = require("./failure.cjs");

const root = path.dirname(__dirname);
const modules = path.join(root, "node_modules");

exports.ensureDependencies = async function ensureDependencies({ development: needed }) {
  const missing = firstMissing(needed);
  if (!missing) return;
  // npm ci begins anew: who has the development packages must not lose them because another package was outdated.
  const development = needed || holdsDevelopmentPackages();
  const release = await takeTurn();
  try {
    // Another command may have installed them while this one waited.
    if (firstMissing(development)) await install(development, missing);
  } finally {
    release();
  }
};

/**
 * The first package that is in the lock file but not, in that version, in node_modules; undefined when all are there.
 * npm writes what it installed to node_modules/.package-lock.json, so two small files tell it without touching a package.
 */
function firstMissing(development) {
  const wanted = readPackages(path.join(root, "package-lock.json"));
  if (!wanted)
    throw failure(
      `package-lock.json is missing in ${root}: clone the repository again, or run: git checkout package-lock.json`,
    );
  const installed = readPackages(path.join(modules, ".package-lock.json")) || {};
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === "" || entry.link) continue;
    if (entry.dev && !development) continue;
    // npm leaves out the packages of other platforms, and none of these is needed to start.
    if (entry.optional || entry.devOptional || entry.peer) continue;
    const present = installed[name];
    if (!present || present.version !== entry.version) return name.replace(/^node_modules\//, "");
  }
  return undefined;
}

function holdsDevelopmentPackages() {
  const installed = readPackages(path.join(modules, ".package-lock.json")) || {};
  return Object.values(installed).some((entry) => entry.dev);
}

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}

function install(development, missing) {
  const args = [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    ...(development ? [] : ["--omit=dev"]),
  ];
  const first = !fs.existsSync(modules);
  const why = first ? "first run" : `${missing} is missing or out of date`;
  console.error(`Installing packages (${why}; npm ${args.join(" ")})`);
  const began = Date.now();
  const beat = setInterval(() => console.error(`  still installing, ${seconds(began)} s`), 10_000);
  return new Promise((resolve, reject) => {
    const child = spawnNpm(args);
    child.on("error", (error) => {
      clearInterval(beat);
      reject(
        failure(
          error.code === "ENOENT"
            ? "npm was not found on the PATH. It comes with Node (https://nodejs.org); on Debian: apt-get install npm"
            : `npm could not be started: ${error.message}`,
        ),
      );
    });
    child.on("exit", (code, signal) => {
      clearInterval(beat);
      if (code === 0) {
        console.error(`Packages installed in ${seconds(began)} s`);
        resolve();
        return;
      }
      reject(
        failure(
          `npm ended with ${signal || `exit code ${code}`} while installing packages; its message is above.\n` +
            "Behind a proxy, set HTTPS_PROXY; with a CA of your own, NODE_EXTRA_CA_CERTS or `npm config set cafile FILE`;\n" +
            "with a mirror, `npm config set registry URL`. Then run the command again: it goes on where it was.",
        ),
      );
    });
  });
}

/** The npm that runs this script, where one does: it has the user's settings and is sure to exist. */
function spawnNpm(args) {
  const cli = process.env.npm_execpath;
  // npm's own output goes to stderr: stdout belongs to the command (`--json`, `token`).
  const options = { cwd: root, stdio: ["ignore", process.stderr, process.stderr] };
  return cli && /npm-cli\.c?js$/.test(cli) ? spawn(process.execPath, [cli, ...args], options) : spawn("npm", args, options);
}

function seconds(began) {
  return Math.round((Date.now() - began) / 1000);
}

/** Lets one installation run at a time: two at once would delete each other's files. Resolves to a function that ends the turn. */
async function takeTurn() {
  const file = path.join(root, ".install.lock");
  for (let told = false; ; ) {
    try {
      fs.writeFileSync(file, String(process.pid), { flag: "wx" });
      return () => fs.rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST")
        throw failure(`packages cannot be installed in ${root}: ${error.message}. Make the folder writable for you.`);
    }
    const holder = Number(readText(file));
    if (holder && !isAlive(holder)) {
      fs.rmSync(file, { force: true });
      continue;
    }
    if (!told) console.error(`Waiting for another installation (process ${holder || "unknown"}) to end`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function readText(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
