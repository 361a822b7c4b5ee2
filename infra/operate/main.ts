/** The operator's commands behind `npm run …`: what surrounds the engine on this machine, and the engine itself. */
import { destroy } from "./destroy.ts";
import { runDoctor } from "./doctor.ts";
import { logs } from "./logs.ts";
import { OperatorError } from "./operator-error.ts";
import { passThrough } from "./pass-through.ts";
import { startGateway, stopGateway } from "./start-stop.ts";
import { showStatus } from "./status.ts";
import { showToken } from "./token.ts";
import { up } from "./up.ts";

/** Each gets the arguments after its name and resolves with the exit code. */
const commands: { [name: string]: (args: string[]) => Promise<number> } = {
  up,
  destroy,
  status: showStatus,
  logs,
  start: startGateway,
  stop: stopGateway,
  token: showToken,
  doctor: runDoctor,
};
/** These are the engine's, or the official CLI's. */
const enginesOwn = ["preview", "refresh", "config", "stack", "state", "cancel", "pulumi"];

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
  if (enginesOwn.includes(name)) return passThrough(name, args);
  const known = [...Object.keys(commands), ...enginesOwn].map((known) => `npm run ${known}`);
  console.error(`${name === "help" ? "" : `error: there is no command "${name}"\n`}Commands:\n  ${known.join("\n  ")}`);
  return name === "help" ? 0 : 255;
}
