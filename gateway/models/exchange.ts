// One exchange with an upstream: phases and their timeouts, errors by table, truthful ends, back-pressure.
import type { Timeouts } from "../config/stack.ts";
import { type Timed, unwatch, watch } from "../deadlines.ts";
import { type ErrorCode, GatewayError, systemCode } from "../errors.ts";
import { type AnswerHeaders, ProtocolError } from "./http1/answer-head.ts";
import type { AnswerController, AnswerHandler } from "./http1/connection.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import { jsonOf, parseJson } from "./translate/json.ts";
import { streamEnds } from "./translate/stream-ends.ts";
import { errorText } from "./translate/stream-error.ts";
import { Tail } from "./usage.ts";

const maxErrorBytes = 64 * 1024;
const clientLeft = (): Error => new Error("the client left");
/** What JSON answers end with: } of an object, ] of a list. */
const braceEnd = 0x7d;
const listEnd = 0x5d;
const never = Number.POSITIVE_INFINITY;

/** What an upstream is waited for. */
const connection = "a connection";
const responseHeaders = "response headers";
const firstToken = "the first token";
const nextToken = "the next token";
const wholeAnswer = "the whole answer";

export class Exchange implements AnswerHandler, CallHandle, Timed {
  /** The sooner one of the phase's and the whole answer's. */
  deadline: number;
  slot = -1;
  readonly #provider: string;
  readonly #stream: boolean;
  readonly #timeouts: Timeouts;
  readonly #sink: CallSink;
  /** What the last bytes of a stream hold, where it came to its end. */
  readonly #ends: RegExp;
  readonly #onHeaders: ModelCall["onHeaders"];
  readonly #totalMs: number;
  readonly #totalAt: number;
  readonly #tail: Tail | undefined;
  #controller: AnswerController | undefined;
  #dropConnection: (() => void) | undefined;
  #done = false;
  #status = 0;
  #retryAfter: string | undefined;
  #started = false;
  #isJson = false;
  #errorChunks: Buffer[] | undefined;
  #errorBytes = 0;
  /** A connection was opened for this call; otherwise one is used that was kept, and may be gone by now. */
  #ownConnection = false;
  #lastByte = 0;
  #phase = connection;
  #phaseMs = 0;
  #phaseAt = never;

  /** `totalMs`: less than the setting where other upstreams took some of the request's time. */
  constructor(
    provider: string,
    stream: boolean,
    timeouts: Timeouts,
    sink: CallSink,
    ends: RegExp = streamEnds.chat,
    totalMs: number = timeouts.totalMs,
    onHeaders?: ModelCall["onHeaders"],
  ) {
    this.#provider = provider;
    this.#stream = stream;
    this.#timeouts = timeouts;
    this.#sink = sink;
    this.#ends = ends;
    this.#totalMs = totalMs;
    this.#totalAt = performance.now() + totalMs;
    this.#onHeaders = onHeaders;
    this.#tail = stream ? new Tail() : undefined;
    this.deadline = this.#totalAt;
    watch(this);
  }

  /** dispatch itself threw: the connections are closed, or the request cannot be written. */
  refuse(error: unknown): void {
    this.#finish(connectionError(this.#provider, error, false));
  }

  onConnecting(drop: () => void): void {
    this.#dropConnection = drop;
    this.#ownConnection = true;
    if (this.#done) {
      drop();
      return;
    }
    // Not before: a call that waits for one of the connections that there are is not the upstream's failure.
    this.#await(connection, this.#timeouts.connectMs);
  }

  onRequestStart(current: AnswerController): void {
    this.#controller = current;
    if (this.#done) current.abort(clientLeft());
    else if (this.#stream) this.#await(responseHeaders, this.#timeouts.headersMs);
    else this.#awaitNothing();
  }

  onResponseStart(_: AnswerController, code: number, headers: AnswerHeaders): void {
    if (this.#done || code < 200) return;
    this.#status = code;
    this.#onHeaders?.(code, (name) => headers[name]);
    this.#retryAfter = headers["retry-after"];
    if (code >= 300) return;
    const type = headers["content-type"] ?? "application/json";
    // A page of a proxy between, or events for a call that asked for none.
    if (type.startsWith("text/html") || (!this.#stream && type.startsWith("text/event-stream"))) {
      this.#finish(new GatewayError("upstream_malformed", `provider ${this.#provider} sent something else than an answer`));
      return;
    }
    this.#started = true;
    if (this.#stream) this.#await(firstToken, this.#timeouts.firstTokenMs);
    const length = headers["content-length"];
    // A server that does not stream answers as a whole, also where a stream was asked for.
    this.#isJson = this.#stream ? type.startsWith("application/json") : type.includes("json");
    this.#sink.head(type, length === undefined ? undefined : Number(length));
  }

  onResponseData(current: AnswerController, chunk: Buffer): void {
    if (this.#done) return;
    if (this.#status >= 300) {
      this.#errorBytes += chunk.length;
      if (this.#errorBytes > maxErrorBytes)
        this.#finish(upstreamError(this.#provider, this.#status, undefined, this.#retryAfter));
      else if (this.#errorChunks) this.#errorChunks.push(chunk);
      else this.#errorChunks = [chunk];
      return;
    }
    if (this.#tail) {
      this.#tail.push(chunk);
      // More of the same read may come while the reader is waited for.
      if (!current.paused) this.#await(nextToken, this.#timeouts.betweenTokensMs);
    }
    if (this.#isJson) this.#lastByte = lastVisible(chunk) ?? this.#lastByte;
    if (this.#sink.data(chunk)) return;
    // A slow reader is not the upstream's silence.
    this.#awaitNothing();
    current.pause();
  }

  onResponseEnd(): void {
    if (this.#done) return;
    if (!this.#started) {
      this.#finish(upstreamError(this.#provider, this.#status, Buffer.concat(this.#errorChunks ?? []), this.#retryAfter));
    } else if (this.#tail && !this.#isJson && !this.#ends.test(this.#tail.text())) {
      this.#finish(new GatewayError("upstream_cut", `provider ${this.#provider} ended the stream in the middle`));
    } else if (this.#isJson && this.#lastByte !== braceEnd && this.#lastByte !== listEnd) {
      // Cut JSON in whole HTTP: a proxy or a server between lost the rest.
      this.#finish(new GatewayError("upstream_malformed", `provider ${this.#provider} sent only a part of its answer`));
    } else this.#finish();
  }

  onResponseError(_: AnswerController | undefined, error: Error): void {
    const kept = !this.#ownConnection && this.#status === 0;
    this.#finish(connectionError(this.#provider, error, this.#started, kept));
  }

  abort(): void {
    if (this.#done) return;
    this.#done = true;
    unwatch(this);
    this.#drop(clientLeft());
  }

  resume(): void {
    if (this.#done || !this.#controller?.paused) return;
    if (this.#stream) this.#await(nextToken, this.#timeouts.betweenTokensMs);
    this.#controller.resume();
  }

  expire(nowMs: number): void {
    const isTotal = nowMs >= this.#totalAt;
    const what = isTotal ? wholeAnswer : this.#phase;
    const limitMs = isTotal ? this.#totalMs : this.#phaseMs;
    const text = what === connection ? "cannot be connected to" : `did not send ${what}`;
    this.#finish(new GatewayError("upstream_timeout", `provider ${this.#provider} ${text} within ${limitMs} ms`));
  }

  #await(phase: string, limitMs: number): void {
    this.#phase = phase;
    this.#phaseMs = limitMs;
    this.#phaseAt = performance.now() + limitMs;
    this.deadline = this.#phaseAt < this.#totalAt ? this.#phaseAt : this.#totalAt;
  }

  #awaitNothing(): void {
    this.#phaseAt = never;
    this.deadline = this.#totalAt;
  }

  #drop(reason: Error): void {
    if (this.#controller) this.#controller.abort(reason);
    else this.#dropConnection?.();
  }

  /** Ends the exchange once; an error also drops the connection. */
  #finish(error?: GatewayError): void {
    if (this.#done) return;
    this.#done = true;
    unwatch(this);
    if (!error) {
      this.#sink.end();
      return;
    }
    this.#drop(error);
    this.#sink.fail(error);
  }
}

/** The last byte that is not white space. */
function lastVisible(chunk: Buffer): number | undefined {
  for (let at = chunk.length - 1; at >= 0; at -= 1) {
    const byte = chunk[at] ?? 0;
    if (byte > 0x20) return byte;
  }
  return undefined;
}

const unreachable = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);
/** Of a connection that was open: closed by the other side, or by what is between. */
const closedByPeer = new Set(["ECONNRESET", "EPIPE"]);

function connectionError(providerId: string, error: unknown, started: boolean, kept = false): GatewayError {
  if (error instanceof GatewayError)
    return new GatewayError(error.code, `provider ${providerId}: ${error.message}`, { cause: error });
  const code = systemCode(error);
  const say = (kind: ErrorCode, text: string): GatewayError =>
    new GatewayError(kind, `provider ${providerId} ${text}`, { cause: error });
  if (unreachable.has(code)) return say("upstream_unreachable", `cannot be reached (${code})`);
  if (started) return say("upstream_cut", "broke off in the middle of the answer");
  if (error instanceof ProtocolError) return say("upstream_malformed", "sent an answer that cannot be read");
  return new GatewayError("upstream_failed", `provider ${providerId} closed the connection without an answer`, {
    cause: error,
    stale: kept && closedByPeer.has(code),
  });
}

/** What an upstream's error status means to the client. Its 401 is about the gateway's key, not about the client's token. */
function upstreamError(
  providerId: string,
  status: number,
  body: Buffer | undefined,
  retryAfter: string | undefined,
): GatewayError {
  if (status === 401 || status === 403)
    return new GatewayError("upstream_auth", `provider ${providerId} refused the gateway's key (${status})`);
  if (status === 429) {
    return new GatewayError(
      "upstream_rate_limited",
      `provider ${providerId} is over its rate limit`,
      retryAfter ? { retryAfter } : {},
    );
  }
  if (status >= 500 || status < 400) return new GatewayError("upstream_failed", `provider ${providerId} answered ${status}`);
  const answer = body && parseJson(body.toString("utf8"));
  const text = errorText(answer);
  // OpenAI's and Anthropic's own shape is passed on as it is: it names the field that is wrong.
  const shape = typeof jsonOf(answer?.error).message === "string" ? { body } : {};
  return new GatewayError(
    "upstream_rejected",
    `provider ${providerId} refused the request (${status})${text === undefined ? "" : `: ${text}`}`,
    { status, ...shape },
  );
}
