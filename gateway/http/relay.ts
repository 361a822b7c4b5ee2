// Hands an upstream's answer to the client: bytes as they come, held back for slow readers, and never a clean end after a cut.
import { type Timed, unwatch, watch } from "../deadlines.ts";
import type { GatewayError } from "../errors.ts";
import { AnswerHeaders } from "../models/answer-headers.ts";
import type { RestartableSink } from "../models/failover.ts";
import { joined } from "../models/http1/answer-pieces.ts";
import type { CallHandle } from "../models/provider.ts";
import type { ClientAnswer } from "./answer.ts";
import { type ErrorShape, openaiErrors } from "./error-shapes.ts";

/** An answer that is not streamed is collected up to this size, so that a cut upstream becomes a clean error. */
const maxCollectedBytes = 1024 * 1024;
/** Heard or seen while it comes: nobody waits for its end. */
const played = /^(?:audio|video)\//i;
const comment = Buffer.from(": keep-alive\n\n");
const nothing = Buffer.alloc(0);

export class Relay implements RestartableSink, Timed {
  deadline = Number.POSITIVE_INFINITY;
  slot = -1;
  readonly #answer: ClientAnswer;
  readonly #stream: boolean;
  /** Of the answer; those of its body are added here. */
  readonly #headers: AnswerHeaders;
  readonly #keepAliveMs: number;
  readonly #errors: ErrorShape;
  #call: CallHandle | undefined;
  #over = false;
  /** Some of the answer is on its way; comments of a waiting stream are not part of it. */
  #answered = false;
  #atEventEnd = true;
  #contentType = "";
  #contentLength: number | undefined;
  /** Of an answer that is not streamed: all that came, most of the time in one piece. */
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #collectedBytes = 0;

  constructor(answer: ClientAnswer, stream: boolean, headers: AnswerHeaders, keepAliveMs: number, errors: ErrorShape) {
    this.#answer = answer;
    this.#stream = stream;
    this.#headers = headers;
    this.#keepAliveMs = keepAliveMs;
    this.#errors = errors;
    answer.onDrain = () => this.#call?.resume();
    if (!stream) return;
    this.deadline = performance.now() + keepAliveMs;
    watch(this);
  }

  /** Ties the client to the call: a client that leaves aborts it, one that reads slowly holds it back. */
  attach(handle: CallHandle): void {
    this.#call = handle;
    if (this.#answer.gone) handle.abort();
  }

  /** The client has left, or has all of its answer. */
  closed(): void {
    if (this.#settle()) this.#call?.abort();
  }

  head(type: string, length: number | undefined): void {
    this.#contentType = type;
    this.#contentLength = length;
    if (this.#stream) this.#begin();
  }

  data(chunk: Buffer): boolean {
    if (this.#over) return true;
    if (this.#stream) {
      this.#answered = true;
      this.deadline = performance.now() + this.#keepAliveMs;
      this.#atEventEnd = endsEvent(chunk);
      return this.#answer.write(chunk);
    }
    if (this.#answer.begun) return this.#answer.write(chunk);
    if (played.test(this.#contentType)) {
      this.#begin();
      return this.#answer.write(chunk);
    }
    if (this.#first === undefined) this.#first = chunk;
    else if (this.#more) this.#more.push(chunk);
    else this.#more = [chunk];
    this.#collectedBytes += chunk.length;
    if (this.#collectedBytes <= maxCollectedBytes) return true;
    this.#begin();
    return this.#answer.write(this.#takeCollected());
  }

  restart(): boolean {
    if (this.#over || this.#answered || (this.#answer.begun && !this.#stream)) return false;
    this.#takeCollected();
    this.#contentType = "";
    this.#contentLength = undefined;
    return true;
  }

  end(): void {
    if (!this.#settle()) return;
    const answer = this.#answer;
    if (answer.begun) {
      answer.end();
      return;
    }
    const whole = this.#takeCollected();
    if (this.#stream) {
      this.#begin();
      if (whole.length > 0) answer.write(whole);
      answer.end();
      return;
    }
    this.#headers.set("content-type", this.#contentType || "text/event-stream");
    answer.send(200, this.#headers, whole);
  }

  fail(error: GatewayError): void {
    if (!this.#settle()) return;
    const answer = this.#answer;
    if (!answer.begun) sendError(answer, error, this.#headers, this.#errors);
    else if (this.#stream) {
      // A broken connection tells a client that the answer is not whole, whatever it makes of the event.
      answer.write(Buffer.from(`${this.#atEventEnd ? "" : "\n\n"}${this.#errors.event(error)}`));
      answer.breakOff();
    } else answer.destroy();
  }

  /** Ends the call from here, and tells the client. */
  cut(error: GatewayError): void {
    if (this.#over) return;
    this.fail(error);
    this.#call?.abort();
  }

  /** The stream waits: a comment shows that it is alive. */
  expire(nowMs: number): void {
    this.deadline = nowMs + this.#keepAliveMs;
    if (this.#over || this.#answer.gone) return;
    // Comments only between events: an event that is under way must not be torn.
    if (!this.#atEventEnd || this.#answer.waitingBytes > 0) return;
    this.#begin();
    this.#answer.write(comment);
  }

  #begin(): void {
    if (this.#answer.begun) return;
    const headers = this.#headers;
    headers.set("content-type", this.#contentType || "text/event-stream");
    if (this.#stream) {
      headers.set("cache-control", "no-cache, no-transform");
      headers.set("x-accel-buffering", "no");
    } else if (this.#contentLength !== undefined) headers.set("content-length", String(this.#contentLength));
    this.#answer.begin(200, headers);
  }

  #settle(): boolean {
    if (this.#over) return false;
    this.#over = true;
    if (this.#stream) unwatch(this);
    return true;
  }

  #takeCollected(): Buffer {
    const first = this.#first ?? nothing;
    const whole = this.#more ? joined(first, this.#more, this.#collectedBytes) : first;
    this.#first = undefined;
    this.#more = undefined;
    this.#collectedBytes = 0;
    return whole;
  }
}

export function sendError(
  answer: ClientAnswer,
  error: GatewayError,
  headers: AnswerHeaders = new AnswerHeaders(),
  shape: ErrorShape = openaiErrors,
): void {
  for (const [name, value] of Object.entries(errorHeaders(error))) headers.set(name, value);
  headers.set("content-type", "application/json");
  answer.send(error.status, headers, shape.body(error));
}

export function errorHeaders(error: GatewayError): Record<string, string> {
  return {
    ...(error.retryAfter ? { "retry-after": error.retryAfter } : {}),
    ...(error.retryAfterMs === undefined ? {} : { "retry-after-ms": String(error.retryAfterMs) }),
    ...(error.code === "invalid_api_key" ? { "www-authenticate": 'Bearer realm="openclaw"' } : {}),
    "x-openclaw-error": error.code,
  };
}

const newline = 0x0a;

function endsEvent(chunk: Buffer): boolean {
  const last = chunk.length - 1;
  return chunk[last] === newline && (chunk[last - 1] === newline || (chunk[last - 1] === 0x0d && chunk[last - 2] === newline));
}
