// One exchange with an upstream: phases and their timeouts, errors by table, truthful ends, back-pressure.
import type { Timeouts } from "../config/stack.ts";
import { type ErrorCode, GatewayError, systemCode } from "../errors.ts";
import { ProtocolError } from "./http1/answer-head.ts";
import type { AnswerController, AnswerHandler } from "./http1/connection.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import { jsonOf, parseJson } from "./translate/json.ts";
import { streamEnds } from "./translate/stream-ends.ts";
import { errorText } from "./translate/stream-error.ts";
import { createTail } from "./usage.ts";

export interface Exchange {
  readonly handler: AnswerHandler;
  readonly handle: CallHandle;
  /** dispatch itself threw: the connections are closed, or the request cannot be written. */
  refuse(error: unknown): void;
}

const maxErrorBytes = 64 * 1024;
const connecting = "a connection";
const clientLeft = (): Error => new Error("the client left");
/** What JSON answers end with: } of an object, ] of a list. */
const jsonEnds: readonly (number | undefined)[] = [0x7d, 0x5d];

/** `ends` is what the last bytes of a stream hold, where it came to its end. */
export function createExchange(
  providerId: string,
  stream: boolean,
  timeouts: Timeouts,
  sink: CallSink,
  ends: RegExp = streamEnds.chat,
  /** Less than the setting where other upstreams took some of the request's time. */
  totalMs: number = timeouts.totalMs,
  onHeaders?: ModelCall["onHeaders"],
): Exchange {
  let controller: AnswerController | undefined;
  let done = false;
  let status = 0;
  let retryAfter: string | undefined;
  let started = false;
  let isJson = false;
  const errorChunks: Buffer[] = [];
  let errorBytes = 0;
  const tail = stream ? createTail() : undefined;
  let dropConnection: (() => void) | undefined;
  /** A connection was opened for this call; otherwise one is used that was kept, and may be gone by now. */
  let ownConnection = false;
  let lastByte: number | undefined;
  let phase = connecting;
  let phaseMs = timeouts.connectMs;
  let phaseTimer: NodeJS.Timeout | undefined;
  const total = setTimeout(expire, totalMs, "the whole answer", totalMs);
  const armPhase = (name: string, limitMs: number): void => {
    clearTimeout(phaseTimer);
    phase = name;
    phaseMs = limitMs;
    phaseTimer = setTimeout(() => expire(phase, phaseMs), limitMs);
  };

  function expire(what: string, limitMs: number): void {
    const text = what === connecting ? "cannot be connected to" : `did not send ${what}`;
    finish(new GatewayError("upstream_timeout", `provider ${providerId} ${text} within ${limitMs} ms`));
  }

  function drop(reason: Error): void {
    if (controller) controller.abort(reason);
    else dropConnection?.();
  }

  /** Ends the exchange once; an error also drops the connection. */
  function finish(error?: GatewayError): void {
    if (done) return;
    done = true;
    clearTimeout(total);
    clearTimeout(phaseTimer);
    if (!error) {
      sink.end();
      return;
    }
    drop(error);
    sink.fail(error);
  }

  const handler: AnswerHandler = {
    onConnecting(drop) {
      dropConnection = drop;
      ownConnection = true;
      if (done) return drop();
      // Not before: a call that waits for one of the connections that there are is not the upstream's failure.
      armPhase(connecting, timeouts.connectMs);
    },
    onRequestStart(current) {
      controller = current;
      if (done) return current.abort(clientLeft());
      if (stream) armPhase("response headers", timeouts.headersMs);
      else clearTimeout(phaseTimer);
    },
    onResponseStart(_, code, headers) {
      if (done || code < 200) return;
      status = code;
      retryAfter = headers["retry-after"];
      onHeaders?.(code, (name) => headers[name]);
      if (code >= 300) return;
      // A page of a proxy between, or events for a call that asked for none.
      if (
        headers["content-type"]?.startsWith("text/html") ||
        (!stream && headers["content-type"]?.startsWith("text/event-stream"))
      )
        return finish(new GatewayError("upstream_malformed", `provider ${providerId} sent something else than an answer`));
      started = true;
      if (stream) armPhase("the first token", timeouts.firstTokenMs);
      const length = headers["content-length"];
      const type = headers["content-type"] ?? "application/json";
      // A server that does not stream answers as a whole, also where a stream was asked for.
      isJson = stream ? type.startsWith("application/json") : type.includes("json");
      sink.head(type, length === undefined ? undefined : Number(length));
    },
    onResponseData(current, chunk) {
      if (done) return;
      if (status >= 300) {
        errorBytes += chunk.length;
        if (errorBytes <= maxErrorBytes) errorChunks.push(chunk);
        else finish(upstreamError(providerId, status, undefined, retryAfter));
        return;
      }
      if (tail) {
        tail.push(chunk);
        if (phase === "the first token") armPhase("the next token", timeouts.betweenTokensMs);
        else phaseTimer?.refresh();
      }
      if (isJson) lastByte = lastVisible(chunk) ?? lastByte;
      if (!sink.data(chunk)) {
        // A slow reader is not the upstream's silence.
        clearTimeout(phaseTimer);
        current.pause();
      }
    },
    onResponseEnd() {
      if (done) return;
      if (!started) return finish(upstreamError(providerId, status, Buffer.concat(errorChunks), retryAfter));
      if (tail && !isJson && !ends.test(tail.text())) {
        return finish(new GatewayError("upstream_cut", `provider ${providerId} ended the stream in the middle`));
      }
      // Cut JSON in whole HTTP: a proxy or a server between lost the rest.
      if (isJson && !jsonEnds.includes(lastByte))
        return finish(new GatewayError("upstream_malformed", `provider ${providerId} sent only a part of its answer`));
      finish();
    },
    onResponseError(_, error) {
      finish(connectionError(providerId, error, started, !ownConnection && status === 0));
    },
  };

  return {
    handler,
    handle: {
      abort() {
        if (done) return;
        done = true;
        clearTimeout(total);
        clearTimeout(phaseTimer);
        drop(clientLeft());
      },
      resume() {
        if (done || !controller?.paused) return;
        if (stream) armPhase("the next token", timeouts.betweenTokensMs);
        controller.resume();
      },
    },
    refuse: (error) => finish(connectionError(providerId, error, false)),
  };
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
