// A piece of an answer whose length is not known, framed: RFC 9112 7.1.

export const lastChunk = Buffer.from("0\r\n\r\n");

/** What stands before so many bytes; behind them is the end of a line. */
export const sizeLine = (bytes: number): string => `${bytes.toString(16)}\r\n`;

export function asChunk(bytes: Buffer): Buffer {
  const size = bytes.length.toString(16);
  const framed = Buffer.allocUnsafe(size.length + bytes.length + 4);
  let at = 0;
  for (; at < size.length; at += 1) framed[at] = size.charCodeAt(at);
  framed[at] = 0x0d;
  framed[at + 1] = 0x0a;
  framed.set(bytes, at + 2);
  framed[framed.length - 2] = 0x0d;
  framed[framed.length - 1] = 0x0a;
  return framed;
}
