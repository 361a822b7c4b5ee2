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

/** `text`: what came, in latin1. Undefined: not certainly plain. */
export function readRequestHead(text: string, rules: HeadRules): RequestHead | typeof incomplete | undefined {
  if (!text.startsWith(begin)) return begin.startsWith(text) ? incomplete : undefined;
  let at = text.indexOf(" ", begin.length);
  // No path that is offered is as long as a head.
  if (at === -1) return isPrintable(text, begin.length) ? incomplete : undefined;
  const url = text.slice(begin.length, at);
  if (!rules.isPlainPath(url)) return undefined;
  if (!text.startsWith(version, at)) return version.startsWith(text.slice(at)) ? incomplete : undefined;
  at += version.length;
  const headers: IncomingHttpHeaders = {};
  let contentLength = -1;
  let close = false;
  const { length } = text;
  for (let count = 0; count <= maxHeaders; count += 1) {
    const start = at;
    let code = text.charCodeAt(at);
    if (code === carriageReturn) {
      if (at + 1 === length) return incomplete;
      if (text.charCodeAt(at + 1) !== lineFeed || contentLength < 0 || headers.host === undefined) return undefined;
      return { url, headers, contentLength, close, bytes: at + 2 };
    }
    // Past the end the code is NaN.
    while (isToken[code] === 1) code = text.charCodeAt(++at);
    if (at === length) return incomplete;
    if (code !== colon || at === start) return undefined;
    const { name, kind } = nameOf(text.slice(start, at));
    if (kind === refused || headers[name] !== undefined) return undefined;
    do code = text.charCodeAt(++at);
    while (code === space);
    const from = at;
    while (code >= space && code !== del) code = text.charCodeAt(++at);
    if (at === length) return incomplete;
    if (code !== carriageReturn || (at > from && text.charCodeAt(at - 1) === space)) return undefined;
    const value = text.slice(from, at);
    if (at + 1 === length) return incomplete;
    if (text.charCodeAt(at + 1) !== lineFeed) return undefined;
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
  }
  return undefined;
}

const ordinary = 0;
const refused = 1;
const lengthOfBody = 2;
const connection = 3;
const host = 4;

interface Name {
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
    // Every object has it.
    "__proto__",
  ].map((name): [string, number] => [name, refused]),
]);

/** Names as they were spelled. What fills it up are names that hardly anybody sends: those that clients do send come first. */
const names = new Map<string, Name>();
const maxNames = 1024;
const usual =
  "host connection content-length content-type accept accept-encoding accept-language authorization user-agent x-api-key x-request-id traceparent tracestate x-forwarded-for x-forwarded-proto x-forwarded-host x-real-ip anthropic-version anthropic-beta openai-organization openai-project idempotency-key x-stainless-arch x-stainless-async x-stainless-lang x-stainless-os x-stainless-package-version x-stainless-retry-count x-stainless-runtime x-stainless-runtime-version x-stainless-timeout x-stainless-read-timeout cache-control pragma cookie keep-alive sec-fetch-mode";
for (const name of usual.split(" ")) {
  nameOf(name);
  nameOf(name.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase()));
}

function nameOf(spelled: string): Name {
  const known = names.get(spelled);
  if (known !== undefined) return known;
  const name = spelled.toLowerCase();
  const kind = kinds.get(name) ?? (name.startsWith("access-control-") ? refused : ordinary);
  const made: Name = { name, kind };
  if (names.size < maxNames && spelled.length <= 64) names.set(spelled, made);
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
