// The head of a request, read strictly: only one that every reader of HTTP/1.1 understands in the same way is taken. RFC 9112.
import type { IncomingHttpHeaders } from "node:http";

export interface RequestHead {
  readonly url: string;
  /** Names in lower case, each once. */
  readonly headers: IncomingHttpHeaders;
  readonly contentLength: number;
  /** The client wants the connection closed after the answer. */
  readonly close: boolean;
  /** Of the head, with the empty line. */
  readonly bytes: number;
}

export interface HeadRules {
  readonly isPlainPath: (url: string) => boolean;
  readonly maxBodyBytes: number;
}

/** What came is the beginning of a plain head, as far as it goes. */
export const incomplete = Symbol("incomplete");

export const maxHeadBytes = 16 * 1024;
const maxHeaders = 100;
const maxLengthDigits = 15;

const begin = "POST ";
const version = " HTTP/1.1\r\n";
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const space = 0x20;
const colon = 0x3a;
const del = 0x7f;

/** `text`: the first of the bytes, in latin1, and all that is looked at. Undefined: not certainly plain. */
export function readRequestHead(bytes: Buffer, text: string, rules: HeadRules): RequestHead | typeof incomplete | undefined {
  if (!text.startsWith(begin)) return begin.startsWith(text) ? incomplete : undefined;
  let at = text.indexOf(" ", begin.length);
  // No path that is offered is as long as a head.
  if (at === -1) return isPrintable(text, begin.length) ? incomplete : undefined;
  const url = text.slice(begin.length, at);
  if (!rules.isPlainPath(url)) return undefined;
  if (!text.startsWith(version, at)) return version.startsWith(text.slice(at)) ? incomplete : undefined;
  at += version.length;
  const { length } = text;
  const headers: IncomingHttpHeaders = {};
  let contentLength = -1;
  let close = false;
  let hasHost = false;
  for (let count = 0; count <= maxHeaders; count += 1) {
    if (at + 1 >= length)
      return at === length || bytes[at] === carriageReturn || isToken[bytes[at] ?? 0] ? incomplete : undefined;
    if (bytes[at] === carriageReturn) {
      if (bytes[at + 1] !== lineFeed || contentLength < 0 || !hasHost) return undefined;
      return { url, headers, contentLength, close, bytes: at + 2 };
    }
    const start = at;
    let hash = 0;
    for (; at < length; at += 1) {
      const code = bytes[at] ?? 0;
      if (isToken[code] === 0) break;
      hash = (Math.imul(hash, 31) + code) | 0;
    }
    if (at === length) return incomplete;
    if (bytes[at] !== colon || at === start) return undefined;
    const { name, kind } = nameOf(text, start, at, hash);
    if (kind === refused || headers[name] !== undefined) return undefined;
    at += 1;
    while (at < length && bytes[at] === space) at += 1;
    const from = at;
    for (; at < length; at += 1) {
      const code = bytes[at] ?? 0;
      if (code < space || code === del) break;
    }
    if (at === length) return incomplete;
    if (bytes[at] !== carriageReturn || (at > from && bytes[at - 1] === space)) return undefined;
    if (at + 1 === length) return incomplete;
    if (bytes[at + 1] !== lineFeed) return undefined;
    const value = text.slice(from, at);
    at += 2;
    headers[name] = value;
    if (kind === ordinary) continue;
    if (kind === lengthOfBody) {
      contentLength = readLength(value);
      if (contentLength < 0 || contentLength > rules.maxBodyBytes) return undefined;
    } else if (kind === connection) {
      const wish = value.toLowerCase();
      if (wish !== "keep-alive" && wish !== "close") return undefined;
      close = wish === "close";
    } else if (value === "") return undefined;
    else hasHost = true;
  }
  return undefined;
}

const ordinary = 0;
const refused = 1;
const lengthOfBody = 2;
const connection = 3;
const host = 4;

interface Name {
  readonly spelled: string;
  readonly name: string;
  readonly kind: number;
}

const kinds: ReadonlyMap<string, number> = new Map([
  ["content-length", lengthOfBody],
  ["connection", connection],
  ["host", host],
  ...[
    "transfer-encoding",
    "content-encoding",
    "expect",
    "upgrade",
    "origin",
    "trailer",
    "te",
    "proxy-connection",
    "http2-settings",
    "set-cookie",
  ].map((name): [string, number] => [name, refused]),
]);

/** Names as they were spelled, by their hash. A place that is taken stays so: what fills it up can only cost a little time. */
const names: (Name | undefined)[] = new Array(4096).fill(undefined);
const maxKeptLength = 64;
const anyObject = {};

function nameOf(text: string, start: number, end: number, hash: number): Name {
  const place = (hash ^ (hash >>> 12)) & (names.length - 1);
  const known = names[place];
  if (known !== undefined && known.spelled.length === end - start && text.startsWith(known.spelled, start)) return known;
  // A copy: the whole head would be kept with it.
  const spelled = Buffer.from(text.slice(start, end), "latin1").toString("latin1");
  const name = spelled.toLowerCase();
  // What every object has would look like a header that was given.
  const isOdd = name.startsWith("access-control-") || name in anyObject;
  const made: Name = { spelled, name, kind: kinds.get(name) ?? (isOdd ? refused : ordinary) };
  if (known === undefined && spelled.length <= maxKeptLength) names[place] = made;
  return made;
}

function readLength(value: string): number {
  if (value.length === 0 || value.length > maxLengthDigits) return -1;
  let length = 0;
  for (let at = 0; at < value.length; at += 1) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

function isPrintable(text: string, from: number): boolean {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code <= space || code >= del) return false;
  }
  return true;
}

/** By character: 1 where a name may have it. */
const isToken = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  isToken[character.charCodeAt(0)] = 1;
