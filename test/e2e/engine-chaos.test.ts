/**
 * The engine is killed while resources with real files are made, replaced and removed: at forced points and at random ones.
 * Every file belongs to a resource in the state or to a pending operation that names it; every state file loads; the next
 * run names what was interrupted; no process is left behind.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { decodeDeployment, parseCheckpoint } from "../../engine/checkpoint.ts";
import { verifySnapshot } from "../../engine/integrity.ts";
import type { Snapshot } from "../../engine/resource.ts";
import { openSecrets } from "../../engine/secrets.ts";
import type { DeathPoint } from "../support/die-at.ts";

const repository = join(import.meta.dirname, "..", "..");
const main = join(repository, "engine", "main.ts");
const dieAt = join(repository, "test", "support", "die-at.ts");
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const randomPoints = 50;

let root: string;
let round = 0;
/** How many lines an undisturbed run prints. */
let usualLines = 0;
const marker = `chaos-${process.pid}`;

/** Each round replaces every resource: new files are made, then the old ones removed. Odd rounds have one more resource. */
const program = `
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as command from "@pulumi/command";
const root = join(import.meta.dirname, "..");
const round = readFileSync(join(root, "round"), "utf8");
const make = (name: string, options = {}) => {
  const file = join(root, "files", name + "-" + round);
  return new command.local.Command(name, { create: "echo made > " + file, delete: "rm -f " + file, triggers: [round] }, options);
};
const first = make("first");
make("second", { dependsOn: [first] });
make("third", { deleteBeforeReplace: true });
if (Number(round) % 2 === 1) make("odd");
`;

before(async () => {
  root = mkdtempSync(join(tmpdir(), "engine-chaos-"));
  for (const folder of ["infra", "stacks", "state", "files", "home"]) mkdirSync(join(root, folder));
  symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(root, "Pulumi.yaml"),
    "name: chaos\nmain: infra/index.ts\nstackConfigDir: stacks\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(root, "infra", "index.ts"), program);
  assert.equal((await engine(["stack", "init", "dev"])).exit, 0);
  await up();
  usualLines = (await up()).text.split("\n").length;
});
after(() => rmSync(root, { recursive: true, force: true }));

interface Ran {
  exit: number | string;
  text: string;
}

interface Ending {
  die?: DeathPoint;
  /** SIGKILL so long after so many lines of output. */
  kill?: { lines: number; delayMs: number };
}

function engine(args: string[], options: Ending = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...(options.die ? ["--import", dieAt] : []), main, ...args], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        HOME: join(root, "home"),
        PULUMI_BACKEND_URL: `file://${root}/state`,
        PULUMI_CONFIG_PASSPHRASE: "x",
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, "home", "compiled"),
        CHAOS: marker,
        ...(options.die ? { DIE_AT: JSON.stringify(options.die) } : {}),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    let timer: NodeJS.Timeout | undefined;
    const watch = (): void => {
      const { kill } = options;
      if (kill && !timer && text.split("\n").length > kill.lines) timer = setTimeout(() => child.kill("SIGKILL"), kill.delayMs);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        watch();
      });
    }
    watch();
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ exit: code ?? signal ?? "", text });
    });
  });
}

/** A new round: everything is to be replaced. */
function up(options: Ending = {}): Promise<Ran> {
  round++;
  writeFileSync(join(root, "round"), String(round));
  return engine(["up", "--yes", "--skip-preview"], options);
}

/** Ids of processes that were begun by the engine or its children. */
function left(): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      const running = !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
      return running && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`CHAOS=${marker}`);
    } catch {
      return false;
    }
  });
}

async function noneLeft(): Promise<void> {
  const end = performance.now() + 5000;
  while (left().length > 0) {
    assert.ok(performance.now() < end, `processes are left: ${left().map(commandLine).join("; ")}`);
    await delay(10);
  }
}

function commandLine(pid: string): string {
  try {
    return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`;
  } catch {
    return pid;
  }
}

async function load(path: string): Promise<Snapshot> {
  const { latest } = parseCheckpoint(path, readFileSync(path));
  assert.ok(latest, path);
  const secrets = await openSecrets(latest.secretsProvider?.salt ?? "", { PULUMI_CONFIG_PASSPHRASE: "x" });
  const snapshot = decodeDeployment(path, latest, secrets);
  verifySnapshot(path, latest, snapshot);
  return snapshot;
}

/** Operated on by a run that was killed, and by no whole run since: as the CLI does, a run drops older entries of deletions. */
const doubtful = new Set<string>();
const stateFile = (): string => join(root, "state", ".pulumi", "stacks", "chaos", "dev.json");

/** What must hold whenever the engine is not running. Returns the state. */
async function check(): Promise<Snapshot> {
  await noneLeft();
  const pulumi = join(root, "state", ".pulumi");
  for (const name of readdirSync(pulumi, { recursive: true, encoding: "utf8" })) {
    if (/(stacks|backups)\/.*\.json(\.bak)?$|\.checkpoint\.json$/.test(name)) await load(join(pulumi, name));
  }
  const snapshot = await load(stateFile());
  const files = readdirSync(join(root, "files"));
  const known = [...snapshot.resources, ...snapshot.pendingOperations.map(({ resource }) => resource)];
  for (const file of files) {
    const owner = known.find((resource) => String(resource.inputs?.create ?? "").endsWith(`/${file}`));
    assert.ok(owner, `${file} belongs to nothing in the state`);
  }
  for (const { resource } of snapshot.pendingOperations) doubtful.add(resource.urn);
  for (const { urn, inputs, pendingReplacement } of snapshot.resources) {
    // Deleted before it is replaced: it stays in the state, marked, until the new one is there.
    if (pendingReplacement) continue;
    const file = /\/([^/]+)$/.exec(String(inputs?.create ?? ""))?.[1];
    if (file && !doubtful.has(urn)) assert.ok(files.includes(file), `${urn} is in the state, but its file is gone`);
  }
  return snapshot;
}

/** The next run goes through, and says what was interrupted and whose lock it took. */
async function recover(interrupted: Snapshot): Promise<void> {
  const locked = locks().length > 0;
  const { exit, text } = await up();
  assert.equal(exit, 0, text);
  for (const { resource, type } of interrupted.pendingOperations) {
    assert.ok(text.includes(`${resource.urn}, interrupted while ${type}`), `${resource.urn} is not named in:\n${text}`);
  }
  assert.equal(text.includes("took over the lock"), locked, text);
  assert.deepEqual(locks(), []);
  doubtful.clear();
  await check();
}

function locks(): string[] {
  try {
    return readdirSync(join(root, "state", ".pulumi", "locks", "organization", "chaos", "dev"));
  } catch {
    return [];
  }
}

const forced: { name: string; die: DeathPoint; pending?: string }[] = [
  { name: "before the pending entry is on disk", die: { at: "before-sync", match: '"type":"creating"' } },
  { name: "between fsync and rename of the pending entry", die: { at: "after-sync", match: '"type":"creating"' } },
  { name: "between the backup and the rename", die: { at: "before-rename", match: '"type":"creating"' } },
  {
    name: "after the rename of the pending entry",
    die: { at: "after-rename", match: '"type":"creating"' },
    pending: "creating",
  },
  { name: "before the folder's fsync", die: { at: "before-folder-sync", match: '"type":"creating"' }, pending: "creating" },
  {
    name: "the entry is on disk, the command has not begun",
    die: { at: "before-command", match: "echo made" },
    pending: "creating",
  },
  {
    name: "the command has ended, its result is not on disk",
    die: { at: "after-command", match: "echo made" },
    pending: "creating",
  },
  { name: "before a replacement's delete is on disk", die: { at: "before-sync", match: '"type":"deleting"' } },
  { name: "before a replacement's delete", die: { at: "before-command", match: "rm -f" }, pending: "deleting" },
  { name: "after a replacement's delete", die: { at: "after-command", match: "rm -f" }, pending: "deleting" },
];

const skip = process.platform === "linux" ? false : "needs /proc";

for (const { name, die, pending } of forced) {
  test(`killed: ${name}`, { skip }, async () => {
    const { exit, text } = await up({ die });
    assert.equal(exit, "SIGKILL", text);
    const snapshot = await check();
    if (pending)
      assert.ok(
        snapshot.pendingOperations.some(({ type }) => type === pending),
        `an operation is pending (${pending})`,
      );
    await recover(snapshot);
  });
}

test(`killed at ${randomPoints} random moments (CHAOS_SEED=${seed})`, { skip }, async () => {
  const random = createRandom(seed);
  let killed = 0;
  let interrupted = 0;
  for (let i = 0; i < randomPoints; i++) {
    // Counted in lines, since most of a run's time is the program's start; one in ten lies in there.
    const early = random() < 0.1;
    const lines = early ? 0 : 2 + Math.floor(random() * (usualLines - 6));
    const { exit } = await up({ kill: { lines, delayMs: random() * (early ? 1000 : 25) } });
    if (exit === "SIGKILL") killed++;
    const snapshot = await check();
    if (snapshot.pendingOperations.length > 0) interrupted++;
  }
  assert.ok(killed > randomPoints / 2, `${killed} runs were killed`);
  assert.ok(interrupted > 0, "some were killed in the middle of an operation");
  await recover(await check());
});

test("destroy leaves nothing but what was interrupted", { skip }, async () => {
  const { exit, text } = await engine(["destroy", "--yes", "--skip-preview"]);
  assert.equal(exit, 0, text);
  const snapshot = await check();
  assert.deepEqual(snapshot.resources, []);
});

/** Numbers in [0, 1) that a seed repeats. */
function createRandom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
