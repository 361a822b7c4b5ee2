/** What the program gets back: values in the forms that it said it can take. */
import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { toWire } from "../properties.ts";
import { type PropertyMap, signatureOf, signatures } from "../values.ts";
import { encodeStruct } from "../wire.ts";
import { RequestError } from "./requests.ts";

interface Accepts {
  getAcceptsecrets?(): boolean;
  getAcceptresources(): boolean;
  getAcceptsByteString(): boolean;
}

export function encodeAnswer(outputs: PropertyMap, request: Accepts): Struct {
  const values = toWire(outputs, {
    keepSecrets: request.getAcceptsecrets?.() ?? true,
    keepResources: request.getAcceptresources(),
    elideAssets: false,
  });
  if (!request.getAcceptsByteString()) refuseBytes(values);
  return encodeStruct(values);
}

function refuseBytes(values: PropertyMap): void {
  for (const key of Object.keys(values)) {
    if (holdsBytes(values[key])) {
      throw new RequestError(
        `the value of property "${key}" is a string that contains non-UTF8 bytes, which the receiver does not support`,
      );
    }
  }
}

function holdsBytes(value: PropertyMap[string] | undefined): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(holdsBytes);
  if (signatureOf(value) === signatures.byteString) return true;
  for (const key of Object.keys(value)) if (holdsBytes(value[key])) return true;
  return false;
}
