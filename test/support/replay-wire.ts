/**
 * Listens between program and monitor: passes every message on as the bytes that it is, and notes it as JSON with the names
 * that the recordings have. The engine's own encoding plays no part here, so its answers are judged by what arrives.
 */
import { setTimeout as delay } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import resourceServices from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourceMessages from "@pulumi/pulumi/proto/resource_pb.js";
import protobuf from "google-protobuf";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import type { PropertyMap, Value } from "../../engine/values.ts";

import type { RecordedCall } from "./replay-recording.ts";

export interface MonitorCall {
  method: string;
  request: PropertyMap;
  /** Absent where the program never got an answer. */
  response?: PropertyMap;
  error?: { code: string; message: string };
}

const maxMessageBytes = 400 * 1024 * 1024;
const limits = { "grpc.max_receive_message_length": maxMessageBytes, "grpc.max_send_message_length": maxMessageBytes };

/** Names as the JSON mapping has them, where they are not the getter's in lower case. */
const fieldNames = new Map(
  (
    "supportedFeatures dryRun acceptSecrets customTimeouts supportsPartialValues acceptResources aliasSpecs sourcePosition " +
    "stackTrace supportsResultReporting propertyDependencies additionalSecretOutputs deleteBeforeReplace " +
    "deleteBeforeReplaceDefined replaceOnChanges configSecretKeys parentUrn retainOnDelete ignoreChanges deletedWith noParent " +
    "importId hideDiffs replaceWith dependsOn pluginDownloadURL pluginChecksums aliasURNs parentStackTraceHandle packageRef " +
    "replacementTrigger envVarMappings snippetId acceptsByteString stateMigrations"
  )
    .split(" ")
    .map((name) => [name.toLowerCase(), name]),
);

const identity = (bytes: Buffer) => bytes;

const features = new Map(Object.entries(resourceMessages.ResourceMonitorFeature).map(([name, number]) => [number, name]));
const results = ["SUCCESS", "FAIL", "SKIP"];

function enumName(field: string, value: number): Value {
  if (field === "supportedFeatures") return features.get(value) ?? value;
  return field === "result" ? (results[value] ?? value) : value;
}

function isDefault(value: Value): boolean {
  return (
    value === "" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === "object" && value !== null && Object.keys(value).length === 0)
  );
}

function call(target: object, name: string, ...args: unknown[]): unknown {
  const method: unknown = Reflect.get(target, name);
  if (typeof method !== "function") throw new Error(`${name} is not a method`);
  return Reflect.apply(method, target, args);
}

function fieldJson(field: string, value: unknown): Value {
  if (value instanceof struct.Struct) return JSON.parse(JSON.stringify(value.toJavaScript()));
  if (value instanceof struct.Value) return JSON.parse(JSON.stringify(value.toJavaScript()));
  if (value instanceof protobuf.Map) {
    const entries: [string, Value][] = [];
    value.forEach((item: unknown, key: unknown) => {
      entries.push([String(key), fieldJson(field, item)]);
    });
    return Object.fromEntries(entries);
  }
  if (value instanceof protobuf.Message) return messageJson(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map((item) => fieldJson(field, item));
  if (typeof value === "number") return enumName(field, value);
  if (typeof value === "string" || typeof value === "boolean") return value;
  throw new Error(`field ${field}: ${typeof value} cannot be noted`);
}

/** The proto3 JSON mapping of a message: defaults are left out, unless their presence is part of the message. */
function messageJson(message: protobuf.Message): PropertyMap {
  const json: PropertyMap = {};
  for (const getter of Object.getOwnPropertyNames(Object.getPrototypeOf(message))) {
    const [, bare] = /^get([A-Z]\w*?)$/.exec(getter) ?? [];
    if (bare === undefined || /_as(B64|U8)$|Case$/.test(bare)) continue;
    const has = `has${bare}`;
    const tracked = has in message;
    if (tracked && call(message, has) !== true) continue;
    const value = call(message, getter);
    const lower = (
      value instanceof protobuf.Map ? bare.replace(/Map$/, "") : Array.isArray(value) ? bare.replace(/List$/, "") : bare
    ).toLowerCase();
    const field = fieldNames.get(lower) ?? lower;
    const plain = fieldJson(field, value);
    if (tracked || !(value === 0 || isDefault(plain))) json[field] = plain;
  }
  return json;
}

export interface MonitorListener {
  address: string;
  calls: MonitorCall[];
  close(): void;
}

/** Who a call is about, for finding the same call in a recording. */
export function monitorKey(method: string, request: PropertyMap): string {
  const { urn, tok, type, name } = request;
  return [method, urn, tok, type, name].filter((part) => typeof part === "string").join(" ");
}

const patienceMs = 400;

/** Lets calls through in the recorded order; where the next one does not come, the one that was recorded first. */
function createTurns(order: RecordedCall[]): (method: string, request: PropertyMap) => Promise<void> {
  const expected = order
    .filter((call) => call.service === "ResourceMonitor")
    .map((call) => monitorKey(call.method, call.request));
  const waiting: number[] = [];
  let lastProgress = Date.now();
  return async (method, request) => {
    const key = monitorKey(method, request);
    const place = expected.indexOf(key);
    if (place < 0) return;
    waiting.push(place);
    while (expected.findIndex((other) => other !== "") < place) {
      if (Date.now() - lastProgress > patienceMs && place === Math.min(...waiting)) break;
      await delay(2);
    }
    waiting.splice(waiting.indexOf(place), 1);
    expected[place] = "";
    lastProgress = Date.now();
  };
}

/** Starts listening in front of the monitor at `target`. With an `order`, requests arrive there as they did in the recording. */
export async function listenToMonitor(target: string, order: RecordedCall[]): Promise<MonitorListener> {
  const calls: MonitorCall[] = [];
  const turn = createTurns(order);
  const client = new grpc.Client(target, grpc.credentials.createInsecure(), limits);
  const server = new grpc.Server(limits);
  const definition: { [name: string]: grpc.MethodDefinition<Buffer, Buffer> } = {};
  const implementation: grpc.UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(resourceServices.ResourceMonitorService)) {
    const decodeRequest = (bytes: Buffer) => messageJson(asMessage(method.requestDeserialize(bytes)));
    const decodeResponse = (bytes: Buffer) => messageJson(asMessage(method.responseDeserialize(bytes)));
    definition[name] = {
      path: method.path,
      requestStream: false,
      responseStream: false,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    implementation[name] = (incoming: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => {
      const noted: MonitorCall = { method: method.path.split("/").at(-1) ?? name, request: decodeRequest(incoming.request) };
      calls.push(noted);
      const pass = () =>
        client.makeUnaryRequest(method.path, identity, identity, incoming.request, (error, response?: Buffer) => {
          if (error) noted.error = { code: grpc.status[error.code] ?? String(error.code), message: error.details };
          else if (response) noted.response = decodeResponse(response);
          answer(error, response);
        });
      void turn(noted.method, noted.request).then(pass);
    };
  }
  server.addService(definition, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    address: `127.0.0.1:${port}`,
    calls,
    close() {
      server.forceShutdown();
      client.close();
    },
  };
}

function asMessage(value: unknown): protobuf.Message {
  if (!(value instanceof protobuf.Message)) throw new Error("a protobuf message was expected");
  return value;
}
