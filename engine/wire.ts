/**
 * Conversion between google.protobuf.Struct and our property values (sdk/go/common/resource/plugin/rpc.go gives the rules).
 * The tagged forms of values.ts are what travels, so this is a plain walk, plus the tidying that the CLI does on arrival.
 */
import structProto, {
  type ListValue,
  type Struct,
  type Value as WireValue,
} from "google-protobuf/google/protobuf/struct_pb.js";
import { parseUrn } from "./resource.ts";
import { isMap, type PropertyMap, signatureKey, signatureOf, signatures, unknown, type Value } from "./values.ts";

/** Requests hold whole property bags with files in them: the CLI's limit, in bytes. */
export const maxMessageBytes = 400 * 1024 * 1024;

/** For connections to processes on this machine: a proxy of the environment has no part in them. */
export const localChannelOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.enable_http_proxy": 0,
};

/** Other spellings of "not known yet", one a type of value; all become `unknown`. */
const otherUnknowns = new Set([
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

export function decodeStruct(struct: Struct | undefined): PropertyMap {
  const result: PropertyMap = {};
  struct?.getFieldsMap().forEach((value, key) => {
    result[key] = decodeValue(value);
  });
  return result;
}

export function decodeValue(value: WireValue): Value {
  switch (value.getKindCase()) {
    case structProto.Value.KindCase.BOOL_VALUE:
      return value.getBoolValue();
    case structProto.Value.KindCase.NUMBER_VALUE:
      return value.getNumberValue();
    case structProto.Value.KindCase.STRING_VALUE: {
      const text = value.getStringValue();
      return text.length === unknown.length && otherUnknowns.has(text) ? unknown : text;
    }
    case structProto.Value.KindCase.LIST_VALUE:
      return decodeList(value.getListValue());
    case structProto.Value.KindCase.STRUCT_VALUE:
      return tidy(decodeStruct(value.getStructValue()));
    default:
      return null;
  }
}

function decodeList(list: ListValue | undefined): Value[] {
  return list ? list.getValuesList().map(decodeValue) : [];
}

export function encodeStruct(map: PropertyMap): Struct {
  const struct = new structProto.Struct();
  const fields = struct.getFieldsMap();
  for (const key of Object.keys(map)) {
    const value = map[key];
    if (value !== undefined) fields.set(key, encodeValue(value));
  }
  return struct;
}

export function encodeOptionalStruct(map: PropertyMap | undefined): Struct | undefined {
  return map && encodeStruct(map);
}

export function encodeValue(value: Value): WireValue {
  const result = new structProto.Value();
  if (value === null) result.setNullValue(structProto.NullValue.NULL_VALUE);
  else if (typeof value === "boolean") result.setBoolValue(value);
  else if (typeof value === "number") result.setNumberValue(value);
  else if (typeof value === "string") result.setStringValue(value);
  else if (Array.isArray(value)) {
    const list = new structProto.ListValue();
    list.setValuesList(value.map(encodeValue));
    result.setListValue(list);
  } else result.setStructValue(encodeStruct(value));
  return result;
}

/** What the CLI does to tagged values when it reads them: no empty fields in assets, name and type in references. */
function tidy(map: PropertyMap): PropertyMap {
  switch (signatureOf(map)) {
    case signatures.asset:
      return pick(map, signatures.asset, ["hash", "text", "path", "uri"]);
    case signatures.archive: {
      if (map.path) return pick(map, signatures.archive, ["hash", "path"]);
      if (map.uri) return pick(map, signatures.archive, ["hash", "uri"]);
      const known = pick(map, signatures.archive, ["hash"]);
      return isMap(map.assets) ? { ...known, assets: map.assets } : known;
    }
    case signatures.resource:
      return tidyReference(map);
    default:
      return map;
  }
}

function pick(map: PropertyMap, signature: string, keys: string[]): PropertyMap {
  const result: PropertyMap = { [signatureKey]: signature };
  for (const key of keys) {
    const value = map[key];
    if (typeof value === "string" && value !== "") result[key] = value;
  }
  return result;
}

function tidyReference(map: PropertyMap): PropertyMap {
  const { urn, id, packageVersion } = map;
  if (typeof urn !== "string") return map;
  const parsed = parseUrn(urn);
  const result: PropertyMap = { [signatureKey]: signatures.resource, urn };
  const name = typeof map.name === "string" && map.name ? map.name : parsed.name;
  const type = typeof map.type === "string" && map.type ? map.type : parsed.type;
  if (name) result.name = name;
  if (type) result.type = type;
  // An id that is there but not known is the empty string on the wire.
  if (id !== undefined) result.id = id === unknown || typeof id !== "string" ? "" : id;
  if (typeof packageVersion === "string" && packageVersion) result.packageVersion = packageVersion;
  return result;
}
