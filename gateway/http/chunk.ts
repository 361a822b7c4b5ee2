// A piece of an answer whose length is not known, framed: RFC 9112 7.1.

export const lastChunk = Buffer.from("0\r\n\r\n");

/** What stands before so many bytes; behind them is the end of a line. */
export const sizeLine = (bytes: number): string => `${bytes.toString(16)}\r\n`;

export function asChunk(bytes: Buffer): Buffer {
  const before = sizeLine(bytes.length);
  const framed = Buffer.allocUnsafe(before.length + bytes.length + 2);
  for (let at = 0; at < before.length; at += 1) framed[at] = before.charCodeAt(at);
  framed.set(bytes, before.length);
  framed[framed.length - 2] = 0x0d;
  framed[framed.length - 1] = 0x0a;
  return framed;
}
