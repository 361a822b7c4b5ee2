/** Turns what the schema found into sentences: path, what is wrong, what to do. Never a value: it might be a secret. */
import type { z } from "zod";
import { keysAt } from "./settings-keys.ts";

export interface Fault {
  /** Dotted, without the project's name. */
  path: string;
  message: string;
}

export function describeIssues(schema: z.ZodType, issues: readonly z.core.$ZodIssue[], input: unknown): Fault[] {
  return issues.flatMap((issue) => describe(schema, issue, input, []));
}

function describe(schema: z.ZodType, issue: z.core.$ZodIssue, input: unknown, above: PropertyKey[]): Fault[] {
  const path = [...above, ...issue.path];
  const at = path.map(String).join(".") || "config";
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => ({
      path: [...path.map(String), key].join("."),
      message: `unknown setting${nearest(key, known) || (known.length > 0 && known.length <= 12 ? `; known here: ${known.join(", ")}` : "")}`,
    }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    if (
      issue.errors.every((issues) => issues.every((inner) => inner.path.length === 0 && inner.code !== "unrecognized_keys"))
    ) {
      const messages = issue.errors.flatMap((issues) => issues.flatMap((inner) => describe(schema, inner, input, path)));
      return [{ path: at, message: [...new Set(messages.map(({ message }) => message))].join(", or ") }];
    }
    // The variant that the value came closest to: the one whose complaints lie deepest.
    const depth = (issues: z.core.$ZodIssue[]): number => Math.max(...issues.map((inner) => inner.path.length));
    const best = issue.errors.toSorted((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? [];
    return best.flatMap((inner) => describe(schema, inner, input, path));
  }
  if (issue.code === "invalid_type") {
    const article = /^[aeiou]/.test(issue.expected) ? "an" : "a";
    const value = valueAt(input, path);
    return [
      {
        path: at,
        message:
          value === undefined
            ? `is missing: ${article} ${issue.expected} is needed`
            : `must be ${article} ${issue.expected}, not ${typeName(value)}`,
      },
    ];
  }
  if (issue.code === "invalid_value") {
    const value = valueAt(input, path);
    const allowed = issue.values.map(String);
    // Names of choices may be shown; anything else might be a secret.
    const meant = typeof value === "string" ? nearest(value, allowed) : "";
    return [{ path: at, message: `must be one of ${allowed.join(", ")}${meant}` }];
  }
  if (issue.code === "invalid_key")
    return [{ path: at, message: issue.issues.map((inner) => lowerFirst(inner.message)).join(", ") }];
  return [{ path: at, message: lowerFirst(issue.message).replace(/^too (small|big): expected \w+ to be /, "must be ") }];
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  return value;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** `; did you mean "x"?` where one of the candidates is at most two edits away. */
export function nearest(word: string, candidates: string[]): string {
  let best: string | undefined;
  // Of a short word nearly everything is two edits away.
  let bestDistance = Math.min(3, Math.max(word.length - 1, 1));
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? "" : `; did you mean "${best}"?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
