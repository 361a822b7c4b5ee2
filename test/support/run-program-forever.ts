/** Runs a program that never ends, in an engine process that a test kills. Argument: the options as JSON. */
import { startSource } from "../../engine/monitor.ts";
import { runProgram } from "../../engine/program.ts";
import { createMemorySink } from "./memory-sink.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
const sink = createMemorySink({ stack: "dev", project: "demo" });
const emit = (event: { kind: string; message?: string }) => {
  if (event.kind === "stdout") process.stdout.write(`${event.message}\n`);
};
await startSource(options, { sink, runProgram, emit });
