// Hands an upstream's answer to the client: bytes as they come, held back for slow readers, and never a clean end after a cut.
import type { ServerResponse } from "node:http";
import { GatewayError } from "../errors.ts";
import type { RestartableSink } from "../models/failover.ts";
import type { CallHandle } from "../models/provider.ts";
import { type ErrorShape, openaiErrors } from "./error-shapes.ts";

interface Options {
  readonly stream: boolean;
  /** Of the answer; the relay adds those of its body. */
  readonly headers: Record<string, string>;
  readonly keepAliveMs: number;
  readonly errors: ErrorShape;
}

export interface Relay extends RestartableSink {
  /** Ties the client to the call: a client that leaves aborts it, one that reads slowly holds it back. */
  attach(handle: CallHandle): void;
  /** Ends the call from here, and tells the client. */
  cut(error: GatewayError): void;
}

/** An answer that is not streamed is collected up to this size, so that a cut upstream becomes a clean error. */
const maxCollectedBytes = 1024 * 1024;
/** A larger body is not worth a copy. */
const maxTextBytes = 16 * 1024;
/** Heard or seen while it comes: nobody waits for its end. */
const played = /^(?:audio|video)\//i;
const comment = Buffer.from(": keep-alive\n\n");

export function createRelay(response: ServerResponse, options: Options): Relay {
  const collected: Buffer[] = [];
  let collectedBytes = 0;
  let contentType = "";
  let contentLength: number | undefined;
  let call: CallHandle | undefined;
  let over = false;
  /** Some of the answer is on its way; comments of a waiting stream are not part of it. */
  let answered = false;
  let atEventEnd = true;
  let timer: NodeJS.Timeout | undefined;
  let framed = false;
  const send = (bytes: Buffer): boolean => response.write(framed ? asChunk(bytes) : bytes);

  function writeHead(): void {
    if (response.headersSent) return;
    const { headers } = options;
    headers["content-type"] = contentType || "text/event-stream";
    if (options.stream) {
      headers["cache-control"] = "no-cache, no-transform";
      headers["x-accel-buffering"] = "no";
      if (response.useChunkedEncodingByDefault) headers["transfer-encoding"] = "chunked";
    } else if (contentLength !== undefined) headers["content-length"] = String(contentLength);
    response.writeHead(200, headers);
    // Chunks are framed here: Node makes three pieces of each.
    framed = options.stream && response.chunkedEncoding;
    if (framed) response.chunkedEncoding = false;
    // Without this the head waits for the first bytes of the body.
    if (options.stream) response.flushHeaders();
  }

  function keepAlive(): void {
    if (over || response.destroyed) return;
    // Comments only between events: an event that is under way must not be torn.
    if (atEventEnd && response.writableLength === 0) {
      writeHead();
      send(comment);
    }
    timer?.refresh();
  }

  function settle(): boolean {
    if (over) return false;
    over = true;
    clearTimeout(timer);
    return true;
  }

  function fail(error: GatewayError): boolean {
    if (!settle()) return false;
    if (!response.headersSent) sendError(response, error, options.headers, options.errors);
    else if (options.stream) {
      // A broken connection tells a client that the answer is not whole, whatever it makes of the event.
      const event = `${atEventEnd ? "" : "\n\n"}${options.errors.event(error)}`;
      response.write(framed ? asChunk(Buffer.from(event)) : event, () => response.destroy());
    } else response.destroy();
    return true;
  }

  if (options.stream) timer = setTimeout(keepAlive, options.keepAliveMs);
  response.on("close", () => {
    if (settle()) call?.abort();
  });
  response.on("drain", () => call?.resume());

  return {
    attach(handle) {
      call = handle;
      if (response.destroyed) handle.abort();
    },
    head(type, length) {
      contentType = type;
      contentLength = length;
      if (options.stream) writeHead();
    },
    data(chunk) {
      if (over) return true;
      if (options.stream) {
        answered = true;
        timer?.refresh();
        atEventEnd = endsEvent(chunk);
        return send(chunk);
      }
      if (response.headersSent) return response.write(chunk);
      if (played.test(contentType)) {
        writeHead();
        return response.write(chunk);
      }
      collected.push(chunk);
      collectedBytes += chunk.length;
      if (collectedBytes <= maxCollectedBytes) return true;
      writeHead();
      return response.write(Buffer.concat(collected.splice(0)));
    },
    restart() {
      if (over || answered || (response.headersSent && !options.stream)) return false;
      collected.length = 0;
      collectedBytes = 0;
      contentType = "";
      contentLength = undefined;
      return true;
    },
    end() {
      if (!settle()) return;
      if (response.headersSent) {
        if (framed) response.end("0\r\n\r\n", "latin1");
        else response.end();
        return;
      }
      contentLength = collectedBytes;
      writeHead();
      const [first = Buffer.alloc(0)] = collected;
      const whole = collected.length > 1 ? Buffer.concat(collected, collectedBytes) : first;
      // As text Node sends it together with the head.
      if (whole.length <= maxTextBytes && !options.stream) response.end(whole.toString("latin1"), "latin1");
      else if (framed) {
        if (whole.length > 0) send(whole);
        response.end("0\r\n\r\n", "latin1");
      } else response.end(whole);
    },
    fail: (error) => void fail(error),
    cut(error) {
      if (fail(error)) call?.abort();
    },
  };
}

export function sendError(
  response: ServerResponse,
  error: GatewayError,
  headers: Readonly<Record<string, string>> = {},
  shape: ErrorShape = openaiErrors,
): void {
  const bytes = shape.body(error);
  response.writeHead(error.status, {
    ...headers,
    ...errorHeaders(error),
    "content-type": "application/json",
    "content-length": String(bytes.length),
  });
  response.end(bytes);
}

export function errorHeaders(error: GatewayError): Record<string, string> {
  return {
    ...(error.retryAfter ? { "retry-after": error.retryAfter } : {}),
    ...(error.retryAfterMs === undefined ? {} : { "retry-after-ms": String(error.retryAfterMs) }),
    ...(error.code === "invalid_api_key" ? { "www-authenticate": 'Bearer realm="openclaw"' } : {}),
    "x-openclaw-error": error.code,
  };
}

export function toGatewayError(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError("internal", "The gateway failed at this request; its log says why.", { cause: error });
}

const chunkEnd = "\r\n";

/** RFC 9112 7.1. */
function asChunk(bytes: Buffer): Buffer {
  const size = bytes.length.toString(16);
  const framed = Buffer.allocUnsafe(size.length + bytes.length + 4);
  framed.write(size, 0, "latin1");
  framed.write(chunkEnd, size.length, "latin1");
  framed.set(bytes, size.length + 2);
  framed.write(chunkEnd, framed.length - 2, "latin1");
  return framed;
}

const newline = 0x0a;

function endsEvent(chunk: Buffer): boolean {
  const last = chunk.length - 1;
  return chunk[last] === newline && (chunk[last - 1] === newline || (chunk[last - 1] === 0x0d && chunk[last - 2] === newline));
}
