/** Turns what the schema found into sentences: path, what is wrong, what to do. Never a value: it might be a secret. */
import type { z } from "zod";

export interface Fault {
  /** Dotted, without the project's name. */
  path: string;
  message: string;
}

export function describeIssues(issues: readonly z.core.$ZodIssue[], input: unknown): Fault[] {
  return issues.flatMap((issue) => describe(issue, input, []));
}

function describe(issue: z.core.$ZodIssue, input: unknown, above: PropertyKey[]): Fault[] {
  const path = [...above, ...issue.path];
  const at = path.map(String).join(".") || "config";
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path.map(String), key].join("."), message: "unknown setting" }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    // The variant that the value came closest to: the one whose complaints lie deepest.
    const depth = (issues: z.core.$ZodIssue[]): number => Math.max(...issues.map((inner) => inner.path.length));
    const best = issue.errors.toSorted((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? [];
    return best.flatMap((inner) => describe(inner, input, path));
  }
  if (issue.code === "invalid_type" && valueAt(input, path) === undefined)
    return [{ path: at, message: `is missing: ${expected(issue)}` }];
  return [{ path: at, message: lowerFirst(issue.message) }];
}

function expected(issue: z.core.$ZodIssue): string {
  return issue.code === "invalid_type" ? `expected ${issue.expected}` : lowerFirst(issue.message);
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
  let bestDistance = 3;
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
