// What is wrong in a config: all faults of a file are collected, then reported once.
import { GatewayError } from "../errors.ts";

export type Path = readonly (string | number)[];

export interface Fault {
  readonly path: Path;
  /** What is wrong, without the value itself: it may be a secret. */
  readonly problem: string;
  readonly fix: string;
  /** Where the value came from when it is not the config file: an environment variable, another file. */
  readonly origin?: string | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

export class ConfigError extends GatewayError {
  readonly faults: readonly Fault[];
  /** sha256 of the file that is refused: who wrote it recognises it. */
  readonly hash: string;

  constructor(file: string, faults: readonly Fault[], hash: string) {
    super("config_invalid", describeFaults(file, faults));
    this.name = "ConfigError";
    this.faults = faults;
    this.hash = hash;
  }
}

function describeFaults(file: string, faults: readonly Fault[]): string {
  const lines = faults.map((fault) => {
    const place = fault.line === undefined ? (fault.file ?? file) : `${fault.file ?? file}:${fault.line}:${fault.column ?? 1}`;
    const name = fault.path.length === 0 ? "" : ` ${showPath(fault.path)}`;
    const origin = fault.origin ? ` (${fault.origin})` : "";
    return `  ${place}${name}${origin}: ${fault.problem}\n      ${fault.fix}`;
  });
  const count = faults.length === 1 ? "1 problem" : `${faults.length} problems`;
  return `The configuration has ${count}:\n${lines.join("\n")}`;
}

/** Stands for a key of the user's own choosing. */
export const anyName = "<id>";

/** `models.providers["my.id"].baseUrl`, as a reader would write it. */
export function showPath(path: Path): string {
  return path
    .map((part, index) => {
      if (part === anyName) return `.${part}`;
      if (typeof part === "number") return `[${part}]`;
      if (!/^[A-Za-z_$][\w$-]*$/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join("");
}

export type Plain = Record<string, unknown>;

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
