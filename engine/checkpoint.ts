/**
 * Checkpoints in Pulumi's format (sdk/go/common/apitype: VersionedCheckpoint, CheckpointV3): read with clear complaints,
 * decrypted into resources, and checked as the CLI checks them.
 */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { EngineError } from "./errors.ts";
import type { OperationKind, PendingOperation, ResourceState, Snapshot } from "./resource.ts";
import type { SecretsManager } from "./secrets.ts";
import { decodeProperties, decodeValue } from "./state-secrets.ts";
import { isMap, type PropertyMap, type Value } from "./values.ts";

/** The CLI that this engine is a match for; goes into manifests and history. */
export const engineVersion = "v3.260.0";

export interface Deployment {
  manifest: { time: string; magic: string; version: string; plugins?: Value };
  secretsProvider?: { type: string; salt?: string };
  /** As stored: secrets encrypted. */
  resources: PropertyMap[];
  pendingOperations: { resource: PropertyMap; type: OperationKind }[];
  metadata?: PropertyMap;
  /** Fields that this engine does not look into, kept. */
  extras: PropertyMap;
}

export interface StoredCheckpoint {
  /** Where it was read, for error texts. */
  path: string;
  version: number;
  features: string[];
  /** The checkpoint's `latest` as it is written; undefined in a stack that never had a deployment. */
  raw?: PropertyMap;
  latest?: Deployment;
}

const supportedFeatures = [
  ...["refreshBeforeUpdate", "views", "hooks", "taint", "replaceWith", "snippets-prototype"],
  ...["extensionParameterization", "byteString"],
];
const operations: OperationKind[] = ["creating", "updating", "deleting", "reading", "importing"];

export function magicOf(version: string): string {
  return createHash("sha256").update(version).digest("hex");
}

/** Reads the bytes of a stack file, compressed or not. */
export function parseCheckpoint(path: string, bytes: Buffer): StoredCheckpoint {
  const top = parseJson(path, bytes);
  const version = top.version ?? 0;
  if (typeof version !== "number") fail(path, `'version' must be a number, found ${JSON.stringify(version)}`);
  const features = readFeatures(path, top.features);
  const checkpoint = top.checkpoint;
  if (version === 0 && checkpoint === undefined) {
    fail(
      path,
      "the checkpoint is of a time before versions were written; upgrade it with `pulumi stack export | pulumi stack import` of the Pulumi CLI",
    );
  }
  if (!isMap(checkpoint)) return fail(path, `'checkpoint' is missing, so the file is not a whole checkpoint${restore}`);
  const raw = checkpoint.latest;
  if (raw === undefined || raw === null) return { path, version: 3, features };
  if (!isMap(raw)) return fail(path, `'checkpoint.latest' must be an object${restore}`);
  checkVersion(path, Number(version), features);
  return { path, version: Math.max(3, Number(version)), features, raw, latest: readDeployment(path, raw) };
}

/** What `stack export` prints and `stack import` reads. */
export function parseExport(path: string, text: string): StoredCheckpoint {
  const top = parseJson(path, Buffer.from(text), "; export the deployment again with `pulumi stack export`");
  const { version, deployment } = top;
  if (typeof version !== "number")
    fail(path, "'version' is missing, so this is not an exported deployment; export one with `pulumi stack export`");
  const features = readFeatures(path, top.features);
  checkVersion(path, Number(version), features);
  if (!isMap(deployment))
    return fail(path, "'deployment' is missing, so this is not an exported deployment; export one with `pulumi stack export`");
  return { path, version: Math.max(3, Number(version)), features, raw: deployment, latest: readDeployment(path, deployment) };
}

/** Decrypts. `secrets` belongs to the salt that the deployment names. */
export function decodeDeployment(path: string, deployment: Deployment, secrets: SecretsManager | undefined): Snapshot {
  const resources = deployment.resources.map((resource) => decodeResource(path, resource, secrets));
  const pendingOperations: PendingOperation[] = deployment.pendingOperations.map(({ resource, type }) => ({
    resource: decodeResource(path, resource, secrets),
    type,
  }));
  return { resources, pendingOperations, ...(deployment.metadata ? { metadata: deployment.metadata } : {}) };
}

const restore = "; restore it from the `.bak` file beside it or from the folder `.pulumi/backups`";

function fail(path: string, message: string): never {
  throw new EngineError(`${path}: ${message}`);
}

function parseJson(path: string, bytes: Buffer, remedy = restore): PropertyMap {
  let content = bytes;
  if (bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd) {
    fail(
      path,
      "the file is compressed with zstd, which the embedded engine does not read; use the Pulumi CLI, or store it again with PULUMI_DIY_BACKEND_ZSTD unset",
    );
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      content = gunzipSync(bytes);
    } catch {
      fail(path, `the compressed file is damaged or cut off${remedy}`);
    }
  }
  const text = content.toString("utf8").replace(/^\uFEFF/, "");
  if (text.trim() === "") fail(path, `the file is empty${remedy}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    const cut = /^\s*\{/.test(text) && !/\}\s*$/.test(text);
    fail(path, `${cut ? "the file is cut off in the middle" : "the file is not JSON"}${remedy}`);
  }
  if (!isPropertyMap(parsed)) return fail(path, `the file does not hold a JSON object${remedy}`);
  return parsed;
}

/** JSON.parse gives nothing but JSON values, so an object is a property map. */
function isPropertyMap(value: unknown): value is PropertyMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readFeatures(path: string, value: Value | undefined): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return fail(path, "'features' must be a list");
  return value.map(String);
}

function checkVersion(path: string, version: number, features: string[]): void {
  if (version > 4) {
    fail(
      path,
      `unsupported checkpoint version ${version}: this engine reads 1 to 4; use a Pulumi CLI that is as new as the one that wrote it`,
    );
  }
  if (version < 1) fail(path, `unsupported checkpoint version ${version}: this engine reads 1 to 4`);
  const unsupported = features.filter((feature) => !supportedFeatures.includes(feature));
  if (version >= 4 && unsupported.length > 0) {
    fail(
      path,
      `this stack's deployment needs support for the following features: ${unsupported.join(", ")}; use a Pulumi CLI that is as new as the one that wrote it`,
    );
  }
}

function readDeployment(path: string, raw: PropertyMap): Deployment {
  const { manifest, secrets_providers: provider, resources, pending_operations: pending, metadata, ...extras } = raw;
  if (!isMap(manifest)) return fail(path, `'manifest' is missing${restore}`);
  const { time, magic, version, plugins } = manifest;
  if (typeof version !== "string" || typeof magic !== "string")
    return fail(path, `'manifest' has no version or magic${restore}`);
  const list = (value: Value | undefined, name: string): PropertyMap[] => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return fail(path, `'${name}' must be a list${restore}`);
    return value.map((item, index) => (isMap(item) ? item : fail(path, `'${name}[${index}]' must be an object${restore}`)));
  };
  return {
    manifest: {
      time: typeof time === "string" ? time : "0001-01-01T00:00:00Z",
      magic,
      version,
      ...(plugins === undefined ? {} : { plugins }),
    },
    ...(isMap(provider) ? { secretsProvider: readProvider(path, provider) } : {}),
    resources: list(resources, "resources"),
    pendingOperations: list(pending, "pending_operations").map(({ resource, type }, index) => {
      const kind = operations.find((operation) => operation === type);
      if (!isMap(resource)) return fail(path, `'pending_operations[${index}]' has no resource${restore}`);
      if (!kind)
        return fail(
          path,
          `'pending_operations[${index}].type' is ${JSON.stringify(type)}; it must be one of ${operations.join(", ")}`,
        );
      return { resource, type: kind };
    }),
    ...(isMap(metadata) ? { metadata } : {}),
    extras,
  };
}

function readProvider(path: string, provider: PropertyMap): { type: string; salt?: string } {
  const type = typeof provider.type === "string" ? provider.type : "";
  if (type === "") return { type };
  if (type !== "passphrase") {
    return fail(
      path,
      `the state is encrypted with the secrets provider '${type}', which the embedded engine does not offer, only 'passphrase'; use the Pulumi CLI, or move the stack with \`pulumi stack change-secrets-provider passphrase\``,
    );
  }
  const salt = isMap(provider.state) ? provider.state.salt : undefined;
  if (typeof salt !== "string") return fail(path, `'secrets_providers.state.salt' is missing${restore}`);
  return { type, salt };
}

function decodeResource(path: string, raw: PropertyMap, secrets: SecretsManager | undefined): ResourceState {
  const { urn, type, custom, id, inputs, outputs, ...rest } = raw;
  if (typeof urn !== "string" || urn === "") return fail(path, `a resource is missing the required 'urn' field${restore}`);
  if (typeof type !== "string" || type === "") return fail(path, `resource '${urn}' missing required 'type' field${restore}`);
  if (custom !== true && typeof id === "string" && id !== "")
    return fail(path, `resource '${urn}' has 'custom' false but non-empty ID${restore}`);
  const state: ResourceState = { urn, custom: custom === true, type };
  if (typeof id === "string") state.id = id;
  const where = { path, urn, secrets };
  if (isMap(inputs)) state.inputs = decodeProperties(inputs, { ...where, section: "inputs" });
  if (isMap(outputs)) state.outputs = decodeProperties(outputs, { ...where, section: "outputs" });
  const { replacementTrigger } = rest;
  if (replacementTrigger !== undefined && replacementTrigger !== null) {
    rest.replacementTrigger = decodeValue(replacementTrigger, { ...where, section: "replacementTrigger" }, "");
  }
  return Object.assign(state, rest);
}
