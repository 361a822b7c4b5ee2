// The short way of plain model calls: past the router and its hooks, with the same checks. All that is not plain goes the long way.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { stackOf } from "../config/rules.ts";
import { toGatewayError } from "../errors.ts";
import { AnswerHeaders } from "../models/answer-headers.ts";
import { requireScope } from "./auth.ts";
import type { GatewayContext } from "./context.ts";
import { errorShapeOf } from "./error-shapes.ts";
import type { ModelCall, ModelCalls } from "./model-call.ts";
import { NodeAnswer } from "./node-answer.ts";
import type { Pipelines } from "./pipelining.ts";
import { sendError } from "./relay.ts";
import { Visit } from "./visit.ts";
import { type PlainRequest, readPlainRequests } from "./wire/front.ts";

/** A request whose head is known to be plain. */
type PlainCall = Omit<PlainRequest, "contentLength">;

/** `leave` hears of the answer's end. */
function serveDirectly(context: GatewayContext): (plain: PlainCall, call: ModelCall, leave?: () => void) => void {
  const { entrance } = context;

  function refuse(visit: Visit, headers: AnswerHeaders, error: unknown): void {
    const failure = toGatewayError(error);
    visit.failed(failure);
    const { answer } = visit;
    if (!answer.begun && !answer.gone) sendError(answer, failure, headers, errorShapeOf(visit.route));
  }

  return (plain, call, leave) => {
    const { url, headers, remoteAddress, answer } = plain;
    const visit = new Visit(context, "POST", url, headers, remoteAddress, answer, leave);
    const answerHeaders = new AnswerHeaders();
    // An id has letters, digits and a few marks only.
    answerHeaders.lines = `x-content-type-options: nosniff\r\nx-request-id: ${visit.id}\r\n`;
    const hsts = context.runtime().config.gateway.http.securityHeaders?.strictTransportSecurity;
    if (hsts) answerHeaders.set("strict-transport-security", hsts);

    const begin = (body: Buffer): void => {
      try {
        call(visit, body, answerHeaders);
      } catch (error) {
        refuse(visit, answerHeaders, error);
      }
    };
    const admit = (): void => {
      try {
        visit.caller = entrance.identify(headers, remoteAddress, visit.address);
        requireScope(visit.caller, "operator.write");
        plain.readBody(begin);
      } catch (error) {
        refuse(visit, answerHeaders, error);
      }
    };
    try {
      const counted = entrance.count(visit.address);
      if (counted) counted.then(admit, (error: unknown) => refuse(visit, answerHeaders, error));
      else admit();
    } catch (error) {
      refuse(visit, answerHeaders, error);
    }
  };
}

/** Plain calls of models do not come to Node's server at all. */
export function readDirectly(server: Server, context: GatewayContext, calls: ModelCalls): void {
  const { maxBodyBytes, headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = stackOf(context.runtime().config).http;
  const serve = serveDirectly(context);
  readPlainRequests(server, {
    isPlainPath: (url) => calls.has(url),
    ready: () => context.lifecycle.phase === "ready",
    take(request) {
      const call = calls.get(request.url);
      if (call) serve(request, call);
    },
    onFlood: () => context.metrics.connectionsFailed.add(1, "pipelining"),
    maxBodyBytes,
    headersTimeoutMs,
    requestTimeoutMs,
    keepAliveTimeoutMs,
  });
}

/** Puts itself before what Node's server does with requests now. */
export function takeDirectly(server: Server, context: GatewayContext, calls: ModelCalls, pipelines: Pipelines): void {
  const { maxBodyBytes } = stackOf(context.runtime().config).http;
  const serve = serveDirectly(context);
  const others = server.listeners("request");
  server.removeAllListeners("request");
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (!take(request, response)) for (const other of others) other.call(server, request, response);
  });

  /** False: it goes the long way. */
  function take(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = "", headers, socket } = request;
    const call = request.method === "POST" ? calls.get(url) : undefined;
    const length = Number(headers["content-length"] ?? Number.NaN);
    // Browsers' pages, bodies without a length or too long, and a gateway that stops: the long way knows them all.
    const isPlain =
      headers.origin === undefined && length >= 0 && length <= maxBodyBytes && context.lifecycle.phase === "ready";
    if (!call || !isPlain) return false;
    const answer = new NodeAnswer(response);
    const remoteAddress = socket.remoteAddress ?? "";
    const leave = (): void => pipelines.leave(socket, response);
    if (pipelines.enter(socket, response)) {
      const readBody = (done: (body: Buffer) => void): void => readWhole(request, length, done);
      serve({ url, headers, remoteAddress, answer, readBody }, call, leave);
    } else {
      // Told by log and figures; nothing more is done for it.
      new Visit(context, "POST", url, headers, remoteAddress, answer, leave);
      context.metrics.connectionsFailed.add(1, "pipelining");
    }
    return true;
  }
}

/** The parser sees to it that no more than `length` bytes come. One that leaves in the middle is heard of by the answer's end. */
function readWhole(request: IncomingMessage, length: number, done: (body: Buffer) => void): void {
  if (length === 0) {
    done(Buffer.alloc(0));
    return;
  }
  let whole: Buffer | undefined;
  let read = 0;
  request.on("data", (chunk: Buffer) => {
    if (read === 0 && chunk.length === length) {
      read = length;
      done(chunk);
      return;
    }
    // Not before bytes come: a length alone must not take memory.
    whole ??= Buffer.allocUnsafeSlow(length);
    if (read + chunk.length > length) {
      request.destroy();
      return;
    }
    chunk.copy(whole, read);
    read += chunk.length;
    if (read === length) done(whole);
  });
}
