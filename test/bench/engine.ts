/**
 * `npm run bench:engine`: how long the engine takes for N resources, and how much memory, beside the program alone and, where
 * it is installed, the official CLI. Prints Markdown. `--runs 3 --only "RandomIds 200"`.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chooseEngine } from "../../engine/official.ts";
import { runProgram } from "../../engine/program.ts";
import { deploymentOptions } from "../support/deployment-options.ts";
import { startIdleEngine } from "../support/idle-engine.ts";

const { values } = parseArgs({
  options: { runs: { type: "string", default: "3" }, only: { type: "string" }, keep: { type: "boolean" } },
});
const runs = Number(values.runs);
const root = join(import.meta.dirname, "../..");

interface Workload {
  name: string;
  program: string;
  resources: number;
  /** Seconds and megabytes to reach; undefined where none were set. */
  goal?: { preview: number; create: number; same: number; megabytes: number };
}

function randomIds(count: number, goal: Workload["goal"]): Workload {
  const program = `import * as random from "@pulumi/random";
for (let i = 0; i < ${count}; i++) new random.RandomId(\`id-\${i}\`, { byteLength: 4 });
`;
  return { name: `RandomIds ${count}`, program, resources: count, goal };
}

const workloads: Workload[] = [
  randomIds(10, { preview: 1.1, create: 1.3, same: 1.1, megabytes: 130 }),
  randomIds(200, { preview: 2.1, create: 2.6, same: 2.1, megabytes: 160 }),
  randomIds(1000, { preview: 5, create: 7, same: 5, megabytes: 260 }),
  {
    name: "local.Commands 200 of 10 KB",
    resources: 200,
    program: `import * as command from "@pulumi/command";
for (let i = 0; i < 200; i++) new command.local.Command(\`c-\${i}\`, { create: "head -c 10240 /dev/zero | tr '\\\\0' x" });
`,
  },
];

interface Measured {
  seconds: number;
  megabytes: number;
}

interface Folder {
  path: string;
  env: NodeJS.ProcessEnv;
}

function createFolder(workload: Workload): Folder {
  const path = mkdtempSync(join(tmpdir(), "bench-engine-"));
  for (const name of ["infra", "stacks", "state", "home"]) mkdirSync(join(path, name));
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  writeFileSync(join(path, "package.json"), '{"type":"module","dependencies":{"@pulumi/random":"*","@pulumi/command":"*"}}');
  writeFileSync(
    join(path, "Pulumi.yaml"),
    "name: bench\nmain: infra/index.ts\nstackConfigDir: stacks\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(path, "infra", "index.ts"), workload.program);
  const env = {
    ...process.env,
    PULUMI_BACKEND_URL: `file://${join(path, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "bench",
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
  return { path, env };
}

/** Runs a command; its peak memory is what the kernel noted of the process itself, read until it ends. */
function measure(command: string[], folder: Folder): Promise<Measured> {
  const [file = "", ...args] = command;
  const started = performance.now();
  const child = spawn(file, args, { cwd: folder.path, env: folder.env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  let kilobytes = 0;
  const watch = setInterval(() => {
    kilobytes = Math.max(kilobytes, peakOf(child.pid));
  }, 10);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      clearInterval(watch);
      const seconds = (performance.now() - started) / 1000;
      if (code === 0) resolve({ seconds, megabytes: kilobytes / 1024 });
      else reject(new Error(`${command.join(" ")} ended with ${code}:\n${output}`));
    });
  });
}

function peakOf(pid: number | undefined): number {
  try {
    const [, peak = "0"] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(peak);
  } catch {
    return 0;
  }
}

function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

interface Row {
  preview: number;
  create: number;
  same: number;
  megabytes: number;
}

async function measureEngine(workload: Workload, engine: string[]): Promise<Row> {
  const rows: Row[] = [];
  for (let run = 0; run < runs; run++) {
    const folder = createFolder(workload);
    try {
      await measure([...engine, "stack", "init", "dev"], folder);
      const preview = await measure([...engine, "preview", "-s", "dev"], folder);
      const up = ["up", "--yes", "--skip-preview", "--non-interactive", "-s", "dev"];
      const create = await measure([...engine, ...up], folder);
      const same = await measure([...engine, ...up, "--expect-no-changes"], folder);
      const megabytes = Math.max(preview.megabytes, create.megabytes, same.megabytes);
      rows.push({ preview: preview.seconds, create: create.seconds, same: same.seconds, megabytes });
    } finally {
      if (!values.keep) rmSync(folder.path, { recursive: true, force: true });
    }
  }
  const pick = (key: keyof Row): number => median(rows.map((row) => row[key]));
  return { preview: pick("preview"), create: pick("create"), same: pick("same"), megabytes: pick("megabytes") };
}

/** The program with an engine that answers at once. */
async function measureProgram(workload: Workload): Promise<number> {
  const folder = createFolder(workload);
  const seconds: number[] = [];
  try {
    for (let run = 0; run < runs; run++) {
      const engine = await startIdleEngine();
      const started = performance.now();
      const running = runProgram({
        monitorAddress: engine.address,
        engineAddress: engine.address,
        onOutput: (_stream, line) => console.error(line),
        options: deploymentOptions({
          project: "bench",
          parallel: 16,
          rootDirectory: folder.path,
          programDirectory: join(folder.path, "infra"),
          entryPoint: "index.ts",
          runtimeOptions: { typescript: false },
        }),
      });
      const { code } = await running.exited;
      seconds.push((performance.now() - started) / 1000);
      engine.close();
      if (code !== 0 || engine.registered() < workload.resources) throw new Error(`the program alone ended with ${code}`);
    }
  } finally {
    rmSync(folder.path, { recursive: true, force: true });
  }
  return median(seconds);
}

const show = (seconds: number): string => seconds.toFixed(seconds < 10 ? 2 : 1);
const times = (row: Row): string => `${show(row.preview)} / ${show(row.create)} / ${show(row.same)}`;

const official = await chooseEngine({ cwd: root, env: process.env, wanted: undefined });
const cli = official.engine === "pulumi" ? official.cli : undefined;
const [cpu] = cpus();
console.log(
  `\n${cpus().length} × ${cpu?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; medians of ${runs} runs.`,
);
console.log(cli ? `Pulumi CLI ${cli.version} beside it.\n` : `Without the Pulumi CLI: ${official.why}.\n`);
console.log(
  "| resources | preview / create / no change, s | goal, s | peak memory, MB | goal, MB | program alone, s | no change ÷ program alone | official CLI, s |",
);
console.log("|---|---|---|---|---|---|---|---|");
for (const workload of workloads) {
  if (values.only && !workload.name.includes(values.only)) continue;
  const alone = await measureProgram(workload);
  const ours = await measureEngine(workload, [
    process.execPath,
    "--max-semi-space-size=4",
    join(root, "engine/main.ts"),
    "--engine",
    "embedded",
  ]);
  const theirs = cli ? await measureEngine(workload, [cli.path]) : undefined;
  const { goal } = workload;
  const cells = [
    workload.name,
    times(ours),
    goal ? times({ ...goal }) : "–",
    ours.megabytes.toFixed(0),
    goal ? String(goal.megabytes) : "–",
    show(alone),
    (ours.same / alone).toFixed(2),
    theirs ? `${times(theirs)} (${(theirs.create / ours.create).toFixed(1)} × our time to create)` : "–",
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
process.exit(0);
