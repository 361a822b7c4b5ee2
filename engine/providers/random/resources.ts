/** The resource types of the random package: their inputs, how a value is made, and what an import id means. */
import { randomBytes } from "node:crypto";
import type { PropertyMap, Value } from "../../values.ts";
import type { CheckFailure } from "../provider.ts";
import { bcrypt } from "./bcrypt.ts";
import { randomString } from "./characters.ts";
import { type Fields, sameKeepers } from "./fields.ts";
import { petName } from "./pet.ts";
import { randomInteger, shuffled } from "./seeded.ts";
import { checkStringFields, stringFields, syncNumeric } from "./string-fields.ts";
import { formatUuid, parseUuid, parseUuidLoosely, plainUuid, uuid4, uuid7 } from "./uuid.ts";

export interface RandomResource {
  fields: Fields;
  /** Outputs that the provider makes; in a preview they are unknown. */
  computed: string[];
  secrets: string[];
  /** Goes into the state as `__meta`, so that the official provider knows how it was written. */
  schemaVersion?: number;
  /** Outputs that Terraform calls otherwise. */
  renamed?: { [name: string]: string };
  check?(inputs: PropertyMap, resource: string): CheckFailure[];
  /** Makes the plan from inputs with defaults. */
  plan?(plan: PropertyMap, inputs: PropertyMap): PropertyMap;
  /** The computed outputs. Throws Error with a text for the user. */
  generate(plan: PropertyMap): PropertyMap;
  id(state: PropertyMap): string;
  /** The state for an id that a user gives; absent where the type cannot be imported. */
  fromId?(id: string): PropertyMap;
}

const keepers: Fields = { keepers: { kind: "keepers", keeps: sameKeepers } };
const idOf = (state: PropertyMap) => (typeof state.id === "string" ? state.id : "");
const number = (value: Value | undefined) => (typeof value === "number" ? value : 0);
const string = (value: Value | undefined) => (typeof value === "string" ? value : "");

function uuidType(make: () => string, parse: (id: string) => Uint8Array): RandomResource {
  const both = (uuid: string) => ({ id: uuid, result: uuid });
  return {
    fields: keepers,
    computed: ["id", "result"],
    secrets: [],
    generate: () => both(make()),
    id: idOf,
    fromId: (id) =>
      both(formatUuid(parsed("Import Random UUID Error: There was an error during the parsing of the UUID.", () => parse(id)))),
  };
}

const imported: PropertyMap = {
  special: true,
  upper: true,
  lower: true,
  number: true,
  numeric: true,
  minSpecial: 0,
  minUpper: 0,
  minLower: 0,
  minNumeric: 0,
};

export const resources: { [type: string]: RandomResource } = {
  "random:index/randomBytes:RandomBytes": {
    fields: {
      keepers: { kind: "keepers" },
      length: { kind: "int", required: "The number of bytes requested. The minimum value for length is 1.", atLeast: 1 },
    },
    computed: ["base64", "hex"],
    secrets: ["base64", "hex"],
    generate: (plan) => bytesOutputs(randomBytes(number(plan.length))),
    id: (state) => string(state.base64),
    fromId(id) {
      const bytes = parsed("Import Random bytes Error: There was an error during the parsing of the base64 string.", () =>
        fromBase64(id),
      );
      return { ...bytesOutputs(bytes), length: bytes.length };
    },
  },
  "random:index/randomId:RandomId": {
    fields: {
      ...keepers,
      byteLength: {
        kind: "int",
        required: "The number of random bytes to produce. The minimum value is 1, which produces eight bits of randomness.",
      },
      prefix: { kind: "string" },
    },
    computed: ["b64Std", "b64Url", "dec", "hex", "id"],
    secrets: [],
    generate(plan) {
      const length = number(plan.byteLength);
      if (length < 1) throw new Error(`byteLength must be at least 1, got: ${length}`);
      return idOutputs(string(plan.prefix), randomBytes(length));
    },
    id: idOf,
    fromId(id) {
      const comma = id.lastIndexOf(",");
      const prefix = id.slice(0, Math.max(comma, 0));
      const bytes = parsed("Import Random ID Error: While attempting to import a random id there was a decoding error.", () =>
        fromBase64(id.slice(comma + 1), "url"),
      );
      return { ...idOutputs(prefix, bytes), byteLength: bytes.length, ...(prefix ? { prefix } : {}) };
    },
  },
  "random:index/randomInteger:RandomInteger": {
    fields: {
      ...keepers,
      min: { kind: "int", required: "The minimum inclusive value of the range." },
      max: { kind: "int", required: "The maximum inclusive value of the range." },
      seed: { kind: "string" },
    },
    computed: ["id", "result"],
    secrets: [],
    generate(plan) {
      const result = randomInteger(number(plan.min), number(plan.max), string(plan.seed));
      return { id: String(result), result };
    },
    id: idOf,
    fromId: importedInteger,
  },
  "random:index/randomPassword:RandomPassword": {
    fields: stringFields,
    computed: ["bcryptHash", "id", "result"],
    secrets: ["bcryptHash", "result"],
    schemaVersion: 3,
    check: checkStringFields,
    plan: syncNumeric,
    generate: (plan) => passwordOutputs(generated(plan)),
    id: idOf,
    fromId: (id) => ({ ...imported, ...passwordOutputs(id), length: Buffer.byteLength(id) }),
  },
  "random:index/randomPet:RandomPet": {
    fields: {
      ...keepers,
      length: { kind: "int", default: 2 },
      prefix: { kind: "string" },
      separator: { kind: "string", default: "-" },
    },
    computed: ["id"],
    secrets: [],
    generate: (plan) => ({ id: petName(number(plan.length), string(plan.separator), string(plan.prefix)) }),
    id: idOf,
  },
  "random:index/randomShuffle:RandomShuffle": {
    fields: {
      ...keepers,
      inputs: { kind: "strings", required: "The list of strings to shuffle." },
      resultCount: { kind: "int" },
      seed: { kind: "string" },
    },
    computed: ["id", "results"],
    secrets: [],
    renamed: { inputs: "input", results: "result" },
    generate(plan) {
      const inputs = Array.isArray(plan.inputs) ? plan.inputs : [];
      const count = typeof plan.resultCount === "number" ? plan.resultCount : inputs.length;
      return { id: "-", results: shuffled(inputs, count, string(plan.seed)) };
    },
    id: idOf,
  },
  "random:index/randomString:RandomString": {
    fields: stringFields,
    computed: ["id", "result"],
    secrets: [],
    schemaVersion: 2,
    check: checkStringFields,
    plan: syncNumeric,
    generate(plan) {
      const result = generated(plan);
      return { id: result, result };
    },
    id: idOf,
    fromId: (id) => ({ ...imported, id, result: id, length: Buffer.byteLength(id) }),
  },
  "random:index/randomUuid:RandomUuid": uuidType(plainUuid, parseUuid),
  "random:index/randomUuid4:RandomUuid4": uuidType(uuid4, parseUuidLoosely),
  "random:index/randomUuid7:RandomUuid7": uuidType(uuid7, parseUuidLoosely),
};

function idOutputs(prefix: string, bytes: Buffer): PropertyMap {
  const id = bytes.toString("base64url");
  const hex = bytes.toString("hex");
  return {
    id,
    b64Url: prefix + id,
    b64Std: prefix + bytes.toString("base64"),
    hex: prefix + hex,
    dec: prefix + BigInt(`0x${hex || "0"}`).toString(),
  };
}

function bytesOutputs(bytes: Buffer): PropertyMap {
  return { base64: bytes.toString("base64"), hex: bytes.toString("hex") };
}

export function passwordOutputs(result: string): PropertyMap {
  return { id: "none", result, bcryptHash: bcrypt(result) };
}

function generated(plan: PropertyMap): string {
  try {
    return randomString(plan);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Random Read Error: While attempting to generate a random value for this resource, a read error was generated.\n\nOriginal Error: ${reason}`,
    );
  }
}

function importedInteger(id: string): PropertyMap {
  const parts = id.split(",");
  if (parts.length !== 3 && parts.length !== 4) {
    throw new Error(
      "Import Random Integer Error: Invalid import usage: expecting {result},{min},{max} or {result},{min},{max},{seed}",
    );
  }
  const [result = "", min = "", max = "", seed] = parts;
  const integer = (what: string, text: string) => {
    if (!/^[+-]?\d+$/.test(text)) {
      throw new Error(`Import Random Integer Error: The ${what} supplied could not be parsed as an integer.`);
    }
    return Number(text);
  };
  return {
    id: result,
    result: integer("value", result),
    min: integer("min value", min),
    max: integer("max value", max),
    ...(seed === undefined ? {} : { seed }),
  };
}

/** Node's decoder skips what it does not understand; an import must not. */
function fromBase64(text: string, variant: "std" | "url" = "std"): Buffer {
  const bytes = Buffer.from(text, "base64");
  const canonical = variant === "url" ? bytes.toString("base64url") : bytes.toString("base64");
  if (canonical !== text) throw new Error(`illegal ${variant === "url" ? "URL-safe base64 without padding" : "base64"} data`);
  return bytes;
}

function parsed<T>(summary: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new Error(`${summary}\n\nOriginal Error: ${error instanceof Error ? error.message : String(error)}`);
  }
}
