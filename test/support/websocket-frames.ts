/** The frames of RFC 6455, as far as an echo and its client need them: whole messages, no compression. */
import { createHash, randomBytes } from "node:crypto";

const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export type Opcode = keyof typeof opcodes;

export interface Frame {
  readonly opcode: Opcode | "other";
  readonly payload: Buffer;
}

/** What a server answers to the key of an upgrade. */
export function acceptKey(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** `masked`: as clients must and servers must not. */
export function frame(opcode: Opcode, payload: Buffer, masked: boolean): Buffer {
  const long = payload.length > 125;
  if (payload.length > 0xffff) throw new Error("a message of a test has at most 65535 bytes");
  const head = Buffer.alloc(long ? 4 : 2);
  head[0] = 0x80 | opcodes[opcode];
  head[1] = (masked ? 0x80 : 0) | (long ? 126 : payload.length);
  if (long) head.writeUInt16BE(payload.length, 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, unmask(payload, mask)]);
}

/** Takes bytes as they come and tells each whole frame. */
export function createFrameReader(told: (frame: Frame) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      if (rest.length < 2) return;
      const [first = 0, second = 0] = rest;
      let at = 2;
      let length = second & 0x7f;
      if (length === 126) {
        if (rest.length < 4) return;
        length = rest.readUInt16BE(2);
        at = 4;
      } else if (length === 127) throw new Error("a frame of more than 65535 bytes");
      const masked = (second & 0x80) !== 0;
      const end = at + (masked ? 4 : 0) + length;
      if (rest.length < end) return;
      const body = rest.subarray(end - length, end);
      const payload = masked ? unmask(body, rest.subarray(at, at + 4)) : Buffer.from(body);
      rest = rest.subarray(end);
      told({ opcode: nameOf(first & 0x0f), payload });
    }
  };
}

function nameOf(code: number): Opcode | "other" {
  for (const name of ["text", "binary", "close", "ping", "pong"] as const) if (opcodes[name] === code) return name;
  return "other";
}

function unmask(bytes: Buffer, mask: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
}
