/** Which keys a schema knows at a path: for "did you mean". */
import { z } from "zod";

export function keysAt(schema: unknown, path: PropertyKey[]): string[] {
  return follow([schema], path).flatMap((found) => (found instanceof z.ZodObject ? Object.keys(found.shape) : []));
}

function follow(schemas: unknown[], path: PropertyKey[]): unknown[] {
  const plain = schemas.flatMap(unwrap);
  const [key, ...rest] = path;
  if (key === undefined) return plain;
  return follow(
    plain.flatMap((schema) => step(schema, key)),
    rest,
  );
}

function step(schema: unknown, key: PropertyKey): unknown[] {
  if (schema instanceof z.ZodObject) return [schema.shape[String(key)] ?? schema.def.catchall].filter(Boolean);
  if (schema instanceof z.ZodRecord) return [schema.valueType];
  if (schema instanceof z.ZodArray) return [schema.element];
  return [];
}

/** The schemas behind optional, default, preprocess and union. */
function unwrap(schema: unknown): unknown[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrap(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrap(schema.out);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(unwrap);
  return [schema];
}
