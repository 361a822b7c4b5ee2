/** Sections of a stack file, for checks that look before the program runs; what they find is looked for once. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { decodeSetting } from "../settings-text.ts";
import type { Subject } from "./check.ts";

/** One section: an object, or its text. */
export const section = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (typeof value === "string" ? decodeSetting(value) : value), schema);

/** Undefined where the file is not right: the program says what is wrong with it. */
export function readSections<Schema extends z.ZodType>(stackFile: string, schema: Schema): z.output<Schema> | undefined {
  try {
    const file = z.object({ config: z.unknown() }).parse(parse(readFileSync(stackFile, "utf8")));
    return schema.safeParse(file.config).data;
  } catch {
    return undefined;
  }
}

/** All checks of a subject share one look. */
export function lookOnce<Found>(look: (subject: Subject) => Promise<Found>): (subject: Subject) => Promise<Found> {
  const seen = new WeakMap<Subject, Promise<Found>>();
  return (subject) => {
    const found = seen.get(subject) ?? look(subject);
    seen.set(subject, found);
    return found;
  };
}
