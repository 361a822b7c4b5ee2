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
