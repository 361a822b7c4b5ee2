// The HTTP server: body parsing, request ids, authentication by route, access log, errors; routes come from routes/.
import { ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import { stackOf } from "../config/rules.ts";
import type { Scope } from "../config/schema.ts";
import type { TlsFiles } from "../config/tls-files.ts";
import { GatewayError, systemCode, toGatewayError } from "../errors.ts";
import { AnswerHeaders } from "../models/answer-headers.ts";
import { requireScope } from "./auth.ts";
import type { GatewayContext } from "./context.ts";
import { corsHeaders, isPreflight, preflightHeaders } from "./cors.ts";
import { readDirectly, takeDirectly } from "./direct.ts";
import { errorShapeOf } from "./error-shapes.ts";
import { NodeAnswer } from "./node-answer.ts";
import { createPipelines } from "./pipelining.ts";
import { errorHeaders, sendError } from "./relay.ts";
import { registerAudio } from "./routes/audio.ts";
import { registerChat } from "./routes/chat.ts";
import { registerEmbeddings } from "./routes/embeddings.ts";
import { registerHealth } from "./routes/health.ts";
import { registerMessages } from "./routes/messages.ts";
import { registerMetrics } from "./routes/metrics.ts";
import { registerModels } from "./routes/models.ts";
import { registerPage } from "./routes/page.ts";
import { registerResponses } from "./routes/responses.ts";
import { registerUsage } from "./routes/usage.ts";
import { secureServer, serverOptions } from "./secure-server.ts";
import { Visit } from "./visit.ts";

declare module "fastify" {
  interface FastifyRequest {
    visit: Visit;
  }
  interface FastifyContextConfig {
    /** What a caller must be allowed to do; without it the route is open to all. */
    scope?: Scope;
  }
}

/** `operations`: only health and metrics, without tokens, for the extra port. */
export async function createServer(
  context: GatewayContext,
  surface: "all" | "operations",
  tls?: TlsFiles,
): Promise<FastifyInstance> {
  const { http } = stackOf(context.runtime().config);
  const server = Fastify({
    bodyLimit: http.maxBodyBytes,
    requestTimeout: http.requestTimeoutMs,
    keepAliveTimeout: http.keepAliveTimeoutMs,
    ...(tls ? { serverFactory: secureServer(tls, http) } : { http: serverOptions(http) }),
    // The visit has one.
    genReqId: () => "",
    exposeHeadRoutes: true,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      reply.hijack();
      sendError(new NodeAnswer(reply.raw), fromFastify(error), new AnswerHeaders(), errorShapeOf(request.raw.url ?? ""));
    },
    clientErrorHandler: (error, socket) => refuseBrokenRequest(context, error, socket),
    forceCloseConnections: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
  });
  // An expectation that is not known is not met, and the request is answered all the same: RFC 9110, 10.1.1.
  server.server.on("checkExpectation", (request, response) => server.server.emit("request", request, response));
  const pipelines = createPipelines();
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  // Set in the first hook.
  server.decorateRequest("visit", null, []);
  server.decorate("modelCalls", new Map());

  server.addHook("onRequest", async (request, reply) => {
    const { socket, httpVersion } = request.raw;
    const visit = new Visit(
      context,
      request.method,
      request.routeOptions.url ?? "unknown",
      request.headers,
      request.ip,
      new NodeAnswer(reply.raw),
      () => pipelines.leave(socket, reply.raw),
    );
    request.visit = visit;
    if (request.raw.headers.host === undefined && httpVersion === "1.1")
      throw new GatewayError("invalid_request", "The header Host is missing.");
    if (!pipelines.enter(socket, reply.raw)) {
      context.metrics.connectionsFailed.add(1, "pipelining");
      throw new GatewayError("client_gone", "Too many requests were sent on one connection at the same time.");
    }
    reply.header("x-request-id", visit.id).header("x-content-type-options", "nosniff");
    const { gateway } = context.runtime().config;
    const cors = corsHeaders(request.headers, gateway.controlUi.allowedOrigins);
    if (cors) reply.headers(cors);
    if (cors && isPreflight(request.method, request.headers)) return reply.code(204).headers(preflightHeaders).send();
    const hsts = gateway.http.securityHeaders?.strictTransportSecurity;
    if (hsts) reply.header("strict-transport-security", hsts);
    if (context.lifecycle.phase === "draining") reply.header("connection", "close");
    const { scope } = request.routeOptions.config;
    if (scope === undefined) return;
    if (context.lifecycle.refusing)
      throw new GatewayError("draining", "The gateway is stopping: send the request again.", { retryAfter: "1" });
    const { entrance } = context;
    const counted = entrance.count(visit.address);
    if (counted) await counted;
    const caller = entrance.identify(request.headers, request.ip, visit.address);
    visit.caller = caller;
    requireScope(caller, scope);
  });
  server.setErrorHandler((error, request, reply) => {
    const failure = fromFastify(error);
    request.visit.failed(failure);
    return reply
      .code(failure.status)
      .headers(errorHeaders(failure))
      .type("application/json")
      .send(errorShapeOf(request.url).body(failure));
  });
  server.setNotFoundHandler((request, reply) => {
    const known = surface === "all" && server.hasRoute({ url: request.url.split("?")[0] ?? "", method: "POST" });
    const failure = known
      ? new GatewayError("method_not_allowed", `${request.method} is not offered here: send POST.`)
      : new GatewayError("not_found", "There is nothing at this path. The API is under /v1: see /v1/models.");
    if (known) reply.header("allow", "POST");
    return reply.code(failure.status).type("application/json").send(errorShapeOf(request.url).body(failure));
  });

  registerHealth(server, context);
  registerMetrics(server, context, surface);
  if (surface === "all") {
    registerModels(server, context);
    registerChat(server, context);
    registerMessages(server, context);
    registerResponses(server, context);
    registerEmbeddings(server, context);
    registerAudio(server, context);
    registerUsage(server, context);
    registerPage(server, context);
    watchConnections(server, context);
    takeDirectly(server.server, context, server.modelCalls, pipelines);
    readDirectly(server.server, context, server.modelCalls);
  }
  return server;
}

const fastifyErrors: Readonly<Record<string, () => GatewayError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new GatewayError("body_too_large", "The request is larger than this gateway takes (http.maxBodyBytes)."),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new GatewayError("unsupported_media_type", "Send the header Content-Type: application/json."),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new GatewayError("invalid_request", "The body is not as long as Content-Length says."),
  FST_ERR_BAD_URL: () => new GatewayError("invalid_request", "The path is not a valid URL."),
  ECONNRESET: () => new GatewayError("client_gone", "The client left."),
};

/** What is not HTTP, too long or too slow: answered without fastify, which never saw a request. */
function refuseBrokenRequest({ metrics }: GatewayContext, error: unknown, socket: Socket): void {
  const code = systemCode(error);
  metrics.connectionsFailed.add(1, code === "ERR_HTTP_REQUEST_TIMEOUT" ? "request_timeout" : "bad_request");
  // What comes after the head of an answer would be read as a part of it.
  const answer: unknown = Reflect.get(socket, "_httpMessage");
  if (code === "ECONNRESET" || !socket.writable || (answer instanceof ServerResponse && answer.headersSent)) {
    socket.destroy();
    return;
  }
  const failure =
    code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? new GatewayError("request_timeout", "The request did not arrive in time.")
      : new GatewayError(
          "invalid_request",
          code === "HPE_HEADER_OVERFLOW" ? "The headers are too large." : "This is not a valid HTTP request.",
        );
  const path = answer instanceof ServerResponse ? (answer.req.url ?? "") : pathOf(error);
  const bytes = errorShapeOf(path).body(failure);
  const head = `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status]}\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\nConnection: close\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), bytes]));
}

/** Of a request that could not be read to its end, as far as it is known. */
function pathOf(error: unknown): string {
  const packet: unknown = error instanceof Error ? Reflect.get(error, "rawPacket") : undefined;
  return Buffer.isBuffer(packet)
    ? (/^[A-Za-z]{1,20} (\/[^ \r\n]{0,200})/.exec(packet.toString("latin1", 0, 256))?.[1] ?? "")
    : "";
}

function fromFastify(error: unknown): GatewayError {
  return error instanceof GatewayError ? error : (fastifyErrors[systemCode(error)]?.() ?? toGatewayError(error));
}

function watchConnections(server: FastifyInstance, { metrics }: GatewayContext): void {
  server.server.on("connection", (socket) => {
    metrics.connections.add();
    metrics.connectionsActive.add(1);
    socket.once("close", () => metrics.connectionsActive.add(-1));
  });
}
