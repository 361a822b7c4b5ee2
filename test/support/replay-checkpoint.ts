/** Reads a checkpoint on its own (not with the engine's code), so that what the engine wrote is judged from outside. */
import { createDecipheriv, pbkdf2Sync } from "node:crypto";
import { z } from "zod";
import type { ResourceState, Snapshot } from "../../engine/resource.ts";
import type { Value } from "../../engine/values.ts";
import { isMap, isSecret, signatureKey, signatures } from "../../engine/values.ts";

const jsonMap = z.record(z.string(), z.unknown());
const resource = z.custom<ResourceState>((value) => typeof value === "object" && value !== null && "urn" in value);

const deploymentSchema = z.object({
  manifest: z.object({ time: z.string(), magic: z.string(), version: z.string() }),
  secrets_providers: z.object({ type: z.literal("passphrase"), state: z.object({ salt: z.string() }) }).optional(),
  resources: z.array(resource).optional(),
  pending_operations: z
    .array(z.object({ resource, type: z.enum(["creating", "updating", "deleting", "reading", "importing"]) }))
    .optional(),
  metadata: jsonMap.optional(),
});

const checkpointSchema = z.object({
  /** 4 where the state uses something that an older CLI would lose; `features` says what. */
  version: z.literal([3, 4]),
  features: z.array(z.string()).optional(),
  checkpoint: z.object({ stack: z.string(), latest: deploymentSchema.nullable().optional() }),
});

export interface ReadCheckpoint extends Snapshot {
  version: number;
  features: string[];
  stack: string;
  manifest?: { time: string; magic: string; version: string };
  salt?: string;
}

const keys = new Map<string, Buffer>();

function keyFor(salt: string, passphrase: string): Buffer {
  const name = `${salt} ${passphrase}`;
  const known = keys.get(name);
  if (known) return known;
  const [, saltText = ""] = salt.split(":");
  const key = pbkdf2Sync(passphrase, Buffer.from(saltText, "base64"), 1_000_000, 32, "sha256");
  keys.set(name, key);
  return key;
}

function decryptText(ciphertext: string, key: Buffer): string {
  const [version, nonce = "", sealed = ""] = ciphertext.split(":");
  if (version !== "v1") throw new Error(`ciphertext of version ${version}`);
  const bytes = Buffer.from(sealed, "base64");
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
  decipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString("utf8");
}

/** A `secure:` of a stack file. */
export function decryptSecure(ciphertext: string, salt: string, passphrase: string): string {
  return decryptText(ciphertext, keyFor(salt, passphrase));
}

/** Secrets hold `ciphertext` in the file; in the result they hold `value`. */
function decryptValue(value: Value, key: () => Buffer): Value {
  if (Array.isArray(value)) return value.map((item) => decryptValue(item, key));
  if (!isMap(value)) return value;
  const { ciphertext } = value;
  if (isSecret(value) && typeof ciphertext === "string") {
    const inner: Value = JSON.parse(decryptText(ciphertext, key()));
    return { [signatureKey]: signatures.secret, value: decryptInner(inner, key) };
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decryptValue(item, key)]));
}

/** A secret within a secret holds plain JSON as its ciphertext. */
function decryptInner(value: Value, key: () => Buffer): Value {
  if (Array.isArray(value)) return value.map((item) => decryptInner(item, key));
  if (!isMap(value)) return value;
  const { ciphertext } = value;
  if (isSecret(value) && typeof ciphertext === "string") {
    const inner: Value = JSON.parse(ciphertext);
    return { [signatureKey]: signatures.secret, value: decryptInner(inner, key) };
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decryptInner(item, key)]));
}

export function parseCheckpoint(text: string, passphrase: string): ReadCheckpoint {
  const { checkpoint, version, features = [] } = checkpointSchema.parse(JSON.parse(text));
  const latest = checkpoint.latest ?? undefined;
  const salt = latest?.secrets_providers?.state.salt;
  const key = () => keyFor(salt ?? "", passphrase);
  const open = (state: ResourceState): ResourceState => {
    const { inputs, outputs } = state;
    const opened = { ...state };
    if (inputs) opened.inputs = asMap(decryptValue(inputs, key));
    if (outputs) opened.outputs = asMap(decryptValue(outputs, key));
    return opened;
  };
  return {
    version,
    features,
    stack: checkpoint.stack,
    manifest: latest?.manifest,
    salt,
    resources: (latest?.resources ?? []).map(open),
    pendingOperations: (latest?.pending_operations ?? []).map(({ resource: state, type }) => ({ resource: open(state), type })),
    metadata: latest?.metadata ?? {},
  };
}

function asMap(value: Value): { [key: string]: Value } {
  if (!isMap(value)) throw new Error("a map was expected");
  return value;
}
