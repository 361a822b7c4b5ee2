/** A project in a folder of its own, with a state folder and a home, and the commands run on it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { CommandContext } from "../../engine/commands/context.ts";
import { EngineError } from "../../engine/errors.ts";

export const recordings = join(import.meta.dirname, "..", "fixtures", "recordings");

export interface Ran {
  out: string;
  err: string;
  exitCode: number;
}

export interface ProjectFolder {
  /** The project's root. */
  path: string;
  env: { [name: string]: string | undefined };
  /** Runs a command as the command line does: errors become a line and an exit code. */
  run(
    command: (context: CommandContext) => Promise<void>,
    options?: Partial<CommandContext> & { stdin?: string },
  ): Promise<Ran>;
  write(path: string, content: string | Uint8Array): void;
  read(path: string): string;
  remove(): void;
}

/** A copy of what the recording of `options` began with. */
export function createProjectFolder(projectFile = join(recordings, "options", "Pulumi.yaml")): ProjectFolder {
  const path = mkdtempSync(join(tmpdir(), "engine-project-"));
  mkdirSync(join(path, "stacks"));
  mkdirSync(join(path, "infra"));
  mkdirSync(join(path, "state"));
  cpSync(projectFile, join(path, "Pulumi.yaml"));
  writeFileSync(join(path, "infra", "index.ts"), "");
  const env: ProjectFolder["env"] = {
    HOME: join(path, "home"),
    PULUMI_HOME: join(path, "home", ".pulumi"),
    PULUMI_BACKEND_URL: `file://${join(path, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "x",
  };
  return {
    path,
    env,
    async run(command, options = {}) {
      const ran: Ran = { out: "", err: "", exitCode: 0 };
      const { stdin, ...overrides } = options;
      const context: CommandContext = {
        cwd: path,
        env,
        out: (text) => {
          ran.out += text;
        },
        err: (text) => {
          ran.err += text;
        },
        interactive: false,
        askHidden: undefined,
        ask: undefined,
        readStdin: stdin === undefined ? undefined : async () => stdin,
        now: () => new Date(),
        ...overrides,
      };
      try {
        await command(context);
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        ran.err += `error: ${error.message}\n`;
        ran.exitCode = error.exitCode;
      }
      return ran;
    },
    write(file, content) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), content);
    },
    read: (file) => readFileSync(join(path, file), "utf8"),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
