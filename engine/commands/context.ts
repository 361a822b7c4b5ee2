/** What a command gets from the outside: where it runs, where it prints, whom it can ask. */
import type { AskHidden } from "../secrets.ts";

export interface CommandContext {
  cwd: string;
  env: { [name: string]: string | undefined };
  /** Standard output and standard error; texts come with their newlines. */
  out(text: string): void;
  err(text: string): void;
  /** True where standard input and output are a terminal and `--non-interactive` was not given. */
  interactive: boolean;
  /** Hides what is typed; undefined where nothing may be asked. */
  askHidden: AskHidden;
  /** Asks for a line; undefined where nothing may be asked. */
  ask: ((prompt: string) => Promise<string>) | undefined;
  /** All of standard input where it is piped; undefined where it is a terminal. */
  readStdin: (() => Promise<string>) | undefined;
  /** `-s/--stack`. */
  stack?: string;
  /** `--config-file`. */
  configFile?: string;
  now(): Date;
}

/** JSON as the CLI prints it: two spaces, a newline at the end. */
export function printJson(context: CommandContext, value: unknown): void {
  context.out(`${JSON.stringify(value, undefined, 2)}\n`);
}
