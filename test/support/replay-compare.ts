/**
 * Compares what the engine did with what was recorded, value by value. What may differ stands in one table, each entry with
 * its reason; an entry that no comparison needed makes the replay fail.
 */
import type { Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";

export interface Difference {
  path: string;
  recorded: Value | undefined;
  ours: Value | undefined;
}

/** What one replayed step knows: which strings were there before, and which new id stands for which recorded one. */
export interface Comparison {
  /** Every string in the state before the step: these must come back unchanged. */
  before: Set<string>;
  ids: Map<string, string>;
  idsBack: Map<string, string>;
}

export function newComparison(before: Value): Comparison {
  const strings = new Set<string>();
  const walk = (value: Value) => {
    if (typeof value === "string") strings.add(value);
    else if (Array.isArray(value)) value.forEach(walk);
    else if (isMap(value)) Object.values(value).forEach(walk);
  };
  walk(before);
  return { before: strings, ids: new Map(), idsBack: new Map() };
}

interface Exception {
  name: string;
  why: string;
  allows(key: string, recorded: Value | undefined, ours: Value | undefined, comparison: Comparison): boolean;
}

const addresses = new Set(["engineAddress", "mapperTarget", "loaderTarget", "resolverTarget"]);
const address = /^127\.0\.0\.1:\d+$/;
const folders = new Set(["rootDirectory", "programDirectory"]);
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** A provider's id, alone or after its URN; the same one must stand for the same recorded one throughout a step. */
function sameProvider(recorded: Value | undefined, ours: Value | undefined, comparison: Comparison): boolean {
  if (typeof recorded !== "string" || typeof ours !== "string") return false;
  const split = (text: string) => {
    const at = text.lastIndexOf("::");
    return at < 0 ? { urn: "", id: text } : { urn: text.slice(0, at), id: text.slice(at + 2) };
  };
  const from = split(recorded);
  const to = split(ours);
  if (from.urn !== to.urn || !uuid.test(from.id) || !uuid.test(to.id)) return false;
  if (comparison.before.has(from.id) || comparison.before.has(to.id)) return false;
  const known = comparison.ids.get(from.id) ?? to.id;
  const knownBack = comparison.idsBack.get(to.id) ?? from.id;
  if (known !== to.id || knownBack !== from.id) return false;
  comparison.ids.set(from.id, to.id);
  comparison.idsBack.set(to.id, from.id);
  return true;
}

function sorted(value: Value | undefined): string {
  return Array.isArray(value) ? JSON.stringify(value.map((item) => JSON.stringify(item)).sort()) : "";
}

const sets = new Set(["configSecretKeys", "dependencies"]);
/** Compared as one value, not item by item. */
const whole = new Set(["stackTrace", "sourcePosition", ...sets]);

export const exceptions: Exception[] = [
  {
    name: "addresses",
    why: "ports are given by the system",
    allows: (key, recorded, ours) =>
      addresses.has(key) || (key === "target" && address.test(String(recorded)) && address.test(String(ours))),
  },
  {
    name: "times",
    why: "a replay runs later; what was written by an earlier step keeps its time",
    allows: (key, recorded, ours, comparison) =>
      (key === "created" || key === "modified" || key === "time") &&
      typeof recorded === "string" &&
      typeof ours === "string" &&
      time.test(ours) &&
      !comparison.before.has(recorded) &&
      !comparison.before.has(ours),
  },
  {
    name: "provider ids",
    why: "a new provider gets a random UUID; it is the same wherever it is named",
    allows: (key, recorded, ours, comparison) =>
      (key === "id" || String(recorded).includes("pulumi:providers:")) && sameProvider(recorded, ours, comparison),
  },
  {
    name: "randomSeed",
    why: "random by purpose; 32 bytes, there in both or in neither",
    allows: (key, recorded, ours) =>
      key === "randomSeed" &&
      typeof recorded === "string" &&
      typeof ours === "string" &&
      Buffer.from(ours, "base64").length === Buffer.from(recorded, "base64").length,
  },
  {
    name: "resourceStatus",
    why: "address and token of a service for views, which no provider that we offer uses",
    allows: (key) => key === "resourceStatusAddress" || key === "resourceStatusToken",
  },
  {
    name: "stackTrace",
    why: "names lines of the SDK, whose folder was rewritten in the recordings",
    allows: (key, recorded, ours) => key === "stackTrace" && (recorded === undefined) === (ours === undefined),
  },
  {
    name: "sourcePosition",
    why: "names a line of the SDK, whose folder was rewritten in the recordings",
    allows: (key, recorded, ours) => key === "sourcePosition" && (recorded === undefined) === (ours === undefined),
  },
  {
    name: "callback tokens",
    why: "the SDK makes them up for its callbacks",
    allows: (key, recorded, ours) => key === "token" && uuid.test(String(recorded)) && uuid.test(String(ours)),
  },
  {
    name: "order in sets",
    why: "the CLI lists the members of a set in the order of a Go map, which changes from run to run",
    allows: (key, recorded, ours) => sets.has(key) && sorted(recorded) === sorted(ours),
  },
  {
    name: "plug-in folder",
    why: "a recorded provider is told where its plug-in lies; a player has no folder",
    allows: (key) => folders.has(key),
  },
];

/** Names of the exceptions that some comparison needed. */
export const neededExceptions = new Set<string>();

function allowed(key: string, recorded: Value | undefined, ours: Value | undefined, comparison: Comparison): boolean {
  const exception = exceptions.find((entry) => entry.allows(key, recorded, ours, comparison));
  if (exception) neededExceptions.add(exception.name);
  return exception !== undefined;
}

/** All places at which the two differ, exceptions aside. Bindings of ids are kept in the comparison. */
export function differences(
  recorded: Value | undefined,
  ours: Value | undefined,
  comparison: Comparison,
  path = "",
  key = "",
): Difference[] {
  if (recorded === ours) return [];
  if (Array.isArray(recorded) && Array.isArray(ours) && !whole.has(key)) {
    const length = Math.max(recorded.length, ours.length);
    return Array.from({ length }, (_, index) =>
      differences(recorded[index], ours[index], comparison, `${path}[${index}]`, key),
    ).flat();
  }
  if (isMap(recorded) && isMap(ours) && !whole.has(key)) {
    const names = new Set([...Object.keys(recorded), ...Object.keys(ours)]);
    return [...names].flatMap((name) =>
      differences(recorded[name], ours[name], comparison, path ? `${path}.${name}` : name, name),
    );
  }
  if (recorded !== undefined && ours !== undefined && JSON.stringify(recorded) === JSON.stringify(ours)) return [];
  return allowed(key, recorded, ours, comparison) ? [] : [{ path, recorded, ours }];
}

/** The same without binding ids or counting exceptions: for looking for the counterpart of a call. */
export function distance(recorded: Value, ours: Value, comparison: Comparison): number {
  const trial: Comparison = {
    before: comparison.before,
    ids: new Map(comparison.ids),
    idsBack: new Map(comparison.idsBack),
  };
  const needed = [...neededExceptions];
  const count = differences(recorded, ours, trial).length;
  neededExceptions.clear();
  for (const name of needed) neededExceptions.add(name);
  return count;
}

/** Plain JSON of whatever the engine hands over; what is undefined is absent, as on the wire. */
export function plain(value: unknown): Value {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

export function describe(difference: Difference): string {
  const show = (value: Value | undefined) => {
    const text = value === undefined ? "(absent)" : JSON.stringify(value);
    return text.length > 400 ? `${text.slice(0, 400)}…` : text;
  };
  return `${difference.path}: recorded ${show(difference.recorded)}, ours ${show(difference.ours)}`;
}
