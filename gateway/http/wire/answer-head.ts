// The head of an answer in HTTP/1.1's bytes. What could end a header early is refused.
import { STATUS_CODES } from "node:http";
import type { AnswerHeaders } from "../../models/answer-headers.ts";
import { isHeaderName, isHeaderValue } from "../../models/http1/header-text.ts";

const statusLines = new Map<number, string>();

export function statusLine(status: number): string {
  const known = statusLines.get(status);
  if (known !== undefined) return known;
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
  if (statusLines.size < 1000) statusLines.set(status, line);
  return line;
}

/** All but those that say where the answer ends and what becomes of the connection. */
export function headerLines(headers: AnswerHeaders): string {
  const { names, values } = headers;
  let text = `${headers.lines}${headers.answering}`;
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at] ?? "";
    if (!isFraming(name)) text += lineOf(name, values[at] ?? "");
  }
  return text;
}

const isFraming = (name: string): boolean =>
  name === "content-length" ||
  name === "transfer-encoding" ||
  name === "connection" ||
  name === "keep-alive" ||
  name === "date";

/** By name: most headers are always the same, and were looked at before. */
const lines = new Map<string, { given: string; line: string }>();
const maxLines = 256;

function lineOf(name: string, given: string): string {
  const known = lines.get(name);
  if (known?.given === given) return known.line;
  if (known === undefined && !isHeaderName(name)) throw new TypeError(`no header can be called ${JSON.stringify(name)}`);
  if (!isHeaderValue(given)) throw new TypeError(`the header ${name} has a character that no header can have`);
  const line = `${name}: ${given}\r\n`;
  if (known !== undefined) {
    known.given = given;
    known.line = line;
  } else if (lines.size < maxLines) lines.set(name, { given, line });
  return line;
}

/** The end of a head that says when the connection is closed. Made once in a while, since it has the date. */
export interface HeadEnds {
  readonly keep: string;
  readonly close: string;
}

export function headEnds(keepAliveTimeoutMs: number): HeadEnds {
  const date = `Date: ${new Date().toUTCString()}\r\n`;
  const timeout = keepAliveTimeoutMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n` : "";
  return { keep: `${date}Connection: keep-alive\r\n${timeout}\r\n`, close: `${date}Connection: close\r\n\r\n` };
}
