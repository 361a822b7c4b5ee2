// Reads fields of JSON whose shape is not trusted: strict on what clients write, lenient on what upstreams send.
import { GatewayError } from "../../errors.ts";

export type Json = { readonly [key: string]: unknown };

export const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
export const jsonOf = (value: unknown): Json => (isJson(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOr = (value: unknown, other = ""): string => (typeof value === "string" ? value : other);
export const numberOr = (value: unknown, other = 0): number => (typeof value === "number" ? value : other);

export function parseJson(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Without the keys that are not set. */
export function compact(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
}

export function wrong(field: string, expected: string): GatewayError {
  return new GatewayError("invalid_request", `${field} must be ${expected}.`, { param: field });
}

const absent = (value: unknown): value is undefined | null => value === undefined || value === null;

export function wantText(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw wrong(field, "a text");
}

export function wantJson(value: unknown, field: string): Json {
  if (isJson(value)) return value;
  throw wrong(field, "an object");
}

export function wantList(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(field, "a list");
}

export const optional =
  <T>(read: (value: unknown, field: string) => T) =>
  (value: unknown, field: string): T | undefined =>
    absent(value) ? undefined : read(value, field);

export const optionalText = optional(wantText);
export const optionalNumber = optional((value, field) => {
  if (typeof value === "number") return value;
  throw wrong(field, "a number");
});
export const optionalFlag = optional((value, field) => {
  if (typeof value === "boolean") return value;
  throw wrong(field, "true or false");
});

/**
 * Refuses fields that would change the answer and cannot be carried over. `dropped` do not change what is answered;
 * `neutral` gives values that mean the same as leaving the field out.
 */
export function refuseOthers(body: Json, known: readonly string[], dropped: readonly string[], neutral: Json = {}): void {
  for (const [field, value] of Object.entries(body)) {
    if (absent(value) || known.includes(field) || dropped.includes(field)) continue;
    if (field in neutral && JSON.stringify(neutral[field]) === JSON.stringify(value)) continue;
    throw new GatewayError(
      "invalid_request",
      `${field.slice(0, 100)} cannot be translated for this model's provider: leave it out, or ask a model of another provider.`,
      { param: field.slice(0, 100) },
    );
  }
}
