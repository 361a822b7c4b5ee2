/** The program as a process: it never outlives the engine, and a shortened start changes nothing that it can see. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import type { EngineEvent } from "../../engine/events.ts";
import { startSource } from "../../engine/monitor.ts";
import { runProgram } from "../../engine/program.ts";
import { createMemorySink } from "../support/memory-sink.ts";
import { createProgramFolder, type ProgramFolder } from "../support/program-options.ts";

let folder: ProgramFolder;
before(async () => {
  folder = await createProgramFolder();
});
after(() => folder.remove());

/** A process that has ended but was not reaped yet counts as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !/\) [ZX] /.test(readFileSync(stat, "utf8"));
}

async function waitUntilGone(pids: number[]): Promise<void> {
  const deadline = Date.now() + 5000;
  while (pids.some(isAlive)) {
    assert.ok(Date.now() < deadline, `still running after 5 s: ${pids.filter(isAlive).join(", ")}`);
    await setTimeout(20);
  }
}

const busyPrograms = {
  "waits for ever": "setInterval(() => {}, 1000);",
  "is busy for ever": "for (;;);",
  "ignores signals": 'process.on("SIGTERM", () => {}); process.on("SIGINT", () => {}); setInterval(() => {}, 1000);',
};
for (const [name, code] of Object.entries(busyPrograms)) {
  const source = `import "@pulumi/pulumi"; import { spawn } from "node:child_process";
    const child = spawn("sleep", ["600"]); console.log(\`\${process.pid} \${process.ppid} \${child.pid}\`); ${code}`;

  test(`a program that ${name} dies with the engine's SIGKILL, with its children`, async () => {
    const options = await folder.write(source);
    const script = join(import.meta.dirname, "../support/run-program-forever.ts");
    const engine = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
    const line = await firstLine(engine.stdout);
    const pids = line.split(" ").map(Number);
    assert.equal(pids.filter(isAlive).length, 3, `all three run: ${line}`);
    engine.kill("SIGKILL");
    await waitUntilGone(pids);
  });

  test(`a program that ${name} is ended by cancel`, async () => {
    const options = await folder.write(source);
    const said = Promise.withResolvers<string>();
    const sink = createMemorySink({ stack: "dev", project: "demo" });
    const emit = (event: EngineEvent) => event.kind === "stdout" && said.resolve(event.message);
    const running = await startSource(options, { sink, runProgram, emit });
    const pids = (await said.promise).split(" ").map(Number);
    await running.cancel();
    const outcome = await running.registered;
    assert.equal(outcome.ok, false);
    await waitUntilGone(pids);
  });
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line;
  return assert.fail("the program said nothing");
}

test("stacks are the same with and without the shortened start", async () => {
  const { programDirectory } = await folder.write(`
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);
    const sdk = require.resolve("@pulumi/pulumi/package.json");
    require(createRequire(sdk).resolve("source-map-support/register"));
    const pulumi = require("@pulumi/pulumi");
    const texts: (string | undefined)[] = [];
    function inner(message: string) { const error = new TypeError(message); texts.push(error.stack); return error; }
    inner("one\\n    at fake (line:1:2)");
    await pulumi.output(1).apply(() => inner("")).promise;
    try { new pulumi.CustomResource("", "x"); } catch (error) { texts.push(error.stack); }
    try { null.x; } catch (error) { texts.push(error.stack); }
    for (const name of ["a", "b"]) { try { new pulumi.StackReference(); } catch (error) { texts.push(name + error.stack); } }
    texts.push(String(await pulumi.runtime.serializeFunction(() => 1).then((f) => f.text)));
    console.log(JSON.stringify(texts, undefined, 1));`);
  const run = promisify(execFile);
  const preload = join(import.meta.dirname, "../../engine/program-preload.cts");
  const [plain, short] = await Promise.all([
    run(process.execPath, ["index.ts"], { cwd: programDirectory }),
    run(process.execPath, ["--require", preload, "index.ts"], { cwd: programDirectory }),
  ]);
  assert.equal(short.stdout, plain.stdout);
  const texts: unknown = JSON.parse(plain.stdout);
  assert.ok(Array.isArray(texts) && texts.length >= 6);
  assert.match(plain.stdout, /output\.ts:\d+/, "frames of the SDK are mapped to its sources");
});
