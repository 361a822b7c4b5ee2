// Runs the gateway until it is told to stop: reads the config, then serves as one process, or as a primary with workers. Returns the exit code.
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { ConfigError } from "../config/faults.ts";
import { type Loaded, type LoadOptions, loadConfig } from "../config/load.ts";
import { logFormat } from "../config/rules.ts";
import type { StackConfig } from "../config/schema.ts";
import { exitCodes, messageOf, systemCode } from "../errors.ts";
import { createLog, type Log } from "../observability/log.ts";

export interface GatewayOptions extends LoadOptions {
  readonly version: string;
}

/** Set in the environment of a worker: its number. */
export const workerVariable = "OPENCLAW_WORKER";

export async function runGateway(options: GatewayOptions): Promise<number> {
  const log = createLog((text) => process.stdout.write(text), { gathered: true });
  process.once("exit", () => log.flush());
  catchFatal(log, () => process.exit(exitCodes.internal));
  const { [workerVariable]: worker, ...env } = options.env;
  try {
    if (worker !== undefined && process.send) return await (await import("./worker.ts")).runWorker({ ...options, env }, log);
    const loaded = await loadConfig(options);
    configureLog(log, loaded);
    if (!makeStateFolder(loaded.stateDir)) return exitCodes.stateNotWritable;
    for (const note of loaded.notes) log.of("config").warn("config_note", note);
    const workers = workerCount(loaded.stack);
    if (workers > 1) return await (await import("./primary.ts")).runPrimary(workers, loaded, options, log);
    return await (await import("./single.ts")).runSingle(loaded, options, log);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.config;
  }
}

const workerCount = ({ workers }: StackConfig): number => (workers === "auto" ? availableParallelism() : workers);

export function configureLog(log: Log, { config, stack, secrets }: Loaded): void {
  log.configure({ level: config.logging.level, format: logFormat({ config, stack }), redact: secrets.redact });
}

function makeStateFolder(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return true;
  } catch (error) {
    process.stderr.write(
      `The state folder ${path} cannot be made (${systemCode(error)}). Make it writable, or set OPENCLAW_STATE_DIR.\n`,
    );
    return false;
  }
}

/** An error that nobody caught leaves an unknown state: it is logged, and the supervisor starts a fresh process. */
function catchFatal(log: Log, end: () => void): void {
  const fatal = (error: unknown): void => {
    log.error("uncaught", error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
    end();
  };
  process.on("uncaughtException", fatal);
  process.on("unhandledRejection", fatal);
}
