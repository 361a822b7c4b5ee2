/** The operator's commands behind `npm run …`: what surrounds the engine on this machine, and the engine itself. */
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { OperatorError } from "./operator-error.ts";

// Types are stripped and code is compiled once, not at each command; so the commands are loaded after this.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "openclaw-stack", "node-compile-cache"));

/** Each gets the arguments after its name and resolves with the exit code. */
const commands: { [name: string]: (args: string[]) => Promise<number> } = {
  up: async (args) => (await import("./up.ts")).up(args),
  destroy: async (args) => (await import("./destroy.ts")).destroy(args),
  status: async (args) => (await import("./status.ts")).showStatus(args),
  logs: async (args) => (await import("./logs.ts")).logs(args),
  start: async (args) => (await import("./start-stop.ts")).startGateway(args),
  stop: async (args) => (await import("./start-stop.ts")).stopGateway(args),
  token: async (args) => (await import("./token.ts")).token(args),
  exports: async (args) => (await import("./exports.ts")).showExports(args),
  refresh: async (args) => (await import("./refresh.ts")).refresh(args),
  releases: async (args) => (await import("./releases.ts")).releases(args),
  doctor: async (args) => (await import("./doctor.ts")).runDoctor(args),
};
/** These are the engine's, or the official CLI's. */
const enginesOwn = ["preview", "config", "stack", "state", "cancel", "pulumi"];

const [name = "help", ...args] = process.argv.slice(2);
try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof OperatorError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.exitCode;
}

async function run(): Promise<number> {
  const command = commands[name];
  if (command) return command(args);
  if (enginesOwn.includes(name)) return (await import("./pass-through.ts")).passThrough(name, args);
  const known = [...Object.keys(commands), ...enginesOwn].map((known) => `npm run ${known}`);
  console.error(`${name === "help" ? "" : `error: there is no command "${name}"\n`}Commands:\n  ${known.join("\n  ")}`);
  return name === "help" ? 0 : 255;
}
