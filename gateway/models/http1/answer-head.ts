// The head of an HTTP/1.1 answer, read strictly: what two readers could understand differently is refused. RFC 9112.

export interface AnswerHead {
  readonly status: number;
  /** Names in lower case; repeated ones joined by ", ". */
  readonly headers: AnswerHeaders;
  /** How the body ends. "close": with the connection. */
  readonly body: number | "chunked" | "close";
  /** The connection may be used again. */
  readonly keepAlive: boolean;
}

export type AnswerHeaders = Readonly<Record<string, string>>;

/** Not HTTP/1.1, or not certainly one thing. */
export class ProtocolError extends Error {
  readonly code = "HTTP_MALFORMED";
}

const maxHeaders = 256;
/** What headers inherit: no name is there before it was sent. Unlike null itself it leaves an object its quick form. */
const nothing: object = Object.freeze(Object.create(null));
/** Lines of larger heads are not kept: a line holds the text that it was cut from. */
const maxKeptText = 4096;

interface Line {
  /** With its end. */
  readonly text: string;
  readonly name: string;
  readonly value: string;
}

/** What was read on a connection before: most lines of an upstream's answers are the same each time, in the same places. */
export interface KnownLines {
  status: { readonly text: string; readonly code: number; readonly version: number } | undefined;
  readonly lines: (Line | undefined)[];
}

export const noLines = (): KnownLines => ({ status: undefined, lines: [] });

/** `text` is all up to the empty line, with the end of its last line. */
export function readHead(text: string, known: KnownLines = noLines()): AnswerHead {
  const isKept = text.length <= maxKeptText;
  let { status } = known;
  if (!status || !text.startsWith(status.text)) {
    status = statusOf(text.slice(0, endOf(text, 0)));
    if (isKept) known.status = status;
  }
  const headers: Record<string, string> = Object.create(nothing);
  let at = status.text.length;
  for (let index = 0; at < text.length; index += 1) {
    if (index >= maxHeaders - 1) throw new ProtocolError("too many headers");
    let line = known.lines[index];
    if (!line || !text.startsWith(line.text, at)) {
      line = lineOf(text.slice(at, endOf(text, at)));
      if (isKept) known.lines[index] = line;
    }
    addHeader(headers, line);
    at += line.text.length;
  }
  const { code, version } = status;
  return { status: code, headers, body: bodyOf(code, headers, version), keepAlive: version === 1 && !asksToClose(headers) };
}

/** Behind the line's end. */
function endOf(text: string, from: number): number {
  const end = text.indexOf("\r\n", from);
  return end === -1 ? text.length : end + 2;
}

function statusOf(text: string): { text: string; code: number; version: number } {
  const end = text.length - 2;
  const version = text.startsWith("HTTP/1.1 ") ? 1 : text.startsWith("HTTP/1.0 ") ? 0 : undefined;
  const code = text.slice(9, Math.min(12, end));
  // The space before an empty reason is left out by some servers.
  const after = end > 12 ? text.charCodeAt(12) : space;
  if (version === undefined || !/^[1-5]\d\d$/.test(code) || after !== space || holdsControls(text, 0, end))
    throw new ProtocolError("not a status line");
  return { text, code: Number(code), version };
}

function lineOf(text: string): Line {
  const colon = text.indexOf(":");
  // A folded line begins with a space, and so is none.
  if (colon <= 0) throw new ProtocolError("not a header");
  for (let at = 0; at < colon; at += 1) if (isInName[text.charCodeAt(at)] !== 1) throw new ProtocolError("not a header");
  let start = colon + 1;
  let end = text.length - 2;
  while (isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  if (holdsControls(text, start, end)) throw new ProtocolError("a control character in a header");
  return { text, name: nameOf(text.slice(0, colon)), value: text.slice(start, end) };
}

function addHeader(headers: Record<string, string>, { name, value }: Line): void {
  const before = headers[name];
  if (before !== undefined && (name === "content-length" || name === "transfer-encoding"))
    throw new ProtocolError(`${name} is given twice`);
  headers[name] = before === undefined ? value : `${before}, ${value}`;
}

const space = 0x20;
const isBlank = (code: number): boolean => code === space || code === 0x09;

function holdsControls(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if ((code < space && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

/** RFC 9110 5.6.2: a token. */
const isInName = new Uint8Array(256);
for (const letter of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  isInName[letter.charCodeAt(0)] = 1;

/** In lower case, by how they were spelled: the names of headers are few. */
const knownNames = new Map<string, string>();
const maxNames = 512;

function nameOf(spelled: string): string {
  const known = knownNames.get(spelled);
  if (known !== undefined) return known;
  const name = spelled.toLowerCase();
  if (knownNames.size < maxNames && spelled.length < 64) knownNames.set(spelled, name);
  return name;
}

function bodyOf(status: number, headers: AnswerHeaders, version: number): AnswerHead["body"] {
  const length = headers["content-length"];
  const encoding = headers["transfer-encoding"];
  if (encoding !== undefined) {
    if (length !== undefined) throw new ProtocolError("both content-length and transfer-encoding");
    if (version === 0 || encoding.toLowerCase() !== "chunked")
      throw new ProtocolError("a transfer-encoding that is not chunked");
  }
  if (length !== undefined && !isLength(length)) throw new ProtocolError("content-length is not a number");
  if (status < 200 || status === 204 || status === 304) return 0;
  if (encoding !== undefined) return "chunked";
  return length === undefined ? "close" : Number(length);
}

function isLength(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return text.length >= 1 && text.length <= 15;
}

const asksToClose = ({ connection }: AnswerHeaders): boolean =>
  connection !== undefined && connection !== "keep-alive" && /\bclose\b/i.test(connection);
