/** What `npm run logs` is asked for, on every target. */
import { OperatorError } from "./operator-error.ts";

export interface LogOptions {
  /** A word that is no option: whose log, where there are several. */
  service: string | undefined;
  count: number;
  follow: boolean;
}

const withValue = /^(-s|--stack|-n|--lines)$/;

export function logOptions(args: string[]): LogOptions {
  const at = args.findIndex((word) => word === "-n" || word === "--lines");
  const count = at >= 0 ? Number(args[at + 1]) : 100;
  if (!Number.isInteger(count) || count < 0) throw new OperatorError("-n takes a number of lines");
  return {
    service: args.find((word, index) => !word.startsWith("-") && !withValue.test(args[index - 1] ?? "")),
    count,
    follow: args.includes("-f") || args.includes("--follow"),
  };
}
