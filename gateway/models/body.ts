// The request's bytes: checked once, and forwarded as they are; only the model's name is rewritten, in the bytes.
import { GatewayError, messageOf } from "../errors.ts";
import { type BodyWords, isEscaped, scanTop, skipSpace } from "./body-scan.ts";

export interface ModelRequest {
  /** Undefined: the client leaves the choice to the gateway. */
  readonly model: string | undefined;
  readonly stream: boolean;
  /** Undefined: nobody looked. */
  readonly words?: BodyWords;
}

/** Bytes: what is shorter is parsed as quickly, and judged to its last letter. */
const scannedFrom = 512;

/** Checks what the gateway itself has to know; the rest is the upstream's business. */
export function readModelRequest(body: unknown): ModelRequest & { readonly bytes: Buffer } {
  if (!Buffer.isBuffer(body) || body.length === 0)
    throw new GatewayError("invalid_json", "The request has no body: send JSON.");
  const top = body.length > scannedFrom ? scanTop(body) : undefined;
  if (top !== undefined) return { model: top.model, stream: top.stream, words: top.words, bytes: body };
  const value = parseBody(body);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new GatewayError("invalid_request", "The body must be a JSON object.");
  const model: unknown = Reflect.get(value, "model");
  const stream: unknown = Reflect.get(value, "stream");
  // Servers written in Go read these names in any case, and would use another model than the one that is judged here.
  const other = Object.keys(value).find((name) => name.length === 5 && name !== "model" && name.toLowerCase() === "model");
  if (other !== undefined)
    throw new GatewayError("invalid_request", `Write model in small letters, not ${other}.`, { param: other });
  if (model !== undefined && model !== null && (typeof model !== "string" || model === "")) {
    throw new GatewayError("invalid_request", "model must be a text.", { param: "model" });
  }
  if (stream !== undefined && stream !== null && typeof stream !== "boolean") {
    throw new GatewayError("invalid_request", "stream must be true or false.", { param: "stream" });
  }
  return { model: typeof model === "string" ? model : undefined, stream: stream === true, bytes: body };
}

/** The whole of it. A long body is sound up to here but for the inside of its texts. */
export function parseBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    // V8 quotes the text around the error; a request's content does not belong in messages.
    const at = /position (\d+)/.exec(messageOf(error))?.[1];
    throw new GatewayError("invalid_json", `The body is not JSON${at ? ` (at byte ${at})` : ""}.`);
  }
}

/** What all requests of a conversation have in common: all up to the first message of the user. */
export function conversationStart(body: Buffer): string | undefined {
  const value = parseBody(body);
  if (typeof value !== "object" || value === null) return undefined;
  const messages: unknown = Reflect.get(value, "messages") ?? Reflect.get(value, "input");
  if (!Array.isArray(messages)) return typeof messages === "string" ? messages : undefined;
  const first = messages.findIndex((message: unknown) => roleOf(message) === "user");
  return JSON.stringify([Reflect.get(value, "system") ?? null, ...messages.slice(0, first + 1)]);
}

const roleOf = (message: unknown): unknown =>
  typeof message === "object" && message !== null ? Reflect.get(message, "role") : undefined;

const quote = 0x22;
const backslash = 0x5c;
const open = 0x7b;
const close = 0x7d;
const openList = 0x5b;
const closeList = 0x5d;

/** `body` is valid JSON and an object. Every top-level "model" gets the new name; where there is none it is put in front. */
export function withModel(body: Buffer, name: string): Buffer {
  const value = Buffer.from(JSON.stringify(name));
  const only = onlyModel(body);
  if (only) return Buffer.concat([body.subarray(0, only.start), value, body.subarray(only.stop)]);
  const pieces: Buffer[] = [];
  let copied = 0;
  let depth = 0;
  let isKey = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === quote) {
      const end = endOfString(body, at);
      if (depth === 1 && isKey && isModelKey(body, at, end)) {
        const start = skipSpace(body, skipSpace(body, end + 1) + 1);
        const stop = endOfScalar(body, start);
        pieces.push(body.subarray(copied, start), value);
        copied = stop;
        at = stop - 1;
      } else at = end;
      isKey = false;
    } else if (byte === open || byte === openList) {
      depth += 1;
      isKey = depth === 1;
    } else if (byte === close || byte === closeList) depth -= 1;
    else if (byte === 0x2c && depth === 1) isKey = true;
  }
  if (pieces.length > 0) return Buffer.concat([...pieces, body.subarray(copied)]);
  const brace = body.indexOf(open);
  const empty = body[skipSpace(body, brace + 1)] === close;
  return Buffer.concat([
    body.subarray(0, brace + 1),
    Buffer.from('"model":'),
    value,
    Buffer.from(empty ? "" : ","),
    body.subarray(brace + 1),
  ]);
}

const modelKey = Buffer.from('"model"');
/** Letters of a key that is written with escapes. */
const asciiEscape = Buffer.from("\\u00");

/** Where the value is, where there is one such key in the whole body, at its top: so most requests are. */
function onlyModel(body: Buffer): { start: number; stop: number } | undefined {
  const at = body.indexOf(modelKey);
  if (at <= 0 || body[at - 1] === backslash || body.indexOf(modelKey, at + modelKey.length) !== -1) return undefined;
  const colon = skipSpace(body, at + modelKey.length);
  if (body[colon] !== 0x3a || body.includes(asciiEscape)) return undefined;
  // What is open where the key stands is closed behind it: the shorter side tells its depth.
  const depth = at * 2 < body.length ? opened(body, 0, at) : -opened(body, at, body.length);
  if (depth !== 1) return undefined;
  const start = skipSpace(body, colon + 1);
  return { start, stop: endOfScalar(body, start) };
}

/** Braces and brackets that are opened from here to there, less those that are closed. */
function opened(body: Buffer, from: number, to: number): number {
  let depth = 0;
  for (let at = from; at < to; at += 1) {
    const byte = body[at];
    if (byte === quote) at = endOfString(body, at);
    else if (byte === open || byte === openList) depth += 1;
    else if (byte === close || byte === closeList) depth -= 1;
  }
  return depth;
}

/** Index of the closing quote. */
function endOfString(body: Buffer, start: number): number {
  let end = body.indexOf(quote, start + 1);
  while (end !== -1 && isEscaped(body, end, start + 1)) end = body.indexOf(quote, end + 1);
  return end === -1 ? body.length : end;
}

/** Keys may be written with escapes: "\u006dodel" is model too. */
function isModelKey(body: Buffer, start: number, end: number): boolean {
  if (end - start === 6) return body.toString("latin1", start + 1, end) === "model";
  return body.subarray(start, end).includes(backslash) && JSON.parse(body.toString("utf8", start, end + 1)) === "model";
}

/** The value is a string or null: everything else was refused before. */
function endOfScalar(body: Buffer, start: number): number {
  if (body[start] === quote) return endOfString(body, start) + 1;
  let end = start;
  while (end < body.length && body[end] !== 0x2c && body[end] !== close && (body[end] ?? 0) > 0x20) end += 1;
  return end;
}
