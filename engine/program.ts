/**
 * Runs the user's program: `node @pulumi/pulumi/cmd/run`, in a process group of its own that cannot outlive the engine.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants, homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import type { DeploymentOptions, RunningProgram, RunProgram, RunProgramRequest } from "./deployment.ts";
import { EngineError } from "./errors.ts";

/**
 * Starts the program and, beside it, a reader of descriptor 3: the engine holds the other end, so when the engine is gone,
 * however it ended, the reader sees the end of the pipe and kills the whole group. A program that is busy cannot prevent it,
 * nor one that does not heed SIGTERM, which the whole group gets when the engine ends it.
 * What the shell itself has to say about processes that ended ("Terminated") is nobody's output. Descriptor 4 is the program's alone.
 */
const guardedStart = `
trap : TERM
"$@" 3<&- </dev/null &
program=$!
{ trap '' TERM; read -r _; kill -KILL 0; } <&3 3<&- 4<&- >/dev/null 2>&1 &
guard=$!
exec 3<&- 4<&- >/dev/null 2>&1
wait $program; code=$?
while kill -0 $program 2>/dev/null; do wait $program; code=$?; done
kill -KILL $guard
exit $code`;

/** How long the program may take to end after SIGTERM. */
const graceMs = 2000;
/** How long the rest of the program's output is waited for after its end, as the CLI's language host does. */
const outputDelayMs = 5000;

export const runProgram: RunProgram = (request) => {
  const { options } = request;
  const child = spawn(
    "/bin/sh",
    ["-c", guardedStart, "sh", process.execPath, ...nodeArguments(options), ...runArguments(request)],
    {
      cwd: options.programDirectory,
      env: environment(options),
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    },
  );
  giveConfig(child.stdio[4], options);
  const output = [forwardLines(child.stdout, "stdout", request), forwardLines(child.stderr, "stderr", request)];
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once("error", (error) => {
      reject(new EngineError(`could not start the program: ${error.message}`, { cause: error }));
    });
    child.once("exit", (code, signal) => resolve(describeExit(code, signal)));
  });
  const exited = ended.then(async (result) => {
    // Something that the program left running may still hold its output.
    await Promise.race([output, setTimeout(outputDelayMs, undefined, { ref: false })]);
    return result;
  });
  return { exited, kill: () => endGroup(child.pid, exited) };
};

/** The arguments that the CLI's language host gives to the SDK's runner. */
function runArguments({ options, monitorAddress, engineAddress }: RunProgramRequest): string[] {
  return [
    runnerPath(options.programDirectory),
    "--monitor",
    monitorAddress,
    "--engine",
    engineAddress,
    "--organization",
    options.organization,
    "--project",
    options.project,
    "--root-directory",
    options.rootDirectory,
    "--stack",
    options.stack,
    "--pwd",
    options.programDirectory,
    ...(options.dryRun ? ["--dry-run"] : []),
    "--parallel",
    String(options.parallel),
    options.entryPoint ?? ".",
  ];
}

/** The SDK is the program's own, as with the CLI. */
function runnerPath(programDirectory: string): string {
  try {
    return createRequire(join(programDirectory, "index.js")).resolve("@pulumi/pulumi/cmd/run");
  } catch (error) {
    throw new EngineError(
      `the program in ${programDirectory} needs the package @pulumi/pulumi, which is not installed there: run \`npm install\``,
      { cause: error },
    );
  }
}

function nodeArguments(options: DeploymentOptions): string[] {
  const own = options.runtimeOptions?.nodeargs ?? "";
  // Words as a shell reads them, quoted ones whole.
  const words = [...own.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );
  return ["--require", join(import.meta.dirname, "program-preload.cts"), ...words];
}

function environment(options: DeploymentOptions): NodeJS.ProcessEnv {
  const { PULUMI_NODEJS_TYPESCRIPT: _typescript, TRACEPARENT: _trace, PULUMI_CONFIG: _config, ...inherited } = process.env;
  const runtime = options.runtimeOptions ?? {};
  return {
    NODE_COMPILE_CACHE: join(inherited.XDG_CACHE_HOME || join(homedir(), ".cache"), "openclaw-stack", "node-compile-cache"),
    ...inherited,
    // A proxy is for the world outside: without this the SDK would ask it for the engine on this machine.
    no_grpc_proxy: [inherited.no_grpc_proxy || inherited.no_proxy, "127.0.0.1"].filter(Boolean).join(","),
    // See program-preload.cts.
    OPENCLAW_ENGINE_CONFIG: "4",
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(options.configSecretKeys),
    ...(runtime.typescript === false ? {} : { PULUMI_NODEJS_TYPESCRIPT: "true" }),
    ...(runtime.tsconfig ? { PULUMI_NODEJS_TSCONFIG_PATH: runtime.tsconfig } : {}),
  };
}

/** By a pipe: it holds secrets, and the environment of a process can be read by others of its user as long as it runs. */
function giveConfig(pipe: Readable | Writable | null | undefined, { config }: DeploymentOptions): void {
  if (!pipe || !("end" in pipe)) throw new EngineError("could not start the program: it has no pipe for its configuration");
  // A program that ends at once has not read it.
  pipe.on("error", () => {});
  pipe.end(JSON.stringify(Object.fromEntries(Object.entries(config).map(([key, value]) => [longKey(key), value]))));
}

/** `project:name` in the form that every SDK reads, `project:config:name`. */
function longKey(key: string): string {
  const colon = key.indexOf(":");
  return `${key.slice(0, colon)}:config:${key.slice(colon + 1)}`;
}

function forwardLines(stream: Readable | null, name: "stdout" | "stderr", request: RunProgramRequest): Promise<void> {
  if (!stream) return Promise.resolve();
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("line", (line) => request.onOutput(name, line));
  return new Promise((resolve) => lines.once("close", resolve));
}

/** A shell says "ended by signal n" as 128 + n. */
function describeExit(code: number | null, signal: string | null): { code: number | null; signal: string | null } {
  const name = Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0];
  return name ? { code: null, signal: name } : { code, signal };
}

async function endGroup(pid: number | undefined, exited: RunningProgram["exited"]): Promise<void> {
  if (pid === undefined) return;
  signalGroup(pid, "SIGTERM");
  const gone = exited.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([gone, setTimeout(graceMs, false, { ref: false })]);
  if (inTime) return;
  signalGroup(pid, "SIGKILL");
  await gone;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}
