/** A copy of the repository with a home of its own, in which the operator's commands run as a user would run them. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Outcome, type RunOptions as RunningOptions, runCommand } from "./outcome.ts";
import { removeFolder } from "./remove-folder.ts";

const root = join(import.meta.dirname, "../..");

export interface LocalClone {
  base: string;
  directory: string;
  home: string;
  environment: NodeJS.ProcessEnv;
  stackFile: string;
  /** The operator's command as npm would start it, on the pinned Node. */
  operate(args: string[], options?: RunOptions): Promise<Outcome>;
  /** `npm run …` itself. */
  npm(args: string[], options?: RunOptions): Promise<Outcome>;
  shell(command: string, options?: RunOptions): Promise<Outcome>;
  /** Ends what is still running, and removes everything. */
  remove(): Promise<void>;
}

export interface RunOptions extends Pick<RunningOptions, "input" | "onStart" | "onText"> {
  environment?: NodeJS.ProcessEnv;
}

/** @param modules `link` shares this repository's packages; `none` leaves them to be installed */
export function makeClone(name: string, modules: "link" | "none" = "link"): LocalClone {
  const base = mkdtempSync(join(tmpdir(), `local-${name}-`));
  const directory = join(base, name);
  const home = join(base, "home");
  mkdirSync(home, { recursive: true });
  copyRepository(directory);
  if (modules === "link") symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const environment = cleanEnvironment(home);
  const execute = (command: string, args: string[], { environment: more, ...options }: RunOptions = {}): Promise<Outcome> =>
    runCommand([command, ...args], { ...options, cwd: directory, env: { ...environment, ...more } });
  return {
    base,
    directory,
    home,
    environment,
    stackFile: join(directory, "stacks/Pulumi.local.yaml"),
    operate: (args, options) =>
      execute(
        process.execPath,
        ["--disable-warning=ExperimentalWarning", join(directory, "infra/operate/main.ts"), ...args],
        options,
      ),
    npm: (args, options) => execute("npm", args, options),
    shell: (command, options) => execute("sh", ["-c", command], options),
    remove: () => removeFolder(base),
  };
}

/** The repository's files as they are now, without those that git ignores and without the recordings. */
export function copyRepository(directory: string): void {
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of files.split("\0").filter((path) => path && !path.startsWith("test/fixtures/"))) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    // A file that is listed may have been removed since.
    cpSync(join(root, file), join(directory, file), { force: true, errorOnExist: false, recursive: false });
  }
}

/** npm's own settings stay (mirror, cache); what would change the stack's does not. */
function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(OPENCLAW|PULUMI|XDG_|NODE_TEST|npm_(?!config_registry)|.*_API_KEY$)/.test(name),
  );
  const user = process.env.HOME ?? homedir();
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    XDG_CACHE_HOME: join(home, ".cache"),
    npm_config_cache: process.env.npm_config_cache ?? join(user, ".npm"),
    npm_config_userconfig: process.env.npm_config_userconfig ?? join(user, ".npmrc"),
    npm_config_logs_dir: join(home, "npm-logs"),
    npm_config_update_notifier: "false",
    NO_COLOR: "1",
    // Tests leave the user's systemd alone.
    OPENCLAW_SUPERVISOR: "plain",
  };
}
