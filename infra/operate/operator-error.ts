/** Something that the operator can mend: shown as its text alone. */
export class OperatorError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 255) {
    super(message);
    this.name = "OperatorError";
    this.exitCode = exitCode;
  }
}
