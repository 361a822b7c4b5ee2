/**
 * `npm test`: lint, types, then the tests, with progress and a summary that says what did not run and why.
 * `--fast` leaves out the end-to-end tests (real programs, processes, clones); `--only <name>` runs one part.
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "..");
const node = process.execPath;

interface Part {
  name: string;
  what: string;
  command: string[];
  fast: boolean;
}

const testFiles = (pattern: string): string[] => globSync(pattern, { cwd: root }).sort();

/** Each file is a process of its own. */
const nodeTest = (files: string[], options: { timeoutMs: number; atOnce: number }): string[] => [
  node,
  "--disable-warning=ExperimentalWarning",
  "test/run-files.ts",
  `--timeout=${options.timeoutMs}`,
  `--at-once=${options.atOnce}`,
  ...files,
];

const endToEnd = (names: string[]): string[] => names.map((name) => `test/e2e/${name}.test.ts`);

/** Measures delays for most of ten minutes: one other lane of about the same length is all that may run beside it. */
const calm = endToEnd(["docker-load", "vm-target-caddy", "vm-boundaries"]);
/** Begun first, so that no long one runs alone at the end. */
const longest = endToEnd([
  "vm-target",
  "docker-boundaries",
  "vm-acme",
  "docker-compose",
  "docker-target",
  "docker-secrets-planted",
  "vm-secrets-planted",
  "vm-cloud-init",
]);

function longestFirst(files: string[]): string[] {
  const rank = (file: string): number => (longest.includes(file) ? longest.indexOf(file) : longest.length);
  return files.toSorted((one, other) => rank(one) - rank(other));
}

function parts(): Part[] {
  const unit = testFiles("test/**/*.test.ts").filter((file) => !file.startsWith("test/e2e/"));
  const e2e = testFiles("test/e2e/**/*.test.ts").filter((file) => !calm.includes(file));
  const timeoutMs = 1_200_000;
  return [
    {
      name: "lint",
      what: "format and lint",
      command: [node, "node_modules/@biomejs/biome/bin/biome", "check", "."],
      fast: true,
    },
    { name: "types", what: "the compiler", command: [node, "node_modules/typescript/bin/tsc", "-p", "."], fast: true },
    {
      name: "unit",
      what: `${unit.length} files`,
      command: nodeTest(unit, { timeoutMs: 120_000, atOnce: availableParallelism() }),
      fast: true,
    },
    {
      name: "load",
      what: `${calm.length} files: a Docker host under constant load, and servers that boot`,
      command: nodeTest(calm, { timeoutMs, atOnce: 2 }),
      fast: false,
    },
    {
      name: "e2e",
      what: `${e2e.length} files with real programs, processes and clones`,
      // Most of their time is waiting for processes of their own.
      command: nodeTest(longestFirst(e2e), { timeoutMs, atOnce: 3 }),
      fast: false,
    },
  ];
}

function run(command: string[]): Promise<number> {
  const [program = node, ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => {
      console.error(error.message);
      resolve(127);
    });
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

const { values } = parseArgs({ options: { fast: { type: "boolean" }, only: { type: "string" } } });
const chosen = parts().filter((part) => (values.only ? part.name === values.only : part.fast || !values.fast));
if (chosen.length === 0) {
  console.error(
    `--only ${values.only}: there is no such part; there are ${parts()
      .map((part) => part.name)
      .join(", ")}`,
  );
  process.exit(2);
}
const summary: string[] = [];
let failed = false;
for (const part of chosen) {
  console.log(`\n== ${part.name}: ${part.what}`);
  const began = performance.now();
  const code = await run(part.command);
  failed ||= code !== 0;
  summary.push(
    `${code === 0 ? "passed" : "FAILED"}  ${part.name.padEnd(6)} ${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s`,
  );
}
console.log(`\n${summary.join("\n")}`);
if (values.fast) console.log("not run: load, e2e (real programs, processes and clones): npm test runs them");
process.exitCode = failed ? 1 : 0;
