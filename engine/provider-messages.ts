/** Messages of pulumirpc.ResourceProvider as the plain objects of providers/provider.ts, and back. */
import providerProto from "@pulumi/pulumi/proto/provider_pb.js";
import type * as plain from "./providers/provider.ts";
import type { PropertyMap } from "./values.ts";
import { decodeStruct, encodeOptionalStruct } from "./wire.ts";

type Message<Constructor extends abstract new (...args: never) => unknown> = InstanceType<Constructor>;

export function encodeHandshake(request: plain.HandshakeRequest) {
  const message = new providerProto.ProviderHandshakeRequest();
  message.setEngineAddress(request.engineAddress ?? "");
  if (request.rootDirectory !== undefined) message.setRootDirectory(request.rootDirectory);
  if (request.programDirectory !== undefined) message.setProgramDirectory(request.programDirectory);
  message.setConfigureWithUrn(request.configureWithUrn ?? false);
  message.setSupportsViews(request.supportsViews ?? false);
  message.setSupportsRefreshBeforeUpdate(request.supportsRefreshBeforeUpdate ?? false);
  message.setInvokeWithPreview(request.invokeWithPreview ?? false);
  if (request.mapperTarget !== undefined) message.setMapperTarget(request.mapperTarget);
  if (request.loaderTarget !== undefined) message.setLoaderTarget(request.loaderTarget);
  if (request.resolverTarget !== undefined) message.setResolverTarget(request.resolverTarget);
  message.setAcceptsByteString(request.acceptsByteString ?? false);
  return message;
}

export function decodeHandshake(message: Message<typeof providerProto.ProviderHandshakeResponse>): plain.HandshakeResponse {
  return onlySet({
    acceptSecrets: message.getAcceptSecrets(),
    acceptResources: message.getAcceptResources(),
    acceptOutputs: message.getAcceptOutputs(),
    supportsAutonamingConfiguration: message.getSupportsAutonamingConfiguration(),
    acceptsByteString: message.getAcceptsByteString(),
  });
}

export function encodeConfigure(request: plain.ConfigureRequest) {
  const message = new providerProto.ConfigureRequest();
  for (const [key, value] of Object.entries(request.variables ?? {})) message.getVariablesMap().set(key, value);
  message.setArgs(encodeOptionalStruct(request.args));
  message.setAcceptsecrets(request.acceptSecrets ?? false);
  message.setAcceptresources(request.acceptResources ?? false);
  message.setSendsOldInputs(request.sendsOldInputs ?? false);
  message.setSendsOldInputsToDelete(request.sendsOldInputsToDelete ?? false);
  if (request.id !== undefined) message.setId(request.id);
  if (request.urn !== undefined) message.setUrn(request.urn);
  if (request.name !== undefined) message.setName(request.name);
  if (request.type !== undefined) message.setType(request.type);
  return message;
}

export function decodeConfigure(message: Message<typeof providerProto.ConfigureResponse>): plain.ConfigureResponse {
  return onlySet({
    acceptSecrets: message.getAcceptsecrets(),
    supportsPreview: message.getSupportspreview(),
    acceptResources: message.getAcceptresources(),
    acceptOutputs: message.getAcceptoutputs(),
    supportsAutonamingConfiguration: message.getSupportsAutonamingConfiguration(),
  });
}

const { Mode } = providerProto.CheckRequest.AutonamingOptions;

export function encodeCheck(request: plain.CheckRequest) {
  const message = new providerProto.CheckRequest();
  message.setUrn(request.urn);
  message.setOlds(encodeOptionalStruct(request.olds));
  message.setNews(encodeOptionalStruct(request.news));
  message.setRandomseed(request.randomSeed ?? "");
  message.setName(request.name ?? "");
  message.setType(request.type ?? "");
  if (request.autonaming) {
    const autonaming = new providerProto.CheckRequest.AutonamingOptions();
    autonaming.setProposedName(request.autonaming.proposedName);
    autonaming.setMode(Mode[request.autonaming.mode]);
    message.setAutonaming(autonaming);
  }
  return message;
}

export function decodeCheck(message: Message<typeof providerProto.CheckResponse>): plain.CheckResponse {
  return onlySet({ inputs: struct(message.getInputs()), failures: decodeFailures(message.getFailuresList()) });
}

export function encodeDiff(request: plain.DiffRequest) {
  const message = new providerProto.DiffRequest();
  message.setId(request.id ?? "");
  message.setUrn(request.urn);
  message.setOlds(encodeOptionalStruct(request.olds));
  message.setNews(encodeOptionalStruct(request.news));
  message.setOldInputs(encodeOptionalStruct(request.oldInputs));
  message.setIgnorechangesList(request.ignoreChanges ?? []);
  message.setName(request.name ?? "");
  message.setType(request.type ?? "");
  return message;
}

const diffKinds = ["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"] as const;
const diffChanges = ["DIFF_UNKNOWN", "DIFF_NONE", "DIFF_SOME"] as const;

export function decodeDiff(message: Message<typeof providerProto.DiffResponse>): plain.DiffResponse {
  const detailedDiff: NonNullable<plain.DiffResponse["detailedDiff"]> = {};
  message.getDetaileddiffMap().forEach((diff, path) => {
    // The zero value ADD is left out, as in proto3 JSON.
    const kind = diff.getKind() === 0 ? undefined : diffKinds[diff.getKind()];
    detailedDiff[path] = onlySet({ kind, inputDiff: diff.getInputdiff() });
  });
  const changes = message.getChanges() === 0 ? undefined : diffChanges[message.getChanges()];
  return onlySet({
    replaces: message.getReplacesList(),
    stables: message.getStablesList(),
    deleteBeforeReplace: message.getDeletebeforereplace(),
    changes,
    diffs: message.getDiffsList(),
    detailedDiff,
    hasDetailedDiff: message.getHasdetaileddiff(),
  });
}

export function encodeCreate(request: plain.CreateRequest) {
  const message = new providerProto.CreateRequest();
  message.setUrn(request.urn);
  message.setProperties(encodeOptionalStruct(request.properties));
  message.setTimeout(request.timeout ?? 0);
  message.setPreview(request.preview ?? false);
  fillStatus(message, request);
  return message;
}

export function decodeCreate(message: Message<typeof providerProto.CreateResponse>): plain.CreateResponse {
  return onlySet({
    id: message.getId(),
    properties: struct(message.getProperties()),
    refreshBeforeUpdate: message.getRefreshBeforeUpdate(),
  });
}

export function encodeRead(request: plain.ReadRequest) {
  const message = new providerProto.ReadRequest();
  message.setId(request.id);
  message.setUrn(request.urn);
  message.setProperties(encodeOptionalStruct(request.properties));
  message.setInputs(encodeOptionalStruct(request.inputs));
  message.setTimeout(request.timeout ?? 0);
  fillStatus(message, request);
  return message;
}

export function decodeRead(message: Message<typeof providerProto.ReadResponse>): plain.ReadResponse {
  return onlySet({
    id: message.getId(),
    properties: struct(message.getProperties()),
    inputs: struct(message.getInputs()),
    refreshBeforeUpdate: message.getRefreshBeforeUpdate(),
  });
}

export function encodeUpdate(request: plain.UpdateRequest) {
  const message = new providerProto.UpdateRequest();
  message.setId(request.id);
  message.setUrn(request.urn);
  message.setOlds(encodeOptionalStruct(request.olds));
  message.setNews(encodeOptionalStruct(request.news));
  message.setOldInputs(encodeOptionalStruct(request.oldInputs));
  message.setTimeout(request.timeout ?? 0);
  message.setIgnorechangesList(request.ignoreChanges ?? []);
  message.setPreview(request.preview ?? false);
  fillStatus(message, request);
  return message;
}

export function decodeUpdate(message: Message<typeof providerProto.UpdateResponse>): plain.UpdateResponse {
  return onlySet({ properties: struct(message.getProperties()), refreshBeforeUpdate: message.getRefreshBeforeUpdate() });
}

export function encodeDelete(request: plain.DeleteRequest) {
  const message = new providerProto.DeleteRequest();
  message.setId(request.id);
  message.setUrn(request.urn);
  message.setProperties(encodeOptionalStruct(request.properties));
  message.setOldInputs(encodeOptionalStruct(request.oldInputs));
  message.setTimeout(request.timeout ?? 0);
  fillStatus(message, request);
  return message;
}

export function encodeInvoke(request: plain.InvokeRequest) {
  const message = new providerProto.InvokeRequest();
  message.setTok(request.tok);
  message.setArgs(encodeOptionalStruct(request.args));
  message.setPreview(request.preview ?? false);
  return message;
}

export function decodeInvoke(message: Message<typeof providerProto.InvokeResponse>): plain.InvokeResponse {
  return onlySet({ return: struct(message.getReturn()), failures: decodeFailures(message.getFailuresList()) });
}

interface StatusFields {
  setName(name: string): unknown;
  setType(type: string): unknown;
  setResourceStatusAddress(address: string): unknown;
  setResourceStatusToken(token: string): unknown;
}

function fillStatus(
  message: StatusFields,
  request: Pick<plain.CreateRequest, "name" | "type" | "resourceStatusAddress" | "resourceStatusToken">,
): void {
  message.setName(request.name ?? "");
  message.setType(request.type ?? "");
  message.setResourceStatusAddress(request.resourceStatusAddress ?? "");
  message.setResourceStatusToken(request.resourceStatusToken ?? "");
}

function decodeFailures(failures: Message<typeof providerProto.CheckFailure>[]): plain.CheckFailure[] {
  return failures.map((failure) => onlySet({ property: failure.getProperty(), reason: failure.getReason() }));
}

function struct(message: Parameters<typeof decodeStruct>[0]): PropertyMap | undefined {
  return message && decodeStruct(message);
}

/** Leaves out what has its default value, as proto3 JSON and the recordings do. Structs are kept, also empty ones. */
function onlySet<T extends object>(message: T): Partial<T> {
  const result: Partial<T> = { ...message };
  for (const key of keysOf(result)) {
    const value = result[key];
    const isDefault = value === undefined || value === false || value === "" || (Array.isArray(value) && value.length === 0);
    if (isDefault || (key === "detailedDiff" && isEmptyObject(value))) delete result[key];
  }
  return result;
}

function keysOf<T extends object>(value: T): (keyof T)[] {
  return Object.keys(value) as (keyof T)[];
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
