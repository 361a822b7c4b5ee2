// Reads what the gateway has to know of a request from its bytes, without making values of all the rest.

export interface TopLevel {
  readonly model: string | undefined;
  readonly stream: boolean;
  readonly words: BodyWords;
}

/** What the texts of a body begin with, so that those who ask need not look through all of it. */
export interface BodyWords {
  /** False: no name or kind of an image or a file is in it (linked/find.ts). */
  readonly mayHoldLinks: boolean;
  /** False: no text is an address that holds its data. */
  readonly mayHoldData: boolean;
  /** max_tokens, or what newer APIs call it. */
  readonly outputLimit: number | undefined;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const open = 0x7b;
const close = 0x7d;
const openList = 0x5b;
const closeList = 0x5d;

/** JSON.parse looks at what is deeper. */
const maxDepth = 64;
/** The end of a text that is longer is searched, not walked to. */
const walked = 48;
/** JSON.parse is quicker with a text that is full of quotes. */
const maxSearches = 64;
const none = -1;

/**
 * Undefined: this is no JSON object, or one that needs a closer look: a name at its top that has escapes, is there twice or is
 * `model` in other letters; a value of another type. The inside of texts is not judged: whoever reads them does.
 */
export function scanTop(body: Buffer): TopLevel | undefined {
  let model: string | undefined;
  let stream: boolean | undefined;
  let limit: number | undefined;
  let limitName = other;
  holdsLinks = false;
  holdsData = false;
  let at = skipSpace(body, 0);
  if (body[at] !== open) return undefined;
  at = skipSpace(body, at + 1);
  // A comma is followed by one more.
  for (let isDue = false; isDue || body[at] !== close; ) {
    const key = at;
    const keyEnd = endOfText(body, key);
    at = endOfColon(body, keyEnd);
    if (at === none) return undefined;
    const name = nameOf(body, key, keyEnd);
    const end = endOfValue(body, at, 1);
    if (end === none || name === strange) return undefined;
    if (name === ofModel) {
      if (model !== undefined || body[at] !== quote || end - at < 3) return undefined;
      model = body.toString("utf8", at + 1, end - 1);
      if (model.includes("\\")) return undefined;
    } else if (name === ofStream) {
      const first = body[at];
      // true or false.
      if (stream !== undefined || (first !== 0x74 && first !== 0x66)) return undefined;
      stream = first === 0x74;
    } else if (name > limitName) {
      const said = numberAt(body, at);
      if (said !== undefined) limitName = name;
      limit = said ?? limit;
    }
    at = skipSpace(body, end);
    isDue = body[at] === comma;
    if (isDue) at = skipSpace(body, at + 1);
    else if (body[at] !== close) return undefined;
  }
  if (skipSpace(body, at + 1) !== body.length) return undefined;
  return {
    model,
    stream: stream === true,
    words: { mayHoldLinks: holdsLinks, mayHoldData: holdsData, outputLimit: limit },
  };
}

const strange = -1;
const other = 0;
const ofModel = 1;
const ofStream = 2;
/** Of these the greatest counts. */
const ofMaxOutput = 3;
const ofMaxCompletion = 4;
const ofMaxTokens = 5;

function nameOf(body: Buffer, start: number, end: number): number {
  const length = end - start - 1;
  if (length === 5 && isWord(body, start + 1, "model")) return isExactly(body, start + 1, "model") ? ofModel : strange;
  if (length === 6 && isExactly(body, start + 1, "stream")) return ofStream;
  if (length === 10 && isExactly(body, start + 1, "max_tokens")) return ofMaxTokens;
  if (length === 17 && isExactly(body, start + 1, "max_output_tokens")) return ofMaxOutput;
  if (length === 21 && isExactly(body, start + 1, "max_completion_tokens")) return ofMaxCompletion;
  for (let at = start + 1; at < end; at += 1) if (body[at] === backslash) return strange;
  return other;
}

function isExactly(body: Buffer, from: number, word: string): boolean {
  for (let index = 0; index < word.length; index += 1) if (body[from + index] !== word.charCodeAt(index)) return false;
  return true;
}

/** In any letters. */
function isWord(body: Buffer, from: number, word: string): boolean {
  for (let index = 0; index < word.length; index += 1)
    if (((body[from + index] ?? 0) | 0x20) !== word.charCodeAt(index)) return false;
  return true;
}

/** Index behind the value; -1: there is none. */
function endOfValue(body: Buffer, at: number, depth: number): number {
  switch (body[at]) {
    case quote: {
      const end = endOfText(body, at);
      return end === none ? none : end + 1;
    }
    case open:
      return depth === maxDepth ? none : endOfParts(body, at + 1, close, depth + 1);
    case openList:
      return depth === maxDepth ? none : endOfParts(body, at + 1, closeList, depth + 1);
    default:
      return endOfScalar(body, at);
  }
}

/** Of an object or a list, whose closing mark is `last`; `from` is behind its opening one. */
function endOfParts(body: Buffer, from: number, last: number, depth: number): number {
  let at = skipSpace(body, from);
  if (body[at] === last) return at + 1;
  for (;;) {
    if (last === close) at = endOfColon(body, endOfText(body, at));
    if (at !== none) at = endOfValue(body, at, depth);
    if (at === none) return none;
    at = skipSpace(body, at);
    if (body[at] === last) return at + 1;
    if (body[at] !== comma) return none;
    at = skipSpace(body, at + 1);
  }
}

/** Where the value begins that belongs to a name; -1 stays -1. */
function endOfColon(body: Buffer, keyEnd: number): number {
  if (keyEnd === none) return none;
  const at = skipSpace(body, keyEnd + 1);
  return body[at] === colon ? skipSpace(body, at + 1) : none;
}

/** Of the body that is read. */
let holdsLinks = false;
let holdsData = false;

/** What stands where: names and kinds of parts of messages have a text of their own. */
function noteBegin(body: Buffer, at: number): void {
  switch (body[at]) {
    case 0x69:
      holdsLinks ||= isExactly(body, at, "image") || isExactly(body, at, 'input_image"');
      return;
    case 0x66:
      holdsLinks ||= isExactly(body, at, 'file_url"');
      return;
    case 0x64:
      holdsLinks ||= isExactly(body, at, 'document"');
      holdsData ||= isExactly(body, at, "data:");
  }
}

/** \u005f, \u006… or \u007…: one of those names may be written with it. A longer text is none of them. */
function isEscapedLetter(body: Buffer, at: number): boolean {
  if (!isExactly(body, at, "\\u00")) return false;
  const high = body[at + 4];
  return high === 0x36 || high === 0x37 || (high === 0x35 && ((body[at + 5] ?? 0) | 0x20) === 0x66);
}

/** Index of the closing quote; -1: there is no text, or no end of it. */
function endOfText(body: Buffer, start: number): number {
  if (body[start] !== quote) return none;
  noteBegin(body, start + 1);
  const near = Math.min(body.length, start + walked);
  let at = start + 1;
  for (; at < near; at += 1) {
    const byte = body[at] ?? 0;
    if (byte === quote) return at;
    if (byte === backslash) {
      holdsLinks ||= isEscapedLetter(body, at);
      at += 1;
    } else if (byte < 0x20) return none;
  }
  for (let searches = 0; searches < maxSearches; searches += 1) {
    const end = body.indexOf(quote, at);
    if (end === -1 || !isEscaped(body, end, at)) return end;
    at = end + 1;
  }
  return none;
}

/** The backslashes before `at`, of those that are not below `from`, are an odd number. */
export function isEscaped(body: Buffer, at: number, from: number): boolean {
  let count = 0;
  while (at - 1 - count >= from && body[at - 1 - count] === backslash) count += 1;
  return count % 2 === 1;
}

const literals = ["true", "false", "null"];

/** https://www.rfc-editor.org/rfc/rfc8259#section-6 */
function endOfScalar(body: Buffer, start: number): number {
  const first = body[start] ?? 0;
  if (first !== 0x2d && !isDigit(first)) {
    for (const word of literals) if (isExactly(body, start, word)) return start + word.length;
    return none;
  }
  let at = first === 0x2d ? start + 1 : start;
  const whole = at;
  at = skipDigits(body, at);
  if (at === whole || (body[whole] === 0x30 && at > whole + 1)) return none;
  if (body[at] === 0x2e) {
    const part = at + 1;
    at = skipDigits(body, part);
    if (at === part) return none;
  }
  if (((body[at] ?? 0) | 0x20) === 0x65) {
    const sign = body[at + 1];
    const power = sign === 0x2b || sign === 0x2d ? at + 2 : at + 1;
    at = skipDigits(body, power);
    if (at === power) return none;
  }
  return at;
}

const maxDigits = 9;

/** Undefined: no whole number begins there. It is read up to `to`. */
export function numberAt(body: Buffer, from: number, to: number = body.length): number | undefined {
  let at = from;
  let value = 0;
  for (; at < to && at - from < maxDigits && isDigit(body[at] ?? 0); at += 1) value = value * 10 + (body[at] ?? 0) - 0x30;
  return at > from ? value : undefined;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

function skipDigits(body: Buffer, from: number): number {
  let at = from;
  while (isDigit(body[at] ?? 0)) at += 1;
  return at;
}

export function skipSpace(body: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const byte = body[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
}
