/** Serves ResourceProvider over gRPC: requests arrive as recorded JSON, answers are given as recorded JSON. */
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import pluginProto from "@pulumi/pulumi/proto/plugin_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import providerProto from "@pulumi/pulumi/proto/provider_pb.js";
import emptyProto from "google-protobuf/google/protobuf/empty_pb.js";
import structProto from "google-protobuf/google/protobuf/struct_pb.js";
import { decodeStruct, encodeStruct } from "../../engine/wire.ts";

export type Json = { [key: string]: unknown };

export interface ServedError {
  code: number;
  details: string;
  /** Bytes of a google.rpc.Status. */
  status?: Uint8Array;
}

export interface ServedProvider {
  address: string;
  close(): void;
}

/** `answer` gets the method's name and its request; what it throws is a ServedError. */
export async function serveProvider(answer: (method: string, request: Json) => Json): Promise<ServedProvider> {
  const server = new Server();
  const handlers: { [name: string]: (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) => void } = {};
  for (const [name, create] of Object.entries(responses)) {
    handlers[name] = (call, done) => {
      try {
        done(null, fill(create(), answer(name, plain(call.request))));
      } catch (error) {
        done(serviceError(error));
      }
    };
  }
  server.addService(providerGrpc.ResourceProviderService, handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

function serviceError(error: unknown) {
  if (typeof error !== "object" || error === null || !("code" in error)) throw error;
  const metadata = new Metadata();
  if ("status" in error && error.status instanceof Uint8Array)
    metadata.set("grpc-status-details-bin", Buffer.from(error.status));
  return { code: Number(error.code), details: "details" in error ? String(error.details) : "", metadata };
}

const responses: { [method: string]: () => object } = {
  attach: () => new emptyProto.Empty(),
  handshake: () => new providerProto.ProviderHandshakeResponse(),
  getPluginInfo: () => new pluginProto.PluginInfo(),
  checkConfig: () => new providerProto.CheckResponse(),
  diffConfig: () => new providerProto.DiffResponse(),
  configure: () => new providerProto.ConfigureResponse(),
  check: () => new providerProto.CheckResponse(),
  diff: () => new providerProto.DiffResponse(),
  create: () => new providerProto.CreateResponse(),
  read: () => new providerProto.ReadResponse(),
  update: () => new providerProto.UpdateResponse(),
  delete: () => new emptyProto.Empty(),
  invoke: () => new providerProto.InvokeResponse(),
  cancel: () => new emptyProto.Empty(),
};

/** proto3 JSON of a message: every getter, default values left out. */
function plain(message: object): Json {
  const result: Json = {};
  for (const { json, get } of getters(message)) {
    const value: unknown = Reflect.apply(get, message, []);
    const decoded = json === "randomSeed" ? seed(value) : decode(value);
    const isDefault = decoded === undefined || decoded === "" || decoded === false || decoded === 0;
    const isEmptyList = Array.isArray(decoded) && decoded.length === 0;
    const isEmptyMap = isMapField(value) && Object.keys(Object(decoded)).length === 0;
    if (!isDefault && !isEmptyList && !isEmptyMap) result[json] = decoded;
  }
  return result;
}

function seed(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : String(value);
}

function decode(value: unknown): unknown {
  if (value instanceof structProto.Struct) return decodeStruct(value);
  if (Array.isArray(value)) return value.map(decode);
  if (isMapField(value)) return Object.fromEntries([...value.entries()].map(([key, entry]) => [key, decode(entry)]));
  if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) return plain(value);
  return value;
}

function isMapField(value: unknown): value is Map<string, unknown> {
  return typeof value === "object" && value !== null && "entries" in value && "forEach" in value && !Array.isArray(value);
}

/** Names of the JSON form, from the getters of the generated class. */
const jsonNames: { [name: string]: string } = Object.fromEntries(
  "randomSeed,acceptSecrets,acceptResources,acceptOutputs,supportsPreview,ignoreChanges,inputDiff,deleteBeforeReplace,detailedDiff,hasDetailedDiff"
    .split(",")
    .map((name) => [name.toLowerCase(), name]),
);

function getters(message: object): { json: string; name: string; get: () => unknown }[] {
  const result: { json: string; name: string; get: () => unknown }[] = [];
  for (const member of Object.getOwnPropertyNames(Object.getPrototypeOf(message))) {
    const [, name = ""] = /^get([A-Z].*?)(?:List|Map)?$/.exec(member) ?? [];
    if (name === "" || member.endsWith("_asU8") || member.endsWith("_asB64") || member === "getExtension") continue;
    const get: unknown = Reflect.get(message, member);
    const json = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
    if (typeof get === "function")
      result.push({ json: jsonNames[json] ?? json, name: member.slice(3), get: () => Reflect.apply(get, message, []) });
  }
  return result;
}

const enums: { [field: string]: object } = {
  changes: providerProto.DiffResponse.DiffChanges,
  kind: providerProto.PropertyDiff.Kind,
};

/** Sets the fields of a message from its JSON. */
function fill(message: object, json: Json): object {
  for (const [key, value] of Object.entries(json)) {
    const field = getters(message).find((getter) => getter.json === key);
    if (!field) throw new Error(`no field ${key}`);
    const current: unknown = field.get();
    if (isMapField(current)) {
      for (const [name, entry] of Object.entries(Object(value)))
        current.set(name, fill(new providerProto.PropertyDiff(), Object(entry)));
    } else set(message, field.name, toField(key, value));
  }
  return message;
}

function toField(key: string, value: unknown): unknown {
  const names = enums[key];
  if (names && typeof value === "string") return Reflect.get(names, value);
  if (key === "failures" && Array.isArray(value)) return value.map((item) => fill(new providerProto.CheckFailure(), item));
  return typeof value === "object" && value !== null && !Array.isArray(value) ? encodeStruct(Object(value)) : value;
}

function set(message: object, name: string, value: unknown): void {
  const setter: unknown = Reflect.get(message, `set${name}`);
  if (typeof setter !== "function") throw new Error(`no setter for ${name}`);
  Reflect.apply(setter, message, [value]);
}
