/** What RandomX resources look like in a state: outputs, secret marks, and the notes of Pulumi's Terraform bridge. */
import { isMap, isSecret, type PropertyMap, secret, type Value } from "../../values.ts";
import { bcryptMatches } from "./bcrypt.ts";
import { passwordOutputs, type RandomResource } from "./resources.ts";

/** Values without secret marks: the provider does not accept them, but state files may hold them. */
export function plain(map: PropertyMap | undefined): PropertyMap {
  return Object.fromEntries(Object.entries(map ?? {}).map(([key, value]) => [key, unwrap(value)]));
}

function unwrap(value: Value): Value {
  if (isSecret(value)) return unwrap(value.value ?? null);
  if (Array.isArray(value)) return value.map(unwrap);
  return isMap(value) ? plain(value) : value;
}

/** The outputs to answer with. The notes let the official provider go on with this state as if it had written it. */
export function stored(type: RandomResource, state: PropertyMap): PropertyMap {
  const out: PropertyMap = { ...state, __pulumi_raw_state_delta: rawStateDelta(type, state) };
  if (type.schemaVersion !== undefined) out.__meta = JSON.stringify({ schema_version: String(type.schemaVersion) });
  for (const name of type.secrets) {
    const value = out[name];
    if (value !== undefined) out[name] = secret(value);
  }
  return out;
}

/** How the Terraform state differs from the outputs: nulls that outputs leave out, maps and lists, and other names. */
function rawStateDelta(type: RandomResource, state: PropertyMap): PropertyMap {
  const properties: PropertyMap = {};
  for (const name of new Set([...Object.keys(type.fields), ...type.computed])) {
    const value = state[name] ?? null;
    if (Array.isArray(value)) properties[name] = { arr: {} };
    else if (isMap(value)) properties[name] = { map: {} };
    else if (value === null) properties[name] = secret({ replace: { raw: null } });
  }
  return { obj: { ps: properties, ...(type.renamed ? { renamed: type.renamed } : {}) } };
}

/**
 * A state as today's provider would have written it. Older ones lack fields (then the defaults held), and two old versions
 * of RandomPassword had no hash or a wrong one.
 */
export function upgraded(type: RandomResource, properties: PropertyMap | undefined): PropertyMap {
  const { __meta: meta, __pulumi_raw_state_delta: _delta, ...state } = plain(properties);
  if (type.schemaVersion === undefined) return state;
  const version = schemaVersion(meta);
  const result = typeof state.result === "string" ? state.result : "";
  const number = state.number ?? state.numeric ?? true;
  const out: PropertyMap = {
    length: Buffer.byteLength(result),
    number,
    numeric: version < 2 ? number : (state.numeric ?? number),
  };
  for (const [name, field] of Object.entries(type.fields)) if (field.default !== undefined) out[name] ??= field.default;
  Object.assign(out, Object.fromEntries(Object.entries(state).filter(([, value]) => value !== null)));
  if (type.computed.includes("bcryptHash") && version < type.schemaVersion) {
    const hash = typeof out.bcryptHash === "string" ? out.bcryptHash : "";
    if (!bcryptMatches(result, hash)) out.bcryptHash = passwordOutputs(result).bcryptHash ?? "";
  }
  return out;
}

function schemaVersion(meta: Value | undefined): number {
  const [, version] = /"schema_version":\s*"(\d+)"/.exec(typeof meta === "string" ? meta : "") ?? [];
  return Number(version ?? 0);
}
