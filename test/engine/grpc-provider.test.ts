/** Every recorded call to a provider passes over gRPC unchanged, both ways; errors keep what Pulumi packs into them. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import errorsProto from "@pulumi/pulumi/proto/errors_pb.js";
import providerProto from "@pulumi/pulumi/proto/provider_pb.js";
import statusProto from "@pulumi/pulumi/proto/status_pb.js";
import anyProto from "google-protobuf/google/protobuf/any_pb.js";
import { connectProvider } from "../../engine/grpc-provider.ts";
import { type Provider, ProviderError } from "../../engine/providers/provider.ts";
import { encodeStruct } from "../../engine/wire.ts";
import { type Json, type ServedProvider, serveProvider } from "../support/serve-provider.ts";

const recordings = join(import.meta.dirname, "../fixtures/recordings");

let served: ServedProvider;
let provider: Provider;
let answer: (method: string, request: Json) => Json = () => ({});
before(async () => {
  served = await serveProvider((method, request) => answer(method, request));
  provider = connectProvider(served.address);
});
after(async () => {
  await provider.close();
  served.close();
});

function methodOf(line: { method: string }): string {
  const [, name = ""] = /ResourceProvider\/(\w+)$/.exec(line.method) ?? [];
  return `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
}

for (const recording of ["lifecycle", "options", "docker", "remote", "kubernetes"]) {
  test(`the calls of ${recording}`, async () => {
    const signal = new AbortController().signal;
    let calls = 0;
    for (const file of readdirSync(join(recordings, recording)).filter((name) => name.endsWith(".grpc.jsonl"))) {
      for (const text of readFileSync(join(recordings, recording, file), "utf8")
        .trim()
        .split("\n")) {
        const line = JSON.parse(text);
        const method = methodOf(line);
        if (method === "" || line.progress !== "response_completed" || line.errors) continue;
        const arrived: Json[] = [];
        answer = (name, request) => {
          assert.equal(name, method);
          arrived.push(request);
          return line.response;
        };
        const call: unknown = Reflect.get(provider, method);
        assert.ok(typeof call === "function", `no method ${method}`);
        const response: unknown = await Reflect.apply(call, provider, [line.request, signal]);
        assert.deepEqual(arrived, [withoutDefaults(line.request)], `${file} ${method}`);
        assert.deepEqual(tidy(response ?? {}), tidy(line.response), `${file} ${method}`);
        calls++;
      }
    }
    assert.ok(calls > 20);
  });
}

/** `"": ""` fields of the recorder are the absent ones of proto3. */
function withoutDefaults(request: Json): Json {
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== ""));
}

/** What the engine tidies on arrival: empty contents of assets. */
function tidy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(tidy);
  const entries = Object.entries(value).map(([key, inner]) => [key, tidy(inner)]);
  const isAsset = Object.values(value).includes("c44067f5952c0a294b673a41bacd8c17");
  const isArchive = Object.values(value).includes("0def7320c3a5731c473e5ecbe6d01bc7");
  return Object.fromEntries(isAsset || isArchive ? entries.filter(([, inner]) => inner !== "") : entries);
}

function packed(details: [string, { serializeBinary(): Uint8Array }][]): Uint8Array {
  const status = new statusProto.Status();
  for (const [name, message] of details) {
    const any = new anyProto.Any();
    any.pack(message.serializeBinary(), `pulumirpc.${name}`);
    status.addDetails(any);
  }
  return status.serializeBinary();
}

async function failure(error: { code: number; details: string; status?: Uint8Array }): Promise<ProviderError> {
  answer = () => {
    throw error;
  };
  const caught = await provider.create({ urn: "u" }, new AbortController().signal).catch((thrown: unknown) => thrown);
  assert.ok(caught instanceof ProviderError);
  return caught;
}

test("errors have a code, and a cause where one is packed in", async () => {
  const codes = { 1: "cancelled", 2: "failed", 12: "unimplemented", 14: "unavailable" };
  for (const [code, expected] of Object.entries(codes)) {
    const error = await failure({ code: Number(code), details: "why" });
    assert.deepEqual([error.code, error.message], [expected, "why"]);
  }
  const cause = new errorsProto.ErrorCause();
  cause.setMessage("because");
  assert.equal((await failure({ code: 2, details: "why", status: packed([["ErrorCause", cause]]) })).message, "why: because");
});

test("a resource that exists but did not start well is a partial failure", async () => {
  const failed = new providerProto.ErrorResourceInitFailed();
  failed.setId("id");
  failed.setProperties(encodeStruct({ a: 1 }));
  failed.setInputs(encodeStruct({ b: 2 }));
  failed.setReasonsList(["one", "two"]);
  const error = await failure({ code: 2, details: "x", status: packed([["ErrorResourceInitFailed", failed]]) });
  assert.equal(error.code, "partial");
  assert.deepEqual(error.partial, { id: "id", properties: { a: 1 }, inputs: { b: 2 }, reasons: ["one", "two"] });
  assert.equal(error.message, "2 errors occurred:\n\t* one\n\t* two\n\n");
});

test("wrong inputs are named", async () => {
  const wrong = new errorsProto.InputPropertiesError();
  const property = new errorsProto.InputPropertiesError.PropertyError();
  property.setPropertyPath("a.b");
  property.setReason("is wrong");
  wrong.addErrors(property);
  const error = await failure({ code: 3, details: "bad", status: packed([["InputPropertiesError", wrong]]) });
  assert.deepEqual([error.code, error.failures], ["invalid", [{ property: "a.b", reason: "is wrong" }]]);
});

test("an abort cancels the call, and nobody there is said so", async () => {
  answer = () => ({});
  const aborted = provider.create({ urn: "u" }, AbortSignal.abort());
  await assert.rejects(aborted, (error: unknown) => error instanceof ProviderError && error.code === "cancelled");
  await assert.rejects(connectProvider("127.0.0.1:1", undefined, 100).getPluginInfo(), (error: unknown) => {
    return error instanceof ProviderError && error.code === "unavailable" && /does not answer/.test(error.message);
  });
});
