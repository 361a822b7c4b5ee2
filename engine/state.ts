/**
 * State files: how a snapshot is written as a checkpoint, and the writer that makes it durable. Steps that end while a
 * write is under way share the next one; what a resource looks like in the file is kept as long as the resource is.
 */
import { link, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { engineVersion, magicOf } from "./checkpoint.ts";
import { EngineError } from "./errors.ts";
import { attrsOf, explainErrno, writeDurably } from "./files.ts";
import type { ResourceState, Snapshot, StateWriter } from "./resource.ts";
import type { SecretsManager } from "./secrets.ts";
import { encodeProperties, encodeValue, jsonText, jsonValue } from "./state-secrets.ts";
import type { PropertyMap } from "./values.ts";

/** What stays the same from write to write. */
export interface CheckpointFrame {
  /** `organization/<project>/<stack>`. */
  stack: string;
  secrets: SecretsManager;
  /** Unknown fields of the deployment that was read. */
  extras?: PropertyMap;
  /** Features of the file that was read which no field of a resource tells. */
  features?: string[];
}

/** Fields in the CLI's order (apitype.ResourceV3); unknown ones come after. */
const fieldOrder = [
  ...["urn", "custom", "delete", "id", "type", "inputs", "outputs", "parent", "protect", "taint", "external"],
  ...["dependencies", "initErrors", "provider", "propertyDependencies", "pendingReplacement", "additionalSecretOutputs"],
  ...["aliases", "customTimeouts", "importID", "retainOnDelete", "deletedWith", "replaceWith", "created", "modified"],
  ...["sourcePosition", "stackTrace", "ignoreChanges", "hideDiff", "replaceOnChanges", "replacementTrigger"],
  ...["refreshBeforeUpdate", "viewOf", "resourceHooks", "extensionRef", "snippetID"],
];
const ordered = new Set(fieldOrder);
/** Written even where they are empty. */
const always = new Set(["urn", "custom", "type"]);
/** A resource with such a field needs a reader that knows it. */
const featureFields: { [field: string]: string } = {
  refreshBeforeUpdate: "refreshBeforeUpdate",
  viewOf: "views",
  resourceHooks: "hooks",
  taint: "taint",
  replaceWith: "replaceWith",
  extensionRef: "extensionParameterization",
  snippetID: "snippets-prototype",
};

export function encodeResource(resource: ResourceState, secrets: SecretsManager, showSecrets = false): string {
  const parts: string[] = [];
  const add = (field: string): void => {
    const value = resource[field];
    if (value === undefined || (isEmpty(value) && !always.has(field))) return;
    const context = { urn: resource.urn, section: field, secrets, showSecrets };
    let text: string;
    if (field === "inputs" && resource.inputs) text = encodeProperties(resource.inputs, context);
    else if (field === "outputs" && resource.outputs) text = encodeProperties(resource.outputs, context);
    else if (field === "replacementTrigger") text = encodeValue(jsonValue(value), context, "");
    else if (typeof value === "string") text = jsonText(value);
    else if (field === "customTimeouts") text = JSON.stringify(value, ["create", "update", "delete", "read"]);
    else text = encodeProperties({ value: jsonValue(value) }, context).slice('{"value":'.length, -1);
    parts.push(`"${field}":${text}`);
  };
  for (const field of fieldOrder) add(field);
  for (const field of Object.keys(resource)) if (!ordered.has(field)) add(field);
  return `{${parts.join(",")}}`;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === false || value === "" || value === 0) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

interface Encoded {
  salt: string;
  bytes: Buffer;
  features: string[];
}
const encodedResources = new WeakMap<ResourceState, Encoded>();

function encoded(resource: ResourceState, secrets: SecretsManager): Encoded {
  const known = encodedResources.get(resource);
  if (known?.salt === secrets.salt) return known;
  const features = Object.keys(featureFields).filter((field) => resource[field] !== undefined && !isEmpty(resource[field]));
  const fresh = {
    salt: secrets.salt,
    bytes: Buffer.from(encodeResource(resource, secrets)),
    features: features.map((field) => featureFields[field] ?? field),
  };
  encodedResources.set(resource, fresh);
  return fresh;
}

/** The whole file. The version is 4 where a feature is used, 3 otherwise, as the CLI does. */
export function encodeCheckpoint(frame: CheckpointFrame, snapshot: Snapshot, time: string): Buffer {
  const features = new Set<string>(frame.features?.filter((feature) => feature === "byteString"));
  const resources: Uint8Array[] = [];
  for (const resource of snapshot.resources) {
    const { bytes, features: used } = encoded(resource, frame.secrets);
    resources.push(bytes, comma);
    for (const feature of used) features.add(feature);
  }
  const pending: Uint8Array[] = [];
  for (const { resource, type } of snapshot.pendingOperations) {
    pending.push(Buffer.from('{"resource":'), encoded(resource, frame.secrets).bytes, Buffer.from(`,"type":"${type}"}`), comma);
  }
  const head = features.size > 0 ? `{"version":4,"features":${JSON.stringify([...features].sort())}` : '{"version":3';
  const chunks: Uint8Array[] = [
    Buffer.from(
      `${head},"checkpoint":{"stack":${jsonText(frame.stack)},"latest":{"manifest":{"time":${jsonText(time)},"magic":"${magic}","version":"${engineVersion}"},` +
        `"secrets_providers":{"type":"passphrase","state":{"salt":${jsonText(frame.secrets.salt)}}}`,
    ),
  ];
  if (resources.length > 0) chunks.push(Buffer.from(',"resources":['), ...resources.slice(0, -1), Buffer.from("]"));
  if (pending.length > 0) chunks.push(Buffer.from(',"pending_operations":['), ...pending.slice(0, -1), Buffer.from("]"));
  chunks.push(Buffer.from(`,"metadata":${plainJson(snapshot.metadata ?? {})}`));
  for (const [field, value] of Object.entries(frame.extras ?? {}))
    chunks.push(Buffer.from(`,${jsonText(field)}:${plainJson(value)}`));
  chunks.push(Buffer.from("}}}"));
  return Buffer.concat(chunks);
}

const comma = Buffer.from(",");
const magic = magicOf(engineVersion);

function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u2028\u2029]/g, (character) => (character === "\u2028" ? "\\u2028" : "\\u2029"));
}

/** An RFC 3339 time with nanoseconds, as Go writes it. */
export function goTime(date: Date): string {
  const nanoseconds = Number(process.hrtime.bigint() % 1_000_000n);
  const text = date.toISOString();
  return `${text.slice(0, -1)}${String(nanoseconds).padStart(6, "0")}`.replace(/\.?0+$/, "").concat("Z");
}

export interface StateFile {
  /** Where the stack's state lies now, or will lie: `…/<stack>.json` or `.json.gz`. */
  path: string;
  compress: boolean;
  /** A file of the other kind that the first write makes obsolete. */
  obsolete?: string;
}

/** Writes the state once; the file that was there becomes `.bak`. */
export async function writeState(file: StateFile, bytes: Buffer, options: { last: boolean }): Promise<void> {
  const content = file.compress ? await compress(bytes) : bytes;
  await keepBackup(file.path);
  await writeDurably(file.path, content);
  if (file.obsolete) {
    await rename(file.obsolete, `${file.obsolete}.bak`).catch(ignoreMissing);
    await rename(`${file.obsolete}.attrs`, `${file.obsolete}.bak.attrs`).catch(ignoreMissing);
    file.obsolete = undefined;
  }
  // Only the last write of a command brings the sidecars up to date: nothing reads them meanwhile.
  if (options.last) await writeSidecars(file.path, content);
}

async function writeSidecars(path: string, content: Uint8Array): Promise<void> {
  await writeFile(`${path}.attrs`, attrsOf(content), { mode: 0o600 });
  const backup = await readFile(`${path}.bak`).catch(() => undefined);
  if (backup) await writeFile(`${path}.bak.attrs`, attrsOf(backup), { mode: 0o600 });
}

/** A second name for the old content costs nothing, and the state itself is never away. */
async function keepBackup(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return;
  if (found.isDirectory()) throw new EngineError(`${path} is a folder where the state file should be; move it away`);
  const temporary = `${path}.bak.tmp`;
  await rm(temporary, { force: true });
  await link(path, temporary);
  await rename(temporary, `${path}.bak`);
}

function ignoreMissing(): void {}

const compress = promisify(gzip);

export interface DurableStateWriter extends StateWriter {
  /** Waits for the write under way, writes once more with everything in place, sidecars included. */
  close(snapshot: Snapshot): Promise<void>;
}

export function createStateWriter(file: StateFile, frame: CheckpointFrame, now: () => Date): DurableStateWriter {
  interface Waiting {
    current: () => Snapshot;
    done: Promise<void>;
    resolve(): void;
    reject(error: unknown): void;
  }
  let next: Waiting | undefined;
  let running: Promise<void> | undefined;

  const write = async (snapshot: Snapshot, last: boolean): Promise<void> => {
    try {
      await writeState(file, encodeCheckpoint(frame, snapshot, goTime(now())), { last });
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError(`could not write the state file '${file.path}': ${explainErrno(error)}`, { cause: error });
    }
  };
  const run = async (): Promise<void> => {
    // Callers of the same turn share one write.
    await Promise.resolve();
    while (next) {
      const batch = next;
      next = undefined;
      await write(batch.current(), false).then(batch.resolve, batch.reject);
    }
    running = undefined;
  };
  const save = (current: () => Snapshot): Promise<void> => {
    if (next) {
      next.current = current;
      return next.done;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    next = { current, done: promise, resolve, reject };
    running ??= run();
    return promise;
  };
  return {
    save,
    async close(snapshot) {
      await running;
      await write(snapshot, true);
    },
  };
}
