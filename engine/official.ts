/** Finds the official Pulumi CLI and the plug-ins that a stack needs, says which engine runs and why, and hands over. */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { EngineError } from "./errors.ts";
import { loadProject } from "./project.ts";

type Env = { [name: string]: string | undefined };

export interface OfficialCli {
  path: string;
  /** Without the "v". */
  version: string;
}

export interface NeededPlugin {
  name: string;
  version?: string;
}

export interface EngineChoice {
  engine: "pulumi" | "embedded";
  cli?: OfficialCli;
  why: string;
}

/** Older ones do not know what the SDK of this project sends. */
const oldestVersion = "3.200.0";

/** Only what runs: a file of that name that is not executable is not the CLI. */
async function findExecutable(name: string, env: Env): Promise<string | undefined> {
  const folders = [
    ...(env.PATH ?? "").split(delimiter),
    join(pulumiHome(env), "bin"),
    join(env.HOME ?? homedir(), ".pulumi", "bin"),
  ];
  for (const folder of folders) {
    if (folder === "") continue;
    const path = join(folder, name);
    if (await canRun(path)) return path;
  }
  return undefined;
}

async function canRun(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function pulumiHome(env: Env): string {
  return env.PULUMI_HOME || join(env.HOME ?? homedir(), ".pulumi");
}

/** The CLI with its version; `problem` where there is none that can be used. */
async function findCli(env: Env): Promise<{ cli?: OfficialCli; problem?: string }> {
  const path = await findExecutable("pulumi", env);
  if (path === undefined) return { problem: "no Pulumi CLI was found on the PATH or in ~/.pulumi/bin" };
  const { code, out } = await capture(path, ["version"], env);
  const [, version] = /^v?(\d+\.\d+\.\d+\S*)\s*$/.exec(out) ?? [];
  if (code !== 0 || version === undefined) {
    return {
      problem: `the Pulumi CLI at ${path} does not work: \`pulumi version\` ${code === 0 ? "did not print a version" : `failed (${code})`}`,
    };
  }
  if (older(version, oldestVersion)) {
    return { problem: `the Pulumi CLI at ${path} is too old: ${version}; at least ${oldestVersion} is needed` };
  }
  return { cli: { path, version } };
}

function older(version: string, least: string): boolean {
  const a = version.split(/[.+-]/).map(Number);
  const b = least.split(".").map(Number);
  for (let i = 0; i < 3; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}

function capture(path: string, args: string[], env: Env): Promise<{ code: number | string; out: string }> {
  return new Promise((resolve) => {
    const child = spawn(path, args, {
      env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 20_000,
    });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.on("error", (error) => resolve({ code: error.message, out }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "", out }));
  });
}

function record(value: unknown): { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

async function readJson(path: string): Promise<{ [key: string]: unknown } | undefined> {
  try {
    return record(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** The nearest file of that name in a folder or above it. */
async function nearest(
  folder: string,
  name: string,
): Promise<{ path: string; content: { [key: string]: unknown } } | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    const path = join(at, name);
    const content = await readJson(path);
    if (content) return { path, content };
    if (dirname(at) === at) return undefined;
  }
}

/** What the program's packages say they need, in the `pulumi` part of their package.json. */
async function pluginsOfProgram(programDirectory: string): Promise<NeededPlugin[]> {
  const own = await nearest(programDirectory, "package.json");
  if (!own) return [];
  const names = Object.keys(record(own.content.dependencies));
  const found = await Promise.all(names.map((name) => nearest(dirname(own.path), join("node_modules", name, "package.json"))));
  return found.flatMap((entry, i) => {
    const pulumi = record(entry?.content.pulumi);
    if (pulumi.resource !== true) return [];
    const name = textOf(pulumi.name) ?? (names[i] ?? "").replace(/^@pulumi\//, "");
    return [{ name, version: (textOf(pulumi.version) ?? textOf(entry?.content.version))?.replace(/^v/, "") }];
  });
}

/** What the providers in a state were made with. */
function pluginsOfState(resources: { [key: string]: unknown }[]): NeededPlugin[] {
  return resources.flatMap(({ type, inputs }) => {
    const [, name] = /^pulumi:providers:([^:]+)$/.exec(textOf(type) ?? "") ?? [];
    return name === undefined ? [] : [{ name, version: textOf(record(inputs).version)?.replace(/^v/, "") }];
  });
}

/** Those that are not installed, each once, as `name version`. */
async function missingPlugins(needed: NeededPlugin[], env: Env): Promise<string[]> {
  const { isInstalled } = await import("./plugin-files.ts");
  const missing = needed.filter(({ name, version }) => !isInstalled(name, version, env));
  return [...new Set(missing.map(({ name, version }) => (version === undefined ? name : `${name} ${version}`)))];
}

/** Also what the stack's state needs: another version, or a package that the program does not use any more. */
async function neededPlugins(cwd: string, env: Env, stackName: string | undefined): Promise<NeededPlugin[]> {
  const project = await loadProject(cwd);
  const [{ openBackend }, { selectedStack }] = await Promise.all([import("./backend.ts"), import("./selected-stack.ts")]);
  const needed = await pluginsOfProgram(project.programDirectory);
  try {
    const backend = await openBackend({ env, project, cwd });
    const name = stackName ?? (await selectedStack(project, backend, env));
    const { latest } = name === undefined ? { latest: undefined } : await backend.read(backend.reference(name));
    return [...needed, ...pluginsOfState(latest?.resources ?? [])];
  } catch {
    // No such stack or a state that cannot be read: whichever engine runs says so in its own words.
    return needed;
  }
}

/** Decides which engine runs. `wanted` is the value of `--engine`. */
export async function chooseEngine(options: { cwd: string; env: Env; stack?: string; wanted?: string }): Promise<EngineChoice> {
  const { cwd, env, wanted } = options;
  if (wanted !== undefined && wanted !== "pulumi" && wanted !== "embedded") {
    throw new EngineError(`invalid argument "${wanted}" for "--engine": it must be pulumi or embedded`);
  }
  if (wanted === "embedded") return { engine: "embedded", why: "--engine embedded was given" };
  const { cli, problem = "" } = await findCli(env);
  if (wanted === "pulumi") {
    if (!cli)
      throw new EngineError(
        `--engine pulumi: ${problem}; install it (https://www.pulumi.com/docs/install/) or leave --engine out`,
      );
    return { engine: "pulumi", cli, why: "--engine pulumi was given" };
  }
  if (!cli) return { engine: "embedded", why: problem };
  const needed = await neededPlugins(cwd, env, options.stack).catch(() => []);
  const missing = await missingPlugins(needed, env);
  if (missing.length === 0) return { engine: "pulumi", cli, why: "it and all plug-ins that the stack needs are installed" };
  const what = missing.length === 1 ? `this plug-in is` : "these plug-ins are";
  return {
    engine: "embedded",
    cli,
    why: `${what} not installed for the Pulumi CLI ${cli.version}: ${missing.join(", ")} (--engine pulumi installs them)`,
  };
}

/** The first line that is printed: which engine, version and why. */
export function engineLine(choice: EngineChoice, ownVersion: string): string {
  const name =
    choice.engine === "pulumi" ? `Pulumi CLI ${choice.cli?.version} (${choice.cli?.path})` : `embedded ${ownVersion}`;
  return `Engine: ${name}, because ${choice.why}\n`;
}

/** For the `pulumi` command. */
export async function requireCli(env: Env): Promise<OfficialCli> {
  const { cli, problem } = await findCli(env);
  if (!cli) throw new EngineError(`${problem}; install it: https://www.pulumi.com/docs/install/`);
  return cli;
}

/**
 * Runs the CLI in place of this process: same terminal, same environment (backend and passphrase are there, never among the
 * arguments), same exit code or signal.
 */
export function runOfficial(
  cli: OfficialCli,
  args: string[],
  options: { cwd: string; env: Env; stack?: string },
): Promise<number> {
  const env: Env = { ...options.env, PULUMI_SKIP_UPDATE_CHECK: options.env.PULUMI_SKIP_UPDATE_CHECK ?? "true" };
  if (options.stack !== undefined) env.PULUMI_STACK = options.stack;
  const child = spawn(cli.path, args, { cwd: options.cwd, env, stdio: "inherit" });
  // Ctrl-C on a terminal reaches the CLI by itself; passed on once more it would mean "at once".
  const onTerminal = process.stdin.isTTY === true;
  const pass = (signal: NodeJS.Signals): void => {
    if (signal !== "SIGINT" || !onTerminal) child.kill(signal);
  };
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new EngineError(`could not start the Pulumi CLI at ${cli.path}: ${error.message}`, { cause: error })),
    );
    child.on("close", (code, signal) => {
      for (const name of signals) process.off(name, pass);
      if (signal !== null) process.kill(process.pid, signal);
      resolve(code ?? 1);
    });
  });
}
