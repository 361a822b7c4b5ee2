// Where the gateway's files are: OPENCLAW_CONFIG_PATH, OPENCLAW_STATE_DIR and OPENCLAW_HOME, as upstream reads them.
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Places {
  readonly configPath: string;
  readonly stateDir: string;
  readonly home: string;
}

export function findPlaces(env: Environment, configOption?: string): Places {
  const home = env.OPENCLAW_HOME ? resolve(env.OPENCLAW_HOME) : (env.HOME ?? homedir());
  const stateDir = resolve(expandHome(env.OPENCLAW_STATE_DIR ?? env.OPENCLAW_DATA_DIR ?? join(home, ".openclaw"), home));
  const named = configOption ?? env.OPENCLAW_CONFIG_PATH;
  if (named) return { configPath: resolve(expandHome(named, home)), stateDir, home };
  const candidates = ["openclaw.json", "config.yaml", "config.yml"].map((name) => join(stateDir, name));
  return { configPath: candidates.find((path) => existsSync(path)) ?? join(stateDir, "openclaw.json"), stateDir, home };
}

export function expandHome(path: string, home: string): string {
  return path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path;
}
