// The head of a request in HTTP/1.1. What could end a header early is refused.
import { GatewayError } from "../../errors.ts";
import { isHeaderName, isHeaderValue } from "./header-text.ts";

export interface UpstreamRequest {
  /** "http://host:port". */
  readonly origin: string;
  readonly path: string;
  readonly method: "GET" | "POST";
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** More of them, as headerLines gives them. */
  readonly lines?: string;
  readonly body?: Buffer;
  /** It gets a connection of its own, which is closed after it. */
  readonly reset?: boolean;
}

const target = /^[\x21-\x7e]+$/;
/** Headers as they are sent. */
export function headerLines(headers: Readonly<Record<string, string>>): string {
  let text = "";
  for (const key in headers) {
    const given = headers[key];
    if (given !== undefined) text += lineOf(key, given);
  }
  return text;
}

/** All that comes before the body. */
export function requestHead({ origin, path, method, headers, lines = "", body, reset }: UpstreamRequest): string {
  const text = `${startOf(method, path, origin, reset === true)}${lines}${headerLines(headers)}`;
  return body ? `${text}content-length: ${body.length}\r\n\r\n` : `${text}\r\n`;
}

interface Start {
  readonly method: string;
  readonly path: string;
  readonly origin: string;
  readonly reset: boolean;
  readonly text: string;
}

/** The first lines of the latest requests: those to one provider are all the same. */
const starts: Start[] = [];
const maxStarts = 16;

function startOf(method: string, path: string, origin: string, reset: boolean): string {
  for (const start of starts)
    if (start.path === path && start.origin === origin && start.method === method && start.reset === reset) return start.text;
  if (!target.test(path)) throw invalid("the path");
  const text = `${method} ${path} HTTP/1.1\r\nhost: ${hostOf(origin)}\r\nconnection: ${reset ? "close" : "keep-alive"}\r\n`;
  if (starts.length >= maxStarts) starts.shift();
  starts.push({ method, path, origin, reset, text });
  return text;
}

/** By name: most headers of a provider are always the same, and were looked at before. */
const knownLines = new Map<string, { readonly given: string; readonly line: string }>();
const maxLines = 256;

/** One header as it is sent. Throws where it has a character that it must not have. */
export function lineOf(key: string, given: string): string {
  const known = knownLines.get(key);
  if (known?.given === given) return known.line;
  if (!isHeaderName(key)) throw invalid("the name of a header");
  if (!isHeaderValue(given)) throw invalid(`the header ${key}`);
  const line = `${key}: ${given}\r\n`;
  // These are of one request only.
  if (key === "x-request-id" || key === "traceparent") return line;
  if (knownLines.size >= maxLines) knownLines.clear();
  knownLines.set(key, { given, line });
  return line;
}

const hosts = new Map<string, string>();

function hostOf(origin: string): string {
  const known = hosts.get(origin);
  if (known !== undefined) return known;
  const { host } = new URL(origin);
  hosts.set(origin, host);
  return host;
}

const invalid = (what: string): GatewayError =>
  new GatewayError("internal", `${what} has a character that a request to a provider must not have`);
