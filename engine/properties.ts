/** What the engine does with property values as a whole: compare, look for secrets and unknowns, and carry marks over. */
import {
  isMap,
  isSecret,
  type PropertyMap,
  secret,
  signatureKey,
  signatureOf,
  signatures,
  unknown,
  type Value,
} from "./values.ts";

/** The value inside any secrets. */
export function unwrapSecret(value: Value): Value {
  let inner = value;
  while (isSecret(inner)) inner = inner.value ?? null;
  return inner;
}

/** True for a map that is not a secret, asset, archive or reference. */
export function isPlainMap(value: Value | undefined): value is PropertyMap {
  return isMap(value) && signatureOf(value) === undefined;
}

function isAssetOrArchive(signature: string | undefined): boolean {
  return signature === signatures.asset || signature === signatures.archive;
}

function containsWhere(value: Value, test: (value: Value) => boolean): boolean {
  if (test(value)) return true;
  if (Array.isArray(value)) return value.some((element) => containsWhere(element, test));
  return isMap(value) && Object.values(value).some((element) => containsWhere(element, test));
}

export const containsSecrets = (value: Value): boolean => containsWhere(value, isSecret);
export const containsUnknowns = (value: Value): boolean => containsWhere(value, (inner) => inner === unknown);

/** Equality as the engine means it: null equals absent, assets are equal where their hashes are. */
export function deepEqual(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return (a ?? null) === (b ?? null);
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((element, index) => deepEqual(element, b[index]));
  }
  if (!isMap(a) || !isMap(b)) return false;
  const signature = signatureOf(a);
  if (signature !== signatureOf(b)) return false;
  if (isAssetOrArchive(signature) && a.hash !== undefined && b.hash !== undefined) return a.hash === b.hash;
  for (const key of Object.keys(a)) if (!deepEqual(a[key], b[key])) return false;
  for (const key of Object.keys(b)) if (!(key in a) && b[key] !== null) return false;
  return true;
}

function mapValues(map: PropertyMap, change: (value: Value, key: string) => Value): PropertyMap {
  let changed: PropertyMap | undefined;
  for (const [key, value] of Object.entries(map)) {
    const next = change(value, key);
    if (next === value) continue;
    changed ??= { ...map };
    changed[key] = next;
  }
  return changed ?? map;
}

/** Applies a change at every place, inside out; what does not change keeps its identity. */
function rewrite(value: Value, change: (value: Value) => Value): Value {
  if (Array.isArray(value)) {
    let changed: Value[] | undefined;
    value.forEach((element, index) => {
      const next = rewrite(element, change);
      if (next === element) return;
      changed ??= [...value];
      changed[index] = next;
    });
    return change(changed ?? value);
  }
  if (isMap(value)) return change(mapValues(value, (element) => rewrite(element, change)));
  return change(value);
}

const stripSecret = (value: Value): Value => (isSecret(value) ? (value.value ?? null) : value);
const elideContents = (value: Value): Value => {
  const signature = signatureOf(value);
  if (!isMap(value) || !isAssetOrArchive(signature) || signature === undefined) return value;
  return { [signatureKey]: signature, hash: value.hash ?? "" };
};
const flattenReference = (value: Value): Value => {
  if (!isMap(value) || signatureOf(value) !== signatures.resource) return value;
  // An id that is not known yet is an empty string in a reference.
  return value.id === undefined ? (value.urn ?? null) : value.id === "" ? unknown : value.id;
};

export const withoutSecrets = (value: Value): Value => rewrite(value, stripSecret);

/** How a provider wants its values (sdk plugin.MarshalOptions). */
export interface WireForm {
  keepSecrets: boolean;
  keepResources: boolean;
  /** Assets and archives by their hash alone. */
  elideAssets: boolean;
}

export function toWire(map: PropertyMap, form: WireForm): PropertyMap {
  return mapValues(map, (value) =>
    rewrite(value, (inner) => {
      let result = inner;
      if (!form.keepSecrets) result = stripSecret(result);
      if (form.elideAssets) result = elideContents(result);
      if (!form.keepResources) result = flattenReference(result);
      return result;
    }),
  );
}

/**
 * Marks in `outs` what was secret in `ins`, for providers that do not know of secrets. Maps are gone through; any other
 * property that held a secret becomes secret as a whole.
 */
export function annotateSecrets(outs: PropertyMap, ins: PropertyMap | undefined): PropertyMap {
  if (!ins) return outs;
  return mapValues(outs, (out, key) => {
    const before = ins[key];
    if (before === undefined) return out;
    if (isPlainMap(out) && isPlainMap(before)) return annotateSecrets(out, before);
    return !isSecret(out) && containsSecrets(before) ? secret(out) : out;
  });
}

/** Marks the named top-level properties, and those whose input is secret (step executor of the CLI, after each step). */
export function markSecretOutputs(outputs: PropertyMap, inputs: PropertyMap, additional: string[] | undefined): PropertyMap {
  return mapValues(outputs, (value, key) => {
    if (isSecret(value)) return value;
    return additional?.includes(key) || isSecret(inputs[key]) ? secret(value) : value;
  });
}

/** Providers spell the absent contents of assets as empty texts. */
export function dropEmptyContents(map: PropertyMap): PropertyMap {
  return mapValues(map, (value) =>
    rewrite(value, (inner) => {
      if (!isMap(inner) || !isAssetOrArchive(signatureOf(inner))) return inner;
      const kept = Object.entries(inner).filter(([key, content]) => content !== "" || key === "hash");
      return kept.length === Object.keys(inner).length ? inner : Object.fromEntries(kept);
    }),
  );
}

/** Gives assets that a provider echoed by hash alone their contents back. */
export function restoreAssets(map: PropertyMap, original: PropertyMap | undefined): PropertyMap {
  const known = new Map<string, PropertyMap>();
  containsWhere(original ?? {}, (value) => {
    const signature = signatureOf(value);
    if (isMap(value) && isAssetOrArchive(signature)) known.set(`${signature} ${value.hash}`, value);
    return false;
  });
  if (known.size === 0) return map;
  return mapValues(map, (value) =>
    rewrite(value, (inner) => {
      const signature = signatureOf(inner);
      if (!isMap(inner) || !isAssetOrArchive(signature)) return inner;
      const empty = !inner.text && !inner.path && !inner.uri && !inner.assets;
      return (empty && known.get(`${signature} ${inner.hash}`)) || inner;
    }),
  );
}
