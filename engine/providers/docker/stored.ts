/** What docker resources look like in a state: outputs from what the daemon says, and the notes of Pulumi's bridge. */
import { isMap, isSecret, type PropertyMap, unknown, type Value } from "../../values.ts";
import { type Field, type Fields, isZero, type ResourceFields, sameValue, snakeCase, terraformName } from "./fields.ts";
import { emptyOf, sortedSet, withZeros, zeroOf } from "./plan.ts";

/** Values without secret marks: the provider does not take them, but state files may hold them. */
export function plain(map: PropertyMap | undefined): PropertyMap {
  return Object.fromEntries(Object.entries(map ?? {}).map(([key, value]) => [key, unwrap(value)]));
}

function unwrap(value: Value): Value {
  if (isSecret(value)) return unwrap(value.value ?? null);
  if (Array.isArray(value)) return value.map(unwrap);
  return isMap(value) ? plain(value) : value;
}

/** The state after a creation: the plan, and over it what the daemon says. Terraform keeps a planned set as planned. */
export function afterCreate(type: ResourceFields, plan: PropertyMap, said: PropertyMap): PropertyMap {
  return merged(type, plan, said, (field, before, now) => {
    if (field.kind === "set" && before !== null && !JSON.stringify(before).includes(unknown)) return before;
    return before === null && isZero(now) && typeof now === "object" ? null : now;
  });
}

/** The state after a read: what was there before, and over it what the daemon says. */
export function afterRead(type: ResourceFields, state: PropertyMap, said: PropertyMap): PropertyMap {
  return merged(type, state, said, (field, _, now) => withZeros(field, now));
}

/** The state after an update without a read: the plan, in which what was taken away has its zero value. */
export function afterUpdate(type: ResourceFields, old: PropertyMap, plan: PropertyMap): PropertyMap {
  const removed = Object.entries(type.fields).flatMap(([name, field]) =>
    (plan[name] ?? null) === null && (old[name] ?? null) !== null && !field.of ? [[name, zeroOf(field)]] : [],
  );
  return merged(type, { ...plan, ...Object.fromEntries(removed) }, {}, (field, _, now) => withZeros(field, now));
}

function merged(
  type: ResourceFields,
  base: PropertyMap,
  said: PropertyMap,
  form: (field: Field, before: Value, now: Value) => Value,
): PropertyMap {
  const out: PropertyMap = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const before = base[name] === unknown ? null : (base[name] ?? null);
    const now = said[name] ?? null;
    const kept = said[name] === undefined || (!isZero(now) && field.of !== undefined && sameValue(before, now));
    const value = form(field, base[name] ?? null, kept ? before : now);
    const settled = value === null ? emptyOf(field) : value;
    out[name] = field.kind === "set" && Array.isArray(settled) ? sortedSet(field, settled) : settled;
  }
  return out;
}

/** The notes let the official provider go on with this state as if it had written it. */
export function stored(type: ResourceFields, id: string, state: PropertyMap): PropertyMap {
  return { ...state, id, __meta: metaText(type, undefined), __pulumi_raw_state_delta: { obj: delta(type.fields, state) } };
}

const notWhole = "openclaw-not-whole";

/** The state of something whose creation failed half-way. */
export function storedInPart(type: ResourceFields, id: string, state: PropertyMap): PropertyMap {
  const properties = stored(type, id, state);
  return { ...properties, __meta: JSON.stringify({ ...JSON.parse(metaText(type, undefined)), [notWhole]: true }) };
}

/** Terraform calls it tainted: what is missing cannot be added, so it is to be made anew. */
export function isInPart({ __meta: note }: PropertyMap): boolean {
  return typeof note === "string" && note.includes(`"${notWhole}":true`);
}

const timeoutsKey = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0";
const twentyMinutes = 1_200_000_000_000;

/** `shim` stands in previews only. */
export function metaText(type: ResourceFields, shim: PropertyMap | undefined): string {
  const { schemaVersion, timeouts } = type.meta;
  return JSON.stringify({
    ...(shim ? { _new_extra_shim: shim } : {}),
    ...(timeouts ? { [timeoutsKey]: { create: twentyMinutes, delete: twentyMinutes, update: twentyMinutes } } : {}),
    ...(schemaVersion && !shim ? { schema_version: schemaVersion } : {}),
  });
}

/** How the Terraform state differs from the outputs: lists, maps, blocks without a list around them, and other names. */
function delta(fields: Fields, state: PropertyMap): PropertyMap {
  const properties: PropertyMap = {};
  const renamed: PropertyMap = {};
  for (const [name, field] of Object.entries(fields)) {
    const terraform = terraformName(name, field);
    if (terraform !== snakeCase(name)) renamed[name] = terraform;
    const note = noteOf(field, state[name] ?? null);
    if (note) properties[name] = note;
  }
  return {
    ...(Object.keys(properties).length > 0 ? { ps: properties } : {}),
    ...(Object.keys(renamed).length > 0 ? { renamed } : {}),
  };
}

function noteOf(field: Field, value: Value): PropertyMap | undefined {
  const { of } = field;
  if (of && field.one) return isMap(value) ? { plu: { i: { obj: delta(of, value) } } } : { plu: { i: {} } };
  if (Array.isArray(value)) {
    const elements = value.flatMap((item, index) => (of && isMap(item) ? [[String(index), { obj: delta(of, item) }]] : []));
    return { arr: elements.length > 0 ? { el: Object.fromEntries(elements) } : {} };
  }
  return isMap(value) && !of ? { map: {} } : undefined;
}
