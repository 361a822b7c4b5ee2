/** One command from its arguments to its exit code: hands over to the Pulumi CLI where that is to run, otherwise dispatches. */
import { readFileSync, writeSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { type Arguments, NeedsCliError, parseArguments } from "./args.ts";
import type { CommandContext } from "./commands/context.ts";
import type { Terminal } from "./commands/operation.ts";
import { EngineError } from "./errors.ts";

// Most of the engine is imported after this line, so that its second start takes half the time and memory.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "openclaw-stack", "node-compile-cache"));

type Env = CommandContext["env"];

/** Commands that change or compare resources: they say first which engine runs. */
const deployments = ["preview", "up", "refresh", "destroy"];

/** Runs a command and returns its exit code; what went wrong is printed as one sentence. */
export async function runCommandLine(argv: string[], env: Env): Promise<number> {
  try {
    return await run(argv, env);
  } catch (error) {
    const known = error instanceof EngineError;
    const text = known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`error: ${text}\n`);
    return known ? error.exitCode : 1;
  }
}

async function run(argv: string[], env: Env): Promise<number> {
  let args: Arguments | undefined;
  try {
    args = parseArguments(argv);
  } catch (error) {
    return error instanceof NeedsCliError ? elsewhere(argv, env, error) : Promise.reject(error);
  }
  if (!args || args.has("help")) {
    const { usageText } = await import("./usage.ts");
    process.stdout.write(usageText(args?.command));
    return args || argv.some((word) => word === "--help" || word === "-h") ? 0 : 1;
  }
  const cwd = resolve(args.text("cwd") ?? ".");
  const stack = args.text("stack") ?? env.PULUMI_STACK;
  const { chooseEngine, engineLine, requireCli, runOfficial } = await import("./official.ts");
  if (args.command === "pulumi") return runOfficial(await requireCli(env), args.rest, { cwd, env, stack });
  const choice = await chooseEngine({ cwd, env, stack, wanted: args.text("engine") });
  if (deployments.includes(args.command)) {
    const line = engineLine(choice, ownVersion());
    (args.has("json") ? process.stderr : process.stdout).write(line);
  }
  if (choice.engine === "pulumi" && choice.cli)
    return runOfficial(choice.cli, withoutEngine(argv), { cwd: process.cwd(), env });
  return dispatch(args, await createContext(args, cwd, env, stack), createTerminal(args, env));
}

/** Where the CLI is the engine, what only the CLI has is no mistake. */
async function elsewhere(argv: string[], env: Env, refusal: NeedsCliError): Promise<number> {
  const given = (...names: string[]): string | undefined => {
    const at = argv.findIndex((word) => names.some((name) => word === name || word.startsWith(`${name}=`)));
    const word = argv[at];
    return word?.includes("=") ? word.slice(word.indexOf("=") + 1) : word && argv[at + 1];
  };
  const { chooseEngine, runOfficial } = await import("./official.ts");
  const cwd = resolve(given("-C", "--cwd") ?? ".");
  const stack = given("-s", "--stack") ?? env.PULUMI_STACK;
  const choice = await chooseEngine({ cwd, env, stack, wanted: given("--engine") });
  if (choice.engine !== "pulumi" || !choice.cli) throw refusal;
  return runOfficial(choice.cli, withoutEngine(argv), { cwd: process.cwd(), env });
}

async function dispatch(args: Arguments, context: CommandContext, terminal: Terminal): Promise<number> {
  const operation = { args, context, terminal };
  switch (args.command) {
    case "preview":
      return (await import("./commands/preview.ts")).preview(operation);
    case "up":
      return (await import("./commands/up.ts")).up(operation);
    case "refresh":
      return (await import("./commands/refresh.ts")).refresh(operation);
    case "destroy":
      return (await import("./commands/destroy.ts")).destroy(operation);
    default:
      return (await import("./commands/dispatch.ts")).dispatchOther(args, context);
  }
}

async function createContext(args: Arguments, cwd: string, env: Env, stack: string | undefined): Promise<CommandContext> {
  const interactive =
    process.stdin.isTTY === true && process.stdout.isTTY === true && !args.has("non-interactive") && !args.has("json");
  const { ask, askHidden, readStdin } = await import("./commands/ask.ts");
  return {
    cwd,
    env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interactive,
    ask: interactive ? ask : undefined,
    askHidden: interactive ? askHidden : undefined,
    readStdin: process.stdin.isTTY === true ? undefined : readStdin,
    stack,
    configFile: args.text("config-file"),
    now: () => new Date(),
  };
}

function createTerminal(args: Arguments, env: Env): Terminal {
  const color = args.text("color") ?? "auto";
  if (!["auto", "always", "never", "raw"].includes(color)) {
    throw new EngineError(`unsupported color option: '${color}'. Supported values are: auto, always, never, raw`);
  }
  const output = process.stdout.isTTY === true && env.TERM !== "dumb";
  if (output) process.on("exit", () => writeSync(1, "\u001b[?25h"));
  return {
    output,
    colors: color === "always" || (color === "auto" && output && !env.NO_COLOR),
    columns: () => process.stdout.columns || 80,
    rows: () => process.stdout.rows || 24,
  };
}

function withoutEngine(argv: string[]): string[] {
  const end = argv.indexOf("--");
  return argv.filter((word, i) => {
    if (end >= 0 && i >= end) return true;
    return !(word === "--engine" || word.startsWith("--engine=") || argv[i - 1] === "--engine");
  });
}

function ownVersion(): string {
  const { version }: { version?: unknown } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return typeof version === "string" ? version : "";
}
