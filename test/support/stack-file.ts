/** A stack file that a test writes again and again: its secrets, and what they were encrypted with, are the engine's and stay. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";

export interface Sections {
  /** Undefined: left out. */
  [section: string]: unknown;
}

const stackFileSchema = z.looseObject({ config: z.record(z.string(), z.unknown()).default({}) });
const encryptedSchema = z.strictObject({ secure: z.string() });

/** `sections` by their names in the stack file, without the project's. */
export function writeSections(file: string, sections: Sections): void {
  const before = stackFileSchema.parse((existsSync(file) ? parse(readFileSync(file, "utf8")) : {}) ?? {});
  const secrets = Object.entries(before.config).filter(([, value]) => encryptedSchema.safeParse(value).success);
  const given = Object.entries(sections)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [`openclaw-stack:${name}`, value]);
  const config = Object.fromEntries([...secrets, ...given]);
  writeFileSync(file, stringify({ ...before, config }, { aliasDuplicateObjects: false }));
}

/** Checkpoints and what goes with them, of all stacks that are kept in a home: each file with its content. */
export function stateOf(home: string): { [path: string]: string } {
  const files = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((path) =>
    /\.pulumi\/stacks\/.*\.json$/.test(path),
  );
  return Object.fromEntries(files.sort().map((path) => [path, readFileSync(join(home, path), "utf8")]));
}
