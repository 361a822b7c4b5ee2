/**
 * `node test/run-files.ts --timeout MS --at-once N FILE ...`: runs test files, each a process of its own, in the order given,
 * which Node's own `--test` sorts anew. Says when each has ended, which took longest, and last of all, in few lines, what failed.
 */
import { basename, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";

/** The rest of a message stands in the full report above. */
const linesOfFailure = 6;
const longestFiles = 12;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { timeout: { type: "string", default: "120000" }, "at-once": { type: "string", default: "1" } },
});
const files = positionals.map((file) => resolve(file));
const failures: string[] = [];
/** Tests that were left out, by the reason that they gave. */
const skipped = new Map<string, string[]>();
const began = new Map<string, number>();
const seconds = new Map<string, number>();

const events = run({
  files,
  concurrency: Number(values["at-once"]),
  execArgv: [...process.execArgv, `--test-timeout=${values.timeout}`],
});
events.on("test:dequeue", ({ name }) => {
  if (files.includes(name)) began.set(name, performance.now());
});
events.on("test:complete", ({ name, details }) => {
  const start = began.get(name);
  if (start === undefined || seconds.has(name)) return;
  seconds.set(name, (performance.now() - start) / 1000);
  const outcome = details.error === undefined ? "ended" : "FAILED";
  console.log(`-- ${seconds.size} of ${files.length}: ${basename(name)} ${outcome} after ${inSeconds(name)}`);
});
events.on("test:fail", ({ name, file, details }) => {
  const { failureType, cause, message } = details.error as Error & { failureType?: string };
  if (failureType === "subtestsFailed") return;
  const why = failureType !== "testTimeoutFailure" && cause instanceof Error ? cause.message : message;
  const lines = why.split("\n").filter((line) => line.trim() !== "");
  failures.push(
    [`${basename(file ?? "")}: ${basename(name)}`, ...lines.slice(0, linesOfFailure).map((line) => `  ${line}`)].join("\n"),
  );
});
events.on("test:pass", ({ name, file, skip }) => {
  if (skip === undefined || skip === false) return;
  const reason = typeof skip === "string" && skip !== "" ? skip : "without a reason";
  skipped.set(reason, [...(skipped.get(reason) ?? []), `${basename(file ?? "")}: ${name}`]);
});
// The last of them, which has no file, is of all.
events.on("test:summary", ({ file, success }) => {
  if (file === undefined && !success) process.exitCode = 1;
});

const reporter = new spec();
const report = events.compose(reporter);
report.on("end", () => {
  const longest = [...seconds.keys()].sort((one, other) => (seconds.get(other) ?? 0) - (seconds.get(one) ?? 0));
  if (files.length > longestFiles)
    console.log(
      `longest: ${longest
        .slice(0, longestFiles)
        .map((file) => `${basename(file)} ${inSeconds(file)}`)
        .join(", ")}`,
    );
  for (const [reason, names] of skipped) console.log(`not run, ${reason}: ${names.join("; ")}`);
  if (failures.length > 0) {
    process.exitCode = 1;
    console.log(`\n${failures.length} failed:\n${failures.join("\n")}`);
  }
});
report.pipe(process.stdout);

function inSeconds(file: string): string {
  return `${(seconds.get(file) ?? 0).toFixed(0)} s`;
}
