/** Universally unique identifiers: 16 random bytes in UUID shape, and versions 4 and 7 of RFC 9562. */
import { randomBytes } from "node:crypto";

export function formatUuid(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** RandomUuid's value: only random bytes, without the version bits (hashicorp/go-uuid). */
export function plainUuid(): string {
  return formatUuid(randomBytes(16));
}

export function uuid4(): string {
  return formatUuid(stamped(randomBytes(16), 4));
}

let last = 0n;

/** Later calls give greater values: 48 bits of milliseconds, then 12 bits that count within one (RFC 9562, 6.2 method 3). */
export function uuid7(nowMs: number = Date.now()): string {
  const fraction = process.hrtime.bigint() % 4096n;
  let stamp = (BigInt(nowMs) << 12n) | fraction;
  if (stamp <= last) stamp = last + 1n;
  last = stamp;
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Number(stamp >> 12n), 0, 6);
  bytes.writeUInt16BE(Number(stamp & 0xfffn), 6);
  return formatUuid(stamped(bytes, 7));
}

function stamped(bytes: Buffer, version: number): Buffer {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

/** hashicorp/go-uuid: exactly 36 characters with dashes in their places. */
export function parseUuid(text: string): Uint8Array {
  if (Buffer.byteLength(text) !== 36) throw new Error("uuid string is wrong length");
  if (!/^.{8}-.{4}-.{4}-.{4}-.{12}$/.test(text)) throw new Error("uuid is improperly formatted");
  const hex = text.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/i.test(hex)) throw new Error("uuid has a character that is not a hexadecimal digit");
  return Buffer.from(hex, "hex");
}

/** google/uuid: also without dashes, in braces, or as `urn:uuid:`. */
export function parseUuidLoosely(text: string): Uint8Array {
  const [, bare] = /^(?:urn:uuid:)?(.{36})$/i.exec(text) ?? /^\{(.{36})\}$/.exec(text) ?? [];
  if (bare !== undefined) {
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(bare)) throw new Error("invalid UUID format");
    return Buffer.from(bare.replaceAll("-", ""), "hex");
  }
  if (/^[0-9a-f]{32}$/i.test(text)) return Buffer.from(text, "hex");
  throw new Error(text.length === 32 ? "invalid UUID format" : `invalid UUID length: ${text.length}`);
}
