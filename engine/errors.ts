/** The engine's own failures: each has a text for the user that says what is wrong and what to do. No stack trace is shown. Exit code 1 is the CLI's for all that has none of its own. */
export class EngineError extends Error {
  readonly exitCode: number;
  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "EngineError";
    this.exitCode = options.exitCode ?? 1;
  }
}
