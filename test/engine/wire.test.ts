/** Values and the small parts of requests, on their way between the wire and the engine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import sourceProto from "@pulumi/pulumi/proto/source_pb.js";
import structProto from "google-protobuf/google/protobuf/struct_pb.js";
import { durationText } from "../../engine/monitor/hook-options.ts";
import { createPositions } from "../../engine/monitor/positions.ts";
import { checkReference, parseDuration } from "../../engine/monitor/requests.ts";
import { addDependencies, upgradeToOutputs } from "../../engine/monitor/transforms.ts";
import {
  outputDependencies,
  type PropertyMap,
  secret,
  signatureKey,
  signatures,
  unknown,
  withoutOutputs,
} from "../../engine/values.ts";
import { decodeStruct, encodeStruct } from "../../engine/wire.ts";

const overTheWire = (map: PropertyMap): PropertyMap =>
  decodeStruct(structProto.Struct.deserializeBinary(encodeStruct(map).serializeBinary()));

test("values come through as they are", () => {
  const values: PropertyMap = {
    none: null,
    yes: true,
    no: false,
    zero: 0,
    number: -1.5e300,
    text: "ä\u0000💡",
    empty: "",
    list: [1, [], {}, null],
    map: { a: { b: [secret({ c: 1 })] } },
    "key with spaces": unknown,
    constructor: "c",
  };
  assert.deepEqual(overTheWire(values), values);
});

test("unknowns of every type become the one", () => {
  const values = { list: "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2", text: unknown, other: "6a19a0b0-7e62-4c92-b797-7f8e31da9cc3" };
  assert.deepEqual(overTheWire(values), { list: unknown, text: unknown, other: values.other });
});

test("assets, archives and references are tidied as the CLI does", () => {
  const asset = { [signatureKey]: signatures.asset, hash: "h", path: "p" };
  const archive = { [signatureKey]: signatures.archive, hash: "h", assets: { a: asset } };
  assert.deepEqual(overTheWire({ a: { ...asset, text: "", uri: "" }, b: { ...archive, path: "", uri: "" } }), {
    a: asset,
    b: archive,
  });
  const urn = "urn:pulumi:dev::demo::a:b:C$random:index/randomId:RandomId::x";
  assert.deepEqual(overTheWire({ r: { [signatureKey]: signatures.resource, urn, id: unknown, packageVersion: "" } }), {
    r: { [signatureKey]: signatures.resource, urn, name: "x", type: "random:index/randomId:RandomId", id: "" },
  });
});

test("output values carry secrets, unknowns and dependencies", () => {
  const upgraded = upgradeToOutputs({ hidden: secret([1]), open: "x", later: unknown });
  assert.deepEqual(withoutOutputs(upgraded), { hidden: secret([1]), open: "x", later: unknown });
  const known = addDependencies(upgraded, { hidden: ["b"], open: ["a", "c"], later: [], gone: ["d"] });
  assert.deepEqual([...outputDependencies(known)].sort(), ["a", "b", "c"]);
  assert.deepEqual([...outputDependencies(known.hidden)], ["b"]);
  assert.equal(Object.keys(known).includes("gone"), false);
  assert.deepEqual(withoutOutputs(known), { hidden: secret([1]), open: "x", later: unknown });
});

test("durations are Go's", () => {
  const seconds: { [text: string]: number } = { "1h2m3s": 3723, "1.5s": 1.5, "250ms": 0.25, "0": 0, "1m30s": 90, ".5h": 1800 };
  for (const [text, expected] of Object.entries(seconds)) assert.equal(parseDuration(text), expected);
  for (const text of ["", "5", "1d", "1h 2m", "s", "ten"])
    assert.throws(() => parseDuration(text), /unable to parse customTimeout Value/);
  assert.deepEqual([3723, 90, 1.5, 0.25, 0, undefined].map(durationText), ["1h2m3s", "1m30s", "1.5s", "250ms", "", ""]);
});

test("a provider reference is a URN and an id", () => {
  assert.equal(checkReference("urn:pulumi:d::p::t::n::id"), "urn:pulumi:d::p::t::n::id");
  for (const text of ["", "nothing", "urn::"]) assert.throws(() => checkReference(text), /could not parse provider reference/);
});

test("positions are relative to the project", () => {
  const positions = createPositions("/project");
  const decode = (uri: string, line = 1, column = 2) => {
    const position = new sourceProto.SourcePosition();
    position.setUri(uri);
    position.setLine(line);
    position.setColumn(column);
    return positions.decode({ getSourceposition: () => position, getStacktrace: () => undefined }).sourcePosition;
  };
  assert.equal(decode("file:///project/infra/index.ts", 8, 0), "project:///infra/index.ts#8");
  assert.equal(decode("file:///spike/node_modules/@pulumi/a%20b.ts"), "project:///../spike/node_modules/@pulumi/a%20b.ts#1,2");
  for (const uri of ["node:internal", "https://example.com/x", ""]) assert.equal(decode(uri), undefined);
});
