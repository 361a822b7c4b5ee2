// `config validate`: all that is wrong with a config, or what it was read as.
import { ConfigError } from "../config/faults.ts";
import { loadConfig } from "../config/load.ts";
import { exitCodes } from "../errors.ts";

export async function validate(args: readonly string[]): Promise<number> {
  const at = args.findIndex((word) => word === "--config" || word.startsWith("--config="));
  const path = at < 0 ? args[0] : args[at] === "--config" ? args[at + 1] : args[at]?.slice("--config=".length);
  try {
    const loaded = await loadConfig({ env: process.env, path, allowUnconfigured: false });
    for (const note of loaded.notes) process.stdout.write(`note: ${note}\n`);
    process.stdout.write(`${loaded.path} is valid.\n`);
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.config;
  }
}
