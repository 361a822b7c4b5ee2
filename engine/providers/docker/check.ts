/** Checks what a program gives for a docker resource: names, kinds and bounds; adds the defaults and notes which. */
import { createHash } from "node:crypto";
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import type { CheckFailure, CheckRequest } from "../provider.ts";
import { type Field, type Fields, isZero, type ResourceFields, snakeCase, string, strings, terraformName } from "./fields.ts";

export interface Checked {
  inputs: PropertyMap;
  failures: CheckFailure[];
}

/** `news` and `olds` without secret marks. */
export function checkResource(type: ResourceFields, request: CheckRequest, news: PropertyMap, olds: PropertyMap): Checked {
  const name = request.name ?? request.urn.slice(request.urn.lastIndexOf("::") + 2);
  const failures: CheckFailure[] = [];
  const given = { ...news };
  const made = type.autonamed && (given.name ?? null) === null ? madeName(name, request, olds) : undefined;
  if (made !== undefined) given.name = made;
  const inputs = checkBlock(type.fields, given, name, "", failures);
  if (made !== undefined) inputs.__defaults = [...strings(inputs.__defaults), "name"].sort();
  for (const [field, { conflicts }] of Object.entries(type.fields)) {
    if (conflicts === undefined || isZero(inputs[field]) || isZero(inputs[conflicts])) continue;
    const [one, other] = [field, conflicts].map((item) => terraformName(item, type.fields[item] ?? { kind: "string" }));
    failures.push(failure(`Conflicting configuration arguments. "${one}": conflicts with ${other}`, name, field));
  }
  return { inputs, failures };
}

function failure(reason: string, name: string, path: string): CheckFailure {
  return { reason: `${reason}. Examine values at '${name}.${path}'.` };
}

function checkBlock(fields: Fields, given: PropertyMap, name: string, prefix: string, failures: CheckFailure[]): PropertyMap {
  const inputs: PropertyMap = {};
  for (const [key, value] of Object.entries(given)) {
    if (key === "__defaults") continue;
    const field = fieldNamed(fields, key);
    const path = prefix + (field?.[0] ?? key);
    if (!field) failures.push(failure("Invalid or unknown key", name, path));
    else if (field[1].readOnly) {
      failures.push(failure("Value for unconfigurable attribute: it is decided by the daemon", name, path));
    } else if (value !== null) inputs[field[0]] = checkValue(field[1], value, name, path, failures);
  }
  const defaults: string[] = [];
  for (const [key, field] of Object.entries(fields)) {
    if (inputs[key] !== undefined) continue;
    if (field.required) {
      failures.push({ reason: `Missing required property '${prefix}${key}' of '${name}'`, property: prefix + key });
    } else if (field.default !== undefined && !isZero(field.default)) {
      inputs[key] = field.default;
      defaults.push(key);
    }
  }
  inputs.__defaults = defaults.sort();
  return inputs;
}

/** A field by its name, or by its Terraform name in camelCase (`build.tag` for `build.tags`). */
function fieldNamed(fields: Fields, key: string): [string, Field] | undefined {
  const field = fields[key];
  if (field) return [key, field];
  return Object.entries(fields).find(([name, candidate]) => terraformName(name, candidate) === snakeCase(key));
}

function checkValue(field: Field, value: Value, name: string, path: string, failures: CheckFailure[]): Value {
  if (value === unknown) return value;
  const wrong = (expected: string) => {
    failures.push(failure(`Expected ${expected}, found ${typeName(value)}`, name, path));
    return value;
  };
  switch (field.kind) {
    case "bool":
      if (value === "true" || value === "false") return value === "true";
      return typeof value === "boolean" ? value : wrong("a boolean");
    case "int": {
      const count = typeof value === "string" && value !== "" ? Number(value) : value;
      if (typeof count !== "number" || !Number.isInteger(count)) return wrong("a whole number");
      if (field.atLeast !== undefined && count < field.atLeast) {
        failures.push(failure(`Value must be ${field.atLeast} or more`, name, path));
      }
      return count;
    }
    case "string": {
      if (typeof value === "object") return wrong("a string");
      const content = String(value);
      const problem = textProblem(field, content);
      if (problem) failures.push(failure(problem, name, path));
      return content;
    }
    case "map": {
      if (!isMap(value)) return wrong("a map of strings");
      for (const [key, item] of Object.entries(value)) {
        if (typeof item === "object" && item !== null) {
          failures.push(failure(`Expected a string, found ${typeName(item)}`, name, `${path}.${key}`));
        }
      }
      return Object.fromEntries(
        Object.entries(value).flatMap(([key, item]) => (typeof item === "object" ? [] : [[key, String(item)]])),
      );
    }
    default:
      return checkItems(field, value, name, path, failures);
  }
}

function checkItems(field: Field, value: Value, name: string, path: string, failures: CheckFailure[]): Value {
  const { of } = field;
  const block = (item: Value, at: string): Value => {
    if (item === unknown) return item;
    if (of && isMap(item)) return checkBlock(of, item, name, `${at}.`, failures);
    failures.push(failure(`Expected an object, found ${typeName(item)}`, name, at));
    return item;
  };
  if (field.one) return block(value, path);
  if (!Array.isArray(value)) {
    failures.push(failure(`Expected a list, found ${typeName(value)}`, name, path));
    return value;
  }
  return value.map((item, index) => {
    const at = `${path}[${index}]`;
    return of ? block(item, at) : checkValue({ kind: "string" }, item, name, at, failures);
  });
}

function textProblem({ pattern, duration, base64 }: Field, content: string): string | undefined {
  if (pattern && content !== "" && !pattern.test(content)) return `Value does not match ${String(pattern)}`;
  if (duration && durationNanoseconds(content) === undefined) {
    return "Value is not a duration of 0 or more, such as 1s, 500ms or 1m30s";
  }
  if (base64 && !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(content)) {
    return "Value is not encoded in base64";
  }
  return undefined;
}

const units: { [unit: string]: number } = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A duration as Go writes it; undefined where it is none, or below zero. */
export function durationNanoseconds(content: string): number | undefined {
  if (content === "0" || content === "") return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(content)) return undefined;
  let total = 0;
  for (const [, amount, unit = ""] of content.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (units[unit] ?? 0);
  }
  return Math.round(total);
}

function typeName(value: Value): string {
  if (Array.isArray(value)) return "a list";
  return isMap(value) ? "an object" : `a ${typeof value}`;
}

/** The name of before where that was made up too; else the resource's name and seven digits from the engine's seed. */
function madeName(name: string, { autonaming, randomSeed }: CheckRequest, olds: PropertyMap): string | undefined {
  if (strings(olds.__defaults).includes("name") && string(olds.name) !== "") return string(olds.name);
  if (autonaming?.mode === "DISABLE") return undefined;
  if (autonaming?.proposedName) return autonaming.proposedName;
  return `${name}-${createHash("sha256")
    .update(randomSeed ?? name)
    .digest("hex")
    .slice(0, 7)}`;
}
