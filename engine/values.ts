/**
 * Property values as the engine holds them: plain JSON, in which secrets, assets, archives, resource references and
 * output values are objects tagged with Pulumi's signature key. It is the same form that travels in a gRPC `Struct`
 * (sdk/go/common/resource/plugin/rpc.go), so that nothing is converted between the wire, the plan and the recordings.
 * A checkpoint differs in one point only: there a secret holds `ciphertext` instead of `value`.
 */

export type Value = null | boolean | number | string | Value[] | PropertyMap;
export type PropertyMap = { [key: string]: Value };

/** The key that marks an object as something else than a map. */
export const signatureKey = "4dabf18193072939515e22adb298388d";
export const signatures = {
  secret: "1b47061264138c4ac30d75fd1eb44270",
  asset: "c44067f5952c0a294b673a41bacd8c17",
  archive: "0def7320c3a5731c473e5ecbe6d01bc7",
  resource: "5cf8f73096256a8f31e491e813e4eb8e",
  output: "d0e6a833031e9bbcd3f4e8bde6ca49a4",
  /** A string of bytes that are not UTF-8, `value` in base64. It stays tagged all the way. */
  byteString: "803fd3297a5875dc03ca845dda5d2a98",
} as const;

/** What stands for a value (or id) that is not known yet, in previews. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function isMap(value: Value | undefined): value is PropertyMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function signatureOf(value: Value | undefined): string | undefined {
  if (!isMap(value)) return undefined;
  const signature = value[signatureKey];
  return typeof signature === "string" ? signature : undefined;
}

export function isSecret(value: Value | undefined): value is PropertyMap {
  return signatureOf(value) === signatures.secret;
}

/** Marks a value as secret; a value that is one already is returned as it is. */
export function secret(value: Value): PropertyMap {
  return isSecret(value) ? value : { [signatureKey]: signatures.secret, value };
}

/** Takes the mark off; a value that is not secret is returned as it is. */
export function reveal(value: Value): Value {
  return isSecret(value) ? (value.value ?? null) : value;
}

export function isAsset(value: Value | undefined): value is PropertyMap {
  return signatureOf(value) === signatures.asset;
}

export function isArchive(value: Value | undefined): value is PropertyMap {
  return signatureOf(value) === signatures.archive;
}

function isOutput(value: Value | undefined): value is PropertyMap {
  return signatureOf(value) === signatures.output;
}

/** True where the value itself is not known; an output value without a value is one that is not known. */
export function isUnknown(value: Value | undefined): boolean {
  return value === unknown || (isOutput(value) && value.value === undefined);
}

/** Rebuilds a value from the inside out; parts that stay as they are are shared, not copied. */
export function rewrite(value: Value, change: (value: Value) => Value): Value {
  if (typeof value !== "object" || value === null) return change(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => rewrite(item, change));
    return change(items.every((item, index) => item === value[index]) ? value : items);
  }
  return change(rewriteMap(value, change));
}

/** As rewrite, for a property bag, which itself is not given to `change`. */
export function rewriteMap(map: PropertyMap, change: (value: Value) => Value): PropertyMap {
  let result: PropertyMap | undefined;
  for (const key of Object.keys(map)) {
    const before = map[key];
    if (before === undefined) continue;
    const after = rewrite(before, change);
    if (after === before) continue;
    result ??= { ...map };
    result[key] = after;
  }
  return result ?? map;
}

/** Output values become plain, secret or unknown values; their dependencies are lost (see outputDependencies). */
export function withoutOutputs(map: PropertyMap): PropertyMap {
  return rewriteMap(map, plainOutput);
}

export function plainOutput(value: Value): Value {
  if (!isOutput(value)) return value;
  const inner = value.value === undefined ? unknown : value.value;
  return value.secret === true ? secret(inner) : inner;
}

/** The URNs that output values anywhere in the value depend on. */
export function outputDependencies(value: Value | undefined, into: Set<string> = new Set()): Set<string> {
  if (value === undefined) return into;
  rewrite(value, (inner) => {
    if (isOutput(inner) && Array.isArray(inner.dependencies)) {
      for (const urn of inner.dependencies) if (typeof urn === "string") into.add(urn);
    }
    return inner;
  });
  return into;
}
