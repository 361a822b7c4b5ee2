// Turns the schema's complaints into sentences: what is wrong, and what was probably meant.
import type { z } from "zod";
import { type Fault, type Path, showPath } from "./faults.ts";
import { get } from "./migrate.ts";
import { nearest } from "./nearest.ts";
import { isSecretKey } from "./secret-keys.ts";
import { children, choices, knownPaths } from "./walk.ts";

type Issue = z.core.$ZodIssue;

export function explain(issues: readonly Issue[], value: unknown, schema: z.core.$ZodType): Fault[] {
  return issues.flatMap((issue) => explainIssue(issue, [], value, schema));
}

function explainIssue(issue: Issue, base: Path, value: unknown, schema: z.core.$ZodType): Fault[] {
  const path = [...base, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey([...path, key], schema));
  if (issue.code === "invalid_union" && issue.discriminator) {
    const at = [...path, ...(issue.path.at(-1) === issue.discriminator ? [] : [issue.discriminator])];
    const names = choices(schema, at.slice(0, -1), issue.discriminator);
    return [{ path: at, problem: `${shown(get(value, at), at)} is not offered`, fix: `Use one of ${names.join(", ")}.` }];
  }
  if (issue.code === "invalid_union") {
    const [branch] = issue.errors
      .filter(
        (errors) =>
          !errors.some((error) => error.path.length === 0 && (error.code === "invalid_type" || error.code === "invalid_value")),
      )
      .sort((a, b) => a.length - b.length);
    if (branch) return branch.flatMap((inner) => explainIssue(inner, path, value, schema));
    const kinds = issue.errors.flatMap((errors) => errors.slice(0, 1).map(expectation));
    return [
      { path, problem: `${shown(get(value, path), path)} is not accepted`, fix: `Write ${[...new Set(kinds)].join(" or ")}.` },
    ];
  }
  if (issue.code === "invalid_key")
    return [{ path, problem: "this name cannot be used", fix: issue.issues.map((inner) => sentence(inner.message)).join(" ") }];
  const found = get(value, path);
  if (issue.code === "invalid_type" && found === undefined)
    return [{ path, problem: "is missing", fix: `Write ${expectation(issue)}.` }];
  if (issue.code === "custom" || issue.code === "invalid_format")
    return [{ path, problem: `${shown(found, path)} is not accepted`, fix: sentence(issue.message) }];
  return [{ path, problem: `${shown(found, path)} is not accepted`, fix: `Write ${expectation(issue)}.` }];
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values
        .map((value) => JSON.stringify(value))
        .join(", ")
        .replace(/, ([^,]*)$/, " or $1");
    case "too_small":
      return issue.origin === "string"
        ? "a text that is not empty"
        : `${issue.inclusive ? "a number of at least" : "a number above"} ${issue.minimum}`;
    case "too_big":
      return `a number of at most ${issue.maximum}`;
    default:
      return issue.message.replace(/^expected /i, "");
  }
}

const typeNames: Record<string, string> = {
  string: "a text",
  number: "a number, without quotes",
  int: "a whole number, without quotes",
  boolean: "true or false",
  object: "an object { … }",
  record: "an object { … }",
  array: "a list [ … ]",
};

/** The value's kind; numbers, booleans and short words are shown, longer texts are not: they may be secrets. */
function shown(value: unknown, path: Path): string {
  if (value !== undefined && isSecretKey(String(path.at(-1)))) return "this value";
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (typeof value === "string") return /^[\w.:/@*-]{0,24}$/.test(value) ? JSON.stringify(value) : "this text";
  if (Array.isArray(value)) return "a list";
  return value === undefined ? "nothing" : "an object";
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}.`.replace(/^Expected/, "Write").replace(/\.\.$/, ".");

function unknownKey(path: Path, schema: z.core.$ZodType): Fault {
  const key = String(path.at(-1));
  const parent = path.slice(0, -1);
  const siblings = children(schema, parent);
  const near = nearest(key, siblings);
  const elsewhere = knownPaths(schema).filter((known) => known.at(-1) === key);
  const suggestions = [...(near && near !== key ? [showPath([...parent, near])] : []), ...elsewhere.map(showPath)];
  const choice = [...new Set(suggestions)].slice(0, 3);
  const fix =
    choice.length > 0
      ? `Did you mean ${choice.join(" or ")}?`
      : `Remove it, or use one of: ${siblings.slice(0, 12).join(", ")}${siblings.length > 12 ? ", …" : ""}.`;
  return { path, problem: "unknown key", fix };
}
