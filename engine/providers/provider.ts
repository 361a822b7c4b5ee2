/**
 * Pulumi's provider contract (pulumirpc.ResourceProvider) as plain objects. Names and shapes are those of the proto3 JSON
 * mapping, i.e. exactly what `recordings/*.grpc.jsonl` holds under `request` and `response`: absent means the default.
 * Three things implement it: the embedded providers, an official plug-in over gRPC, and the players of the tests.
 *
 * Failures are thrown as ProviderError (the text is shown to the user as it is, so it must hold no secret).
 */
import type { PropertyMap } from "../values.ts";

export interface HandshakeRequest {
  engineAddress?: string;
  rootDirectory?: string;
  programDirectory?: string;
  configureWithUrn?: boolean;
  supportsViews?: boolean;
  supportsRefreshBeforeUpdate?: boolean;
  invokeWithPreview?: boolean;
  mapperTarget?: string;
  loaderTarget?: string;
  resolverTarget?: string;
  acceptsByteString?: boolean;
}
export interface HandshakeResponse {
  acceptSecrets?: boolean;
  acceptResources?: boolean;
  acceptOutputs?: boolean;
  supportsAutonamingConfiguration?: boolean;
  requiresByteString?: boolean;
  acceptsByteString?: boolean;
}
export interface CheckRequest {
  urn: string;
  olds?: PropertyMap;
  news?: PropertyMap;
  /** Base64 of 32 bytes; absent where a resource is not to get a generated name. */
  randomSeed?: string;
  autonaming?: { proposedName: string; mode: "PROPOSE" | "ENFORCE" | "DISABLE" };
  name?: string;
  type?: string;
}
export interface CheckFailure {
  property?: string;
  reason?: string;
}
export interface CheckResponse {
  inputs?: PropertyMap;
  failures?: CheckFailure[];
}
export interface ConfigureRequest {
  variables?: { [key: string]: string };
  args?: PropertyMap;
  acceptSecrets?: boolean;
  acceptResources?: boolean;
  sendsOldInputs?: boolean;
  sendsOldInputsToDelete?: boolean;
  id?: string;
  urn?: string;
  name?: string;
  type?: string;
}
export interface ConfigureResponse {
  acceptSecrets?: boolean;
  supportsPreview?: boolean;
  acceptResources?: boolean;
  acceptOutputs?: boolean;
  supportsAutonamingConfiguration?: boolean;
}
export type DiffKind = "ADD" | "ADD_REPLACE" | "DELETE" | "DELETE_REPLACE" | "UPDATE" | "UPDATE_REPLACE";
export interface PropertyDiff {
  /** ADD where absent (proto3 JSON leaves the zero value out). */
  kind?: DiffKind;
  inputDiff?: boolean;
}
export interface DiffRequest {
  id?: string;
  urn: string;
  olds?: PropertyMap;
  news?: PropertyMap;
  oldInputs?: PropertyMap;
  ignoreChanges?: string[];
  name?: string;
  type?: string;
}
export interface DiffResponse {
  replaces?: string[];
  stables?: string[];
  deleteBeforeReplace?: boolean;
  changes?: "DIFF_UNKNOWN" | "DIFF_NONE" | "DIFF_SOME";
  diffs?: string[];
  detailedDiff?: { [path: string]: PropertyDiff };
  hasDetailedDiff?: boolean;
}
export interface CreateRequest {
  urn: string;
  properties?: PropertyMap;
  /** Seconds; absent = the provider's default. */
  timeout?: number;
  preview?: boolean;
  name?: string;
  type?: string;
  resourceStatusAddress?: string;
  resourceStatusToken?: string;
}
export interface CreateResponse {
  id?: string;
  properties?: PropertyMap;
  refreshBeforeUpdate?: boolean;
}
export interface ReadRequest {
  id: string;
  urn: string;
  properties?: PropertyMap;
  inputs?: PropertyMap;
  timeout?: number;
  name?: string;
  type?: string;
  resourceStatusAddress?: string;
  resourceStatusToken?: string;
}
export interface ReadResponse {
  /** Absent or empty: the resource is gone. */
  id?: string;
  properties?: PropertyMap;
  inputs?: PropertyMap;
  refreshBeforeUpdate?: boolean;
}
export interface UpdateRequest {
  id: string;
  urn: string;
  olds?: PropertyMap;
  news?: PropertyMap;
  oldInputs?: PropertyMap;
  timeout?: number;
  ignoreChanges?: string[];
  preview?: boolean;
  name?: string;
  type?: string;
  resourceStatusAddress?: string;
  resourceStatusToken?: string;
}
export interface UpdateResponse {
  properties?: PropertyMap;
  refreshBeforeUpdate?: boolean;
}
export interface DeleteRequest {
  id: string;
  urn: string;
  properties?: PropertyMap;
  oldInputs?: PropertyMap;
  timeout?: number;
  name?: string;
  type?: string;
  resourceStatusAddress?: string;
  resourceStatusToken?: string;
}
/** Of a creation that nobody saw end. */
export interface UndoCreateRequest {
  urn: string;
  /** Its inputs as they were then. */
  properties?: PropertyMap;
  /** It is going to be created anew, or is there; false: nobody wants it any more. */
  again: boolean;
  /** Ids of this type that the state knows: they are nothing that was left. */
  known: string[];
  name?: string;
  type?: string;
}

export interface InvokeRequest {
  tok: string;
  args?: PropertyMap;
  preview?: boolean;
}
export interface InvokeResponse {
  return?: PropertyMap;
  failures?: CheckFailure[];
}

/** What a provider may say while it works (Engine.Log, and Engine.LogStatus where `ephemeral`). */
export interface ProviderLog {
  severity: "debug" | "info" | "warning" | "error";
  message: string;
  urn?: string;
  ephemeral?: boolean;
}

export interface Provider {
  /** Undefined (or a ProviderError "unimplemented") where the provider is older than the call. */
  handshake?(request: HandshakeRequest): Promise<HandshakeResponse>;
  getPluginInfo(): Promise<{ version?: string }>;
  checkConfig(request: CheckRequest): Promise<CheckResponse>;
  /** May throw ProviderError with code "unimplemented": the engine then treats a changed config as a plain change. */
  diffConfig(request: DiffRequest): Promise<DiffResponse>;
  configure(request: ConfigureRequest): Promise<ConfigureResponse>;
  check(request: CheckRequest): Promise<CheckResponse>;
  diff(request: DiffRequest): Promise<DiffResponse>;
  create(request: CreateRequest, signal: AbortSignal): Promise<CreateResponse>;
  read(request: ReadRequest, signal: AbortSignal): Promise<ReadResponse>;
  update(request: UpdateRequest, signal: AbortSignal): Promise<UpdateResponse>;
  delete(request: DeleteRequest, signal: AbortSignal): Promise<void>;
  invoke(request: InvokeRequest): Promise<InvokeResponse>;
  /**
   * Not Pulumi's, so plug-ins have none: an earlier run was killed, or lost its connection, while it created this resource.
   * Takes away what it may have left; where it is created again, only what would be in the way. Before its configuration has
   * changed; the resource may not be there at all.
   */
  undoCreate?(request: UndoCreateRequest, signal: AbortSignal): Promise<void>;
  /** Asks running operations to stop (ResourceProvider.Cancel). */
  cancel(): Promise<void>;
  /** Ends the provider and whatever process it has. Never throws. */
  close(): Promise<void>;
}

export type ProviderErrorCode = "unimplemented" | "invalid" | "failed" | "partial" | "cancelled" | "unavailable";

export class ProviderError extends Error {
  readonly code: ProviderErrorCode;
  /** With "partial": the resource exists, but its initialisation failed (pulumirpc.ErrorResourceInitFailed). */
  readonly partial?: {
    id: string;
    properties?: PropertyMap;
    inputs?: PropertyMap;
    reasons: string[];
    refreshBeforeUpdate?: boolean;
  };
  /** It was asked for, and whether it was done is not known: the connection was lost. */
  readonly unfinished?: boolean;
  /** With "invalid": what was wrong (pulumirpc.InputPropertiesError). */
  readonly failures?: CheckFailure[];

  constructor(
    code: ProviderErrorCode,
    message: string,
    more: { partial?: ProviderError["partial"]; failures?: CheckFailure[]; unfinished?: boolean; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "ProviderError";
    this.code = code;
    if (more.partial) this.partial = more.partial;
    if (more.unfinished) this.unfinished = true;
    if (more.failures) this.failures = more.failures;
  }
}

/** Where the engine gets providers from: an official plug-in where installed, else an embedded one (plugins.ts). */
export interface ProviderHost {
  /**
   * A fresh, unconfigured provider process or object. `pluginDownloadURL` and `checksums` as the program gave them.
   * Throws ProviderError "unavailable" with a text that names the plug-in and how to install it.
   */
  load(pkg: string, version: string | undefined, log: (entry: ProviderLog) => void): Promise<Provider>;
}
