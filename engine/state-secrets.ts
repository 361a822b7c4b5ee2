/**
 * Property values between the state file and the engine: ciphertexts become tagged secrets and back. A secret whose value
 * did not change keeps its ciphertext, so that a state file changes only where the stack did.
 */
import { goJson } from "./config-values.ts";
import { EngineError } from "./errors.ts";
import type { SecretsManager } from "./secrets.ts";
import { type PropertyMap, signatureKey, signatureOf, signatures, unknown, type Value } from "./values.ts";

export interface DecodeContext {
  /** File, for error texts. */
  path: string;
  urn: string;
  section: string;
  secrets: SecretsManager | undefined;
}

interface Sealed {
  salt: string;
  plaintext: string;
  ciphertext: string;
}

const sealedByObject = new WeakMap<PropertyMap, Sealed>();
/** By place in the state: an update makes new objects for the values that stay. */
const sealedByPlace = new Map<string, Sealed>();

export function decodeProperties(properties: PropertyMap, context: DecodeContext): PropertyMap {
  const result: PropertyMap = {};
  for (const [key, value] of Object.entries(properties)) result[key] = decodeValue(value, context, key);
  return result;
}

export function decodeValue(value: Value, context: DecodeContext, place: string): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item, index) => decodeValue(item, context, `${place}[${index}]`));
  if (signatureOf(value) !== signatures.secret) {
    const result: PropertyMap = {};
    for (const [key, item] of Object.entries(value)) result[key] = decodeValue(item, context, `${place}.${key}`);
    return result;
  }
  const { ciphertext, plaintext } = value;
  const where = `${context.path}: ${context.urn}: the secret in '${context.section}.${place}'`;
  if ((typeof ciphertext === "string") === (typeof plaintext === "string")) {
    throw new EngineError(`${where} is malformed: exactly one of \`ciphertext\` or \`plaintext\` must be supplied`);
  }
  if (typeof plaintext === "string") return tagged(parseClear(plaintext, where));
  if (typeof ciphertext !== "string") return value;
  if (!context.secrets) {
    throw new EngineError(
      `${where} cannot be decrypted: the file names no secrets provider; restore 'secrets_providers' from a backup`,
    );
  }
  let clear: string;
  try {
    clear = context.secrets.decrypt(ciphertext);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError(
      `${where} could not be decrypted: ${reason}\n  The file was damaged or mixed with another one: restore it from the folder \`.pulumi/backups\``,
    );
  }
  const decoded = tagged(parseClear(clear, where));
  const sealed = { salt: context.secrets.salt, plaintext: clear, ciphertext };
  sealedByObject.set(decoded, sealed);
  sealedByPlace.set(placeKey(context, place), sealed);
  return decoded;
}

function tagged(value: Value): PropertyMap {
  return { [signatureKey]: signatures.secret, value };
}

function parseClear(text: string, where: string): Value {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new EngineError(`${where} does not hold JSON; restore the file from the folder \`.pulumi/backups\``);
  }
  return openInner(jsonValue(parsed), where);
}

/** Inside a secret, inner secrets hold plain JSON where a ciphertext stands otherwise. */
function openInner(value: Value, where: string): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => openInner(item, where));
  if (signatureOf(value) === signatures.secret) {
    const inner = value.ciphertext ?? value.plaintext;
    if (typeof inner === "string") return tagged(parseClear(inner, where));
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, openInner(item, where)]));
}

/** Narrows what JSON.parse gives. */
export function jsonValue(value: unknown): Value {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(jsonValue);
  if (typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonValue(item)]));
  throw new EngineError(`a value of type ${typeof value} cannot be stored`);
}

export interface EncodeContext {
  urn: string;
  section: string;
  secrets: SecretsManager;
  /** Show plaintexts (`stack export --show-secrets`). */
  showSecrets?: boolean;
}

/** JSON of a property map as the state holds it: keys sorted, secrets encrypted. */
export function encodeProperties(properties: PropertyMap, context: EncodeContext): string {
  return encodeValue(properties, context, "");
}

export function encodeValue(value: Value | undefined, context: EncodeContext, place: string): string {
  if (value === undefined || value === null) return "null";
  if (typeof value === "string") return jsonText(value);
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value))
    return `[${value.map((item, index) => encodeValue(item, context, `${place}[${index}]`)).join(",")}]`;
  const signature = signatureOf(value);
  if (signature === signatures.secret) return encodeSecret(value, value.value ?? null, context, place);
  if (signature === signatures.output) {
    const known = Object.hasOwn(value, "value") ? (value.value ?? null) : unknown;
    return value.secret === true ? encodeSecret(value, known, context, place) : encodeValue(known, context, place);
  }
  const parts: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const item = value[key];
    if (item !== undefined)
      parts.push(`${jsonText(key)}:${encodeValue(item, context, place === "" ? key : `${place}.${key}`)}`);
  }
  return `{${parts.join(",")}}`;
}

function encodeSecret(holder: PropertyMap, element: Value, context: EncodeContext, place: string): string {
  const plaintext = goJson(closeInner(element));
  const name = context.showSecrets ? "plaintext" : "ciphertext";
  const text = context.showSecrets ? plaintext : seal(holder, plaintext, context, place);
  return `{"${signatureKey}":"${signatures.secret}","${name}":${jsonText(text)}}`;
}

function seal(holder: PropertyMap, plaintext: string, context: EncodeContext, place: string): string {
  const { secrets } = context;
  const key = placeKey(context, place);
  for (const known of [sealedByObject.get(holder), sealedByPlace.get(key)]) {
    if (known?.salt !== secrets.salt || known.plaintext !== plaintext) continue;
    sealedByObject.set(holder, known);
    return known.ciphertext;
  }
  const sealed = { salt: secrets.salt, plaintext, ciphertext: secrets.encrypt(plaintext) };
  sealedByObject.set(holder, sealed);
  sealedByPlace.set(key, sealed);
  return sealed.ciphertext;
}

function closeInner(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(closeInner);
  const signature = signatureOf(value);
  if (signature === signatures.secret || (signature === signatures.output && value.secret === true)) {
    return { [signatureKey]: signatures.secret, ciphertext: goJson(closeInner(value.value ?? null)) };
  }
  if (signature === signatures.output) return closeInner(Object.hasOwn(value, "value") ? (value.value ?? null) : unknown);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, closeInner(item)]));
}

function placeKey(context: { urn: string; section: string }, place: string): string {
  return `${context.urn}\0${context.section}.${place}`;
}

/** As Go writes text: the two line separators escaped. */
export function jsonText(text: string): string {
  return JSON.stringify(text).replace(/[\u2028\u2029]/g, (character) => (character === "\u2028" ? "\\u2028" : "\\u2029"));
}
