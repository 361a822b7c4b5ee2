/** What the provider must know of one resource type; and the life of a command, which is the same here and on a remote host. */
import { randomBytes } from "node:crypto";
import { diffMaps } from "../../property-diff.ts";
import { type PropertyMap, unknown, type Value } from "../../values.ts";
import type {
  CheckResponse,
  CreateRequest,
  CreateResponse,
  DeleteRequest,
  DiffRequest,
  DiffResponse,
  PropertyDiff,
  ReadRequest,
  ReadResponse,
  UpdateRequest,
  UpdateResponse,
} from "../provider.ts";

export interface ResourceKind {
  inputNames: string[];
  /** True where the type has no update: each change is a replacement. */
  immutable?: boolean;
  check(news: PropertyMap): CheckResponse;
  create(request: CreateRequest, signal: AbortSignal): Promise<CreateResponse>;
  read(request: ReadRequest): Promise<ReadResponse>;
  update(request: UpdateRequest, signal: AbortSignal): Promise<UpdateResponse>;
  delete(request: DeleteRequest, signal: AbortSignal): Promise<void>;
}

/** One run of a command: its inputs, the outputs of the run before, and what becomes its outputs. */
export type RunCommand = (
  run: { command: Value; inputs: PropertyMap; previous: PropertyMap; urn: string; timeoutSeconds?: number },
  signal: AbortSignal,
) => Promise<PropertyMap>;

export interface CommandKind extends Pick<ResourceKind, "inputNames" | "check" | "read"> {
  run: RunCommand;
}

export function commandKind({ run, ...kind }: CommandKind): ResourceKind {
  const runWith = (
    command: Value,
    inputs: PropertyMap,
    request: { urn: string; timeout?: number },
    signal: AbortSignal,
    previous: PropertyMap,
  ) => {
    const own = pick(inputs, kind.inputNames);
    return run({ command, inputs: own, previous, urn: request.urn, timeoutSeconds: request.timeout }, signal);
  };
  return {
    ...kind,
    async create(request, signal) {
      const name = request.name ?? request.urn.slice(request.urn.lastIndexOf("::") + 2);
      const id = name + newId();
      const inputs = request.properties ?? {};
      if (request.preview) return { id, properties: { ...inputs, stdout: unknown, stderr: unknown } };
      const command = inputs.create ?? null;
      if (command === null) return { id, properties: { ...inputs, stdout: "", stderr: "" } };
      return { id, properties: { ...inputs, ...(await runWith(command, inputs, request, signal, {})) } };
    },
    async update(request, signal) {
      const inputs = request.news ?? {};
      const previous = pick(request.olds ?? {}, ["stdout", "stderr", "assets", "archive"]);
      if (request.preview) return { properties: { ...inputs, stdout: unknown, stderr: unknown } };
      const command = inputs.update ?? inputs.create ?? null;
      if (command === null) return { properties: { ...inputs, ...previous } };
      return { properties: { ...inputs, ...(await runWith(command, inputs, request, signal, previous)) } };
    },
    async delete(request, signal) {
      const properties = request.properties ?? {};
      const command = properties.delete ?? null;
      if (command === null) return;
      await runWith(command, properties, request, signal, pick(properties, ["stdout", "stderr"]));
    },
  };
}

export function diffResource(kind: ResourceKind, request: DiffRequest): DiffResponse {
  const news = Object.fromEntries(
    Object.entries(request.news ?? {}).filter(([name]) => name !== "version" && !name.startsWith("__")),
  );
  for (const name of request.ignoreChanges ?? []) {
    const old = request.olds?.[name];
    if (old !== undefined) news[name] = old;
  }
  const difference = diffMaps(request.oldInputs ?? pick(request.olds ?? {}, kind.inputNames), news);
  if (!difference) return { changes: "DIFF_NONE", hasDetailedDiff: true };
  // A change of one trigger is an update here; the SDK's own `replaceOnChanges` makes it a replacement.
  const paths = Object.keys(difference.detailedDiff);
  const replaces = paths.filter((path) => kind.immutable || path === "triggers");
  const detailedDiff: { [path: string]: PropertyDiff } = {};
  for (const [path, { kind: change }] of Object.entries(difference.detailedDiff)) {
    const plain = change === "DELETE" ? "DELETE" : change === "UPDATE" ? "UPDATE" : "ADD";
    if (replaces.includes(path)) detailedDiff[path] = { kind: `${plain}_REPLACE` };
    else detailedDiff[path] = plain === "ADD" ? {} : { kind: plain };
  }
  const replacing = kind.immutable ? difference.changedKeys : replaces;
  return {
    changes: "DIFF_SOME",
    diffs: difference.changedKeys,
    detailedDiff,
    hasDetailedDiff: true,
    ...(replacing.length > 0 ? { replaces: replacing } : {}),
  };
}

/** Eight hexadecimal digits. */
export function newId(): string {
  return randomBytes(4).toString("hex");
}

export function pick(map: PropertyMap, names: string[]): PropertyMap {
  return Object.fromEntries(Object.entries(map).filter(([name]) => names.includes(name)));
}
