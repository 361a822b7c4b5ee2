// Speed of the gateway beside nginx as a pass-through and Portkey's gateway, in one run; prints a table and fails below a floor.
// Options: --quick (one short round) · --rounds N · --seconds N · --only chat,large,…  (see scenarios in speed/figures.ts)
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { benchConfig, portkeyVersion, startNginx, startOurs, startPortkey } from "./speed/contenders.ts";
import { type Figure, figuresOf, runRounds, warmUp } from "./speed/figures.ts";
import { guardsOf, usageSeen } from "./speed/guards.ts";
import { createLoad } from "./speed/load.ts";
import { build, loadCpu, missingTools, type Program, startOn, testedCpu, watched } from "./speed/programs.ts";
import { scrapeStall } from "./speed/scrape.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    only: { type: "string" },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
const seconds = Number(values.seconds ?? (values.quick ? 1.5 : 4));
const missing = missingTools();
if (missing.length > 0) {
  console.error(missing.join("\n"));
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "openclaw-speed-"));
const running: Program[] = [];
const keep = <P extends Program>(program: P): P => {
  running.push(program);
  return program;
};
process.exitCode = await run().finally(async () => {
  await Promise.all(running.map((program) => program.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function run(): Promise<number> {
  const upstreamPort = await startUpstream();
  const load = createLoad(build("load", folder), folder, seconds);
  const figures: Figure[] = [];
  const wants = (name: string): boolean => values.only === undefined || values.only.split(",").includes(name);
  if (wants("memory")) figures.push(...(await memory(upstreamPort)));
  const contenders = {
    ours: keep(await startOurs(join(folder, "ours"), upstreamPort)),
    nginx: keep(await startNginx(folder, upstreamPort)),
    portkey: keep(await startPortkey()),
  };
  await warmUp(contenders, upstreamPort, createLoad(join(folder, "load"), folder, values.quick ? 1 : 2), values.only);
  const found = await runRounds(contenders, upstreamPort, rounds, load, values.only);
  figures.unshift(...figuresOf(found));
  if (wants("scrape")) figures.push(await scrape());
  const guards = await guardsOf(contenders.ours, join(folder, "ours"), () => usageSeen(contenders.ours));
  print(figures);
  console.log(`\nThe measured gateway's config:\n${JSON.stringify(benchConfig(0, 0), null, 1).replace(/\n\s*/g, " ")}\n`);
  for (const { name, on, seen } of guards) console.log(`${on ? "on " : "OFF"} ${name}: ${seen}`);
  const below = figures.filter((figure) => !meets(figure, figure.floor));
  for (const { work } of below) console.log(`below its floor: ${work}`);
  return below.length > 0 || guards.some(({ on }) => !on) ? 1 : 0;
}

async function startUpstream(): Promise<number> {
  const child = startOn(loadCpu, [build("upstream", folder), "50"]);
  keep(watched(child));
  if (!child.stdout) throw new Error("the fake upstream cannot be read");
  for await (const line of createInterface({ input: child.stdout })) return Number(line);
  throw new Error("the fake upstream did not start");
}

/** Of a gateway that did nothing yet, and of the same one while 256 clients ask. */
async function memory(upstreamPort: number): Promise<Figure[]> {
  // Of a second start, as in daily life: at the first one compiling takes some 15 MB, which stay.
  const first = keep(await startOurs(join(folder, "memory"), upstreamPort));
  await sleep(3000);
  await first.stop();
  const program = keep(await startOurs(join(folder, "memory"), upstreamPort));
  await sleep(3000);
  const idle = program.residentMb();
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(program.residentMb()), 100);
  const load = createLoad(build("load", folder), folder, Math.max(3, seconds));
  const contenders = { ours: program, nginx: program, portkey: program };
  await runRounds(contenders, upstreamPort, 1, load, "memory");
  clearInterval(timer);
  await program.stop();
  const figure = { unit: " MB", below: true, detail: "" };
  return [
    { ...figure, work: "RSS idle", floor: 95, goal: 80, measured: idle },
    { ...figure, work: "RSS at c=256", floor: 150, goal: 120, measured: Math.max(...samples), detail: "the highest sample" },
  ];
}

async function scrape(): Promise<Figure> {
  const { stallMs, bytes } = await scrapeStall(values.quick ? 3 : 9);
  return {
    work: "scrape with 10,000 label sets: event loop stall",
    floor: 10,
    goal: 2,
    measured: stallMs,
    unit: " ms",
    below: true,
    detail: `median of the longest stalls; ${(bytes / 1e6).toFixed(1)} MB of text`,
  };
}

function meets({ measured, below }: Figure, bound: number): boolean {
  return below ? measured <= bound : measured >= bound;
}

function print(figures: readonly Figure[]): void {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "processor"}`;
  console.log(`\nNode ${process.version}, Portkey ${portkeyVersion}, ${machine}; median of ${rounds} rounds of ${seconds} s.`);
  console.log(`The gateway, nginx and Portkey each on processor ${testedCpu}, load and upstream on processor ${loadCpu}.\n`);
  console.log("| work | floor | goal | measured | | |\n|---|---|---|---|---|---|");
  for (const figure of figures) {
    const { work, floor, goal, measured, unit, detail } = figure;
    const shown = Math.abs(measured) >= 20 ? measured.toFixed(0) : measured.toFixed(2);
    const verdict = meets(figure, goal) ? "goal" : meets(figure, floor) ? "floor" : "**missed**";
    console.log(`| ${work} | ${floor}${unit} | ${goal}${unit} | ${shown}${unit} | ${verdict} | ${detail} |`);
  }
}
