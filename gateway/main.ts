// The gateway's process: command line, config, listening, signals, exit codes. Heavy parts are loaded after the compile cache is on.
import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

const usage = `openclaw-stack gateway

  node gateway/main.ts [--config FILE] [--allow-unconfigured]   run the gateway
  node gateway/main.ts config validate [--config FILE]          check a config and say all that is wrong
  node gateway/main.ts token create | list | revoke             named tokens of a config
  node gateway/main.ts settings                                 print the reference of all settings (Markdown)
  node gateway/main.ts --version
`;

const version = readVersion();
const [command, ...args] = process.argv.slice(2);
process.exitCode = await run(command, args);

async function run(first: string | undefined, rest: readonly string[]): Promise<number> {
  if (first === "--version" || first === "-v") return print(`${version}\n`);
  if (first === "--help" || first === "-h") return print(usage);
  useCompileCache();
  if (first === "config" && rest[0] === "validate") return (await import("./cli/validate.ts")).validate(rest.slice(1));
  if (first === "token") return (await import("./cli/token.ts")).tokenCommand(rest);
  if (first === "settings") return print((await import("./cli/settings-reference.ts")).settingsReference());
  const options = readOptions(first === undefined ? [] : [first, ...rest]);
  if (typeof options === "string") {
    process.stderr.write(`${options}\n\n${usage}`);
    return 64;
  }
  const { runGateway } = await import("./process/gateway.ts");
  return runGateway({ ...options, version, env: process.env });
}

function readOptions(words: readonly string[]): { path?: string; allowUnconfigured: boolean } | string {
  const options: { path?: string; allowUnconfigured: boolean } = { allowUnconfigured: false };
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--allow-unconfigured") options.allowUnconfigured = true;
    else if (word.startsWith("--config=")) options.path = word.slice("--config=".length);
    else if (word === "--config") {
      index += 1;
      const path = words[index];
      if (path === undefined) return "--config needs a file.";
      options.path = path;
    } else return `${word} is not known.`;
  }
  return options;
}

/** Compiled code is kept in the state folder: the second start takes half the time. NODE_COMPILE_CACHE overrides. */
function useCompileCache(): void {
  const { env } = process;
  const stateDir =
    env.OPENCLAW_STATE_DIR ?? env.OPENCLAW_DATA_DIR ?? join(env.OPENCLAW_HOME ?? env.HOME ?? homedir(), ".openclaw");
  if (env.NODE_COMPILE_CACHE === undefined) enableCompileCache(join(stateDir, "cache", "compile"));
}

function readVersion(): string {
  const text: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"));
  return typeof text === "object" && text !== null && "version" in text && typeof text.version === "string"
    ? text.version
    : "unknown";
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
