// Walks the zod schema: which keys exist where. For did-you-mean and for the settings reference.
import * as z from "zod";
import { $ZodType } from "zod/v4/core";
import { anyName, type Path } from "./faults.ts";

export interface Setting {
  readonly path: readonly string[];
  readonly schema: z.core.$ZodType;
  /** The outermost schema of the setting: it carries description and default. */
  readonly outer: z.core.$ZodType;
}

/** The schema without optional, default and the like. */
export function inner(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    return inner(schema.def.innerType);
  }
  return schema;
}

/** The keys that may stand at `path`. */
export function children(schema: z.core.$ZodType, path: Path): string[] {
  return [
    ...new Set(resolveAt([schema], path).flatMap((option) => (option instanceof z.ZodObject ? Object.keys(option.shape) : []))),
  ];
}

/** The values that the discriminator of the union at `path` may have. */
export function choices(schema: z.core.$ZodType, path: Path, discriminator: string): string[] {
  return resolveAt([schema], path).flatMap((option) => {
    const value: unknown = option instanceof z.ZodObject ? option.shape[discriminator] : undefined;
    return value instanceof z.ZodLiteral ? [...value.values].map((choice) => JSON.stringify(choice)) : [];
  });
}

function resolveAt(schemas: readonly z.core.$ZodType[], path: Path): z.core.$ZodType[] {
  const found = schemas.flatMap(alternatives);
  const [head, ...rest] = path;
  return head === undefined
    ? found
    : resolveAt(
        found.flatMap((option) => step(option, head)),
        rest,
      );
}

function step(schema: z.core.$ZodType, key: string | number): z.core.$ZodType[] {
  if (schema instanceof z.ZodObject) {
    const next: unknown = schema.shape[key];
    if (next instanceof $ZodType) return [next];
    return schema.def.catchall ? [schema.def.catchall] : [];
  }
  if (schema instanceof z.ZodRecord) return [schema.def.valueType];
  if (schema instanceof z.ZodArray) return [schema.def.element];
  return [];
}

function alternatives(schema: z.core.$ZodType): z.core.$ZodType[] {
  const bare = inner(schema);
  return bare instanceof z.ZodUnion ? bare.def.options.flatMap(alternatives) : [bare];
}

/** Every setting, sections included, in the order of the schema. */
export function settings(schema: z.core.$ZodType, path: readonly string[] = []): Setting[] {
  return alternatives(schema).flatMap((option) => {
    if (option instanceof z.ZodObject) {
      return Object.entries(option.shape).flatMap(([key, value]) => {
        if (!(value instanceof $ZodType)) return [];
        const at = [...path, key];
        return [{ path: at, schema: inner(value), outer: value }, ...settings(value, at)];
      });
    }
    if (option instanceof z.ZodRecord) return settings(option.def.valueType, [...path, anyName]);
    if (option instanceof z.ZodArray) return settings(option.def.element, [...path.slice(0, -1), `${path.at(-1) ?? ""}[]`]);
    return [];
  });
}

let cached: { schema: z.core.$ZodType; paths: readonly (readonly string[])[] } | undefined;

export function knownPaths(schema: z.core.$ZodType): readonly (readonly string[])[] {
  if (cached?.schema !== schema) {
    const seen = new Map(settings(schema).map((setting) => [setting.path.join("\0"), setting.path]));
    cached = { schema, paths: [...seen.values()] };
  }
  return cached.paths;
}
