// The short way of plain model calls: past the router and its hooks, with the same checks. All that is not plain goes the long way.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { stackOf } from "../config/rules.ts";
import { readTrace } from "../observability/trace-context.ts";
import { type Caller, requireScope } from "./auth.ts";
import type { GatewayContext } from "./context.ts";
import { errorShapeOf } from "./error-shapes.ts";
import type { ModelCalls } from "./model-call.ts";
import type { Pipelines } from "./pipelining.ts";
import { sendError, toGatewayError } from "./relay.ts";
import { type AccessFields, observe, requestId, type Visit } from "./visit.ts";

/** Puts itself before what the server does with requests now. */
export function takeDirectly(server: Server, context: GatewayContext, calls: ModelCalls, pipelines: Pipelines): void {
  const { maxBodyBytes } = stackOf(context.runtime().config).http;
  const others = server.listeners("request");
  server.removeAllListeners("request");
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (!take(request, response)) for (const other of others) other.call(server, request, response);
  });

  /** False: it goes the long way. */
  function take(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = "", headers } = request;
    const call = request.method === "POST" ? calls.get(url) : undefined;
    const length = Number(headers["content-length"] ?? Number.NaN);
    // Browsers' pages, bodies without a length or too long, and a gateway that stops: the long way knows them all.
    const isPlain =
      headers.origin === undefined && length >= 0 && length <= maxBodyBytes && context.lifecycle.phase === "ready";
    if (!call || !isPlain) return false;
    const { socket } = request;
    const remote = socket.remoteAddress ?? "";
    const fields: AccessFields = {};
    const visit: Visit & { caller: Caller | null } = {
      id: requestId(headers),
      method: "POST",
      headers,
      caller: null,
      address: context.entrance.addressOf(headers, remote),
      trace: readTrace(headers, context.tracing?.sampleRatio ?? 0),
      accessFields: fields,
    };
    observe(context, visit, url, response);
    response.on("close", () => pipelines.leave(socket, response));
    if (!pipelines.enter(socket, response)) {
      context.metrics.connectionsFailed.add(1, "pipelining");
      return true;
    }
    const answerHeaders: Record<string, string> = { "x-request-id": visit.id, "x-content-type-options": "nosniff" };
    const hsts = context.runtime().config.gateway.http.securityHeaders?.strictTransportSecurity;
    if (hsts) answerHeaders["strict-transport-security"] = hsts;

    function refuse(error: unknown): void {
      const failure = toGatewayError(error);
      fields.error_code = failure.code;
      if (failure.code === "internal") {
        const { cause } = failure;
        const text = cause instanceof Error ? (cause.stack ?? cause.message) : failure.message;
        context.log.error("request_failed", text, { request_id: visit.id });
      }
      if (failure.status === 401 || failure.status === 403) context.metrics.connectionsFailed.add(1, failure.code);
      if (!response.headersSent && !response.destroyed) sendError(response, failure, answerHeaders, errorShapeOf(url));
    }
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        refuse(error);
      }
    };
    const admit = (): void => {
      const caller = context.entrance.identify(headers, remote, visit.address);
      visit.caller = caller;
      requireScope(caller, "operator.write");
      readBody(request, length, (body) => guarded(() => call?.(visit, body, response, answerHeaders)));
    };
    guarded(() => {
      const counted = context.entrance.count(visit.address);
      if (counted) counted.then(() => guarded(admit), refuse);
      else admit();
    });
    return true;
  }
}

/** The parser sees to it that no more than `length` bytes come. One that leaves in the middle is heard of by the answer's end. */
function readBody(request: IncomingMessage, length: number, done: (body: Buffer) => void): void {
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
