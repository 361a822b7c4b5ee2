/** The inputs that RandomString and RandomPassword share, and the rules between them. */
import { type PropertyMap, unknown } from "../../values.ts";
import type { CheckFailure } from "../provider.ts";
import { type Fields, failure, invalidValue, sameKeepers } from "./fields.ts";

const mins = ["minUpper", "minLower", "minNumeric", "minSpecial"];

export const stringFields: Fields = {
  keepers: { kind: "keepers", keeps: sameKeepers },
  length: {
    kind: "int",
    atLeast: 1,
    required:
      "The length of the string desired. The minimum value for length is 1 and, length must also be >= (`min_upper` + `min_lower` + `min_numeric` + `min_special`).",
  },
  lower: { kind: "bool", default: true },
  minLower: { kind: "int", default: 0 },
  minNumeric: { kind: "int", default: 0 },
  minSpecial: { kind: "int", default: 0 },
  minUpper: { kind: "int", default: 0 },
  number: { kind: "bool" },
  numeric: { kind: "bool" },
  // An older provider stored "" where nothing was given.
  overrideSpecial: { kind: "string", keeps: (before, after) => after === unknown || (before === "" && after === null) },
  special: { kind: "bool", default: true },
  upper: { kind: "bool", default: true },
};

export function checkStringFields(inputs: PropertyMap, resource: string): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const values = mins.map((name) => inputs[name] ?? 0);
  if (typeof inputs.length === "number" && !values.includes(unknown)) {
    const sum = values.reduce<number>((total, value) => total + Number(value), 0);
    if (inputs.length < sum) {
      const rule = "be at least sum of min_upper + min_lower + min_numeric + min_special";
      failures.push(failure(resource, "length", invalidValue("length", rule, inputs.length)));
    }
  }
  for (const name of ["number", "numeric"]) {
    if (inputs[name] === false && ["special", "upper", "lower"].every((other) => inputs[other] === false)) {
      const reason = `Invalid Attribute Combination. At least one attribute out of [special,upper,lower,${name}] must be specified as true`;
      failures.push(failure(resource, name, reason));
    }
  }
  return failures;
}

/** `number` is the old name of `numeric`: each takes the other's value, and true where neither is given. */
export function syncNumeric(plan: PropertyMap, inputs: PropertyMap): PropertyMap {
  const number = inputs.number ?? null;
  const numeric = inputs.numeric ?? null;
  if (number !== null && numeric !== null && number !== numeric && number !== unknown && numeric !== unknown) {
    throw new Error("Number and numeric are both configured with different values: Number is deprecated, use numeric instead");
  }
  return { ...plan, number: number ?? numeric ?? true, numeric: numeric ?? number ?? true };
}
