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

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const forbidden = /[\0-\x08\x0a-\x1f\x7f]/;
const maxHeaders = 256;

/** `text` is all up to the empty line, without it. */
export function readHead(text: string): AnswerHead {
  const lines = text.split("\r\n");
  if (lines.length > maxHeaders) throw new ProtocolError("too many headers");
  const statusLine = lines[0] ?? "";
  const version = statusLine.startsWith("HTTP/1.1 ") ? 1 : statusLine.startsWith("HTTP/1.0 ") ? 0 : undefined;
  const code = statusLine.slice(9, 12);
  // The space before an empty reason is left out by some servers.
  const after = statusLine[12] ?? " ";
  if (version === undefined || !/^[1-5]\d\d$/.test(code) || after !== " " || forbidden.test(statusLine))
    throw new ProtocolError("not a status line");
  const headers: Record<string, string> = Object.create(null);
  for (let index = 1; index < lines.length; index += 1) addHeader(headers, lines[index] ?? "");
  const status = Number(code);
  return { status, headers, body: bodyOf(status, headers, version), keepAlive: version === 1 && !asksToClose(headers) };
}

function addHeader(headers: Record<string, string>, line: string): void {
  const colon = line.indexOf(":");
  const spelled = line.slice(0, Math.max(0, colon));
  // A folded line begins with a space, and so is none.
  if (!token.test(spelled)) throw new ProtocolError("not a header");
  let start = colon + 1;
  let end = line.length;
  while (isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  const value = line.slice(start, end);
  if (forbidden.test(value)) throw new ProtocolError("a control character in a header");
  const name = spelled.toLowerCase();
  const before = headers[name];
  if (before !== undefined && (name === "content-length" || name === "transfer-encoding"))
    throw new ProtocolError(`${name} is given twice`);
  headers[name] = before === undefined ? value : `${before}, ${value}`;
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function bodyOf(status: number, headers: AnswerHeaders, version: number): AnswerHead["body"] {
  const length = headers["content-length"];
  const encoding = headers["transfer-encoding"];
  if (encoding !== undefined) {
    if (length !== undefined) throw new ProtocolError("both content-length and transfer-encoding");
    if (version === 0 || encoding.toLowerCase() !== "chunked")
      throw new ProtocolError("a transfer-encoding that is not chunked");
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new ProtocolError("content-length is not a number");
  if (status < 200 || status === 204 || status === 304) return 0;
  if (encoding !== undefined) return "chunked";
  return length === undefined ? "close" : Number(length);
}

const asksToClose = ({ connection }: AnswerHeaders): boolean => connection !== undefined && /\bclose\b/i.test(connection);
