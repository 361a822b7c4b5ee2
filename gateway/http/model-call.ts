// One call of a model by any of the client APIs: check, choose the route, hand over to the layers behind, relay the answer.
import type { FastifyInstance, FastifyRequest } from "fastify";
import { GatewayError } from "../errors.ts";
import { type ModelRequest, readModelRequest } from "../models/body.ts";
import type { ClientApi } from "../models/provider.ts";
import type { Route } from "../models/router.ts";
import type { ModelWork } from "../models/work.ts";
import type { GatewayContext, Runtime } from "./context.ts";
import { errorShapeOf } from "./error-shapes.ts";
import { createRelay, toGatewayError } from "./relay.ts";

export interface ModelEndpoint {
  readonly path: string;
  readonly api: ClientApi;
  /** The setting under gateway.http.endpoints that turns it off. */
  readonly setting?: keyof Runtime["config"]["gateway"]["http"]["endpoints"];
  /** Reads a body that is not JSON. */
  readonly read?: (body: unknown, contentType: string | undefined) => ModelRequest & { readonly bytes: Buffer };
}

export function registerModelCall(server: FastifyInstance, context: GatewayContext, endpoint: ModelEndpoint): void {
  const { metrics } = context;
  const { path, api, setting, read = readModelRequest } = endpoint;
  const errors = errorShapeOf(path);
  server.post(path, { config: { scope: "operator.write" } }, (request, reply) => {
    const begun = performance.now();
    const runtime = context.runtime();
    if (setting && !runtime.config.gateway.http.endpoints[setting].enabled)
      throw new GatewayError("endpoint_disabled", `This endpoint is turned off (gateway.http.endpoints.${setting}).`);
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity")
      throw new GatewayError("unsupported_media_type", "Send the body without Content-Encoding.");
    const asked = read(request.body, request.headers["content-type"]);
    const route = chooseRoute(runtime, asked.model);
    const fields = Object.assign(request.accessFields, {
      provider: route.provider.id,
      model: route.model,
      stream: asked.stream,
    });
    // From here on the answer is written past fastify: bytes go from socket to socket.
    reply.hijack();
    const headers = answerHeaders(reply.getHeaders(), request);
    const { sseKeepAliveMs: keepAliveMs } = runtime.stack.http;
    const relay = createRelay(reply.raw, { stream: asked.stream, headers, keepAliveMs, errors });
    context.lifecycle.attach(reply.raw, relay);
    const work: ModelWork = {
      requestId: request.id,
      trace: request.trace,
      api,
      body: asked.bytes,
      stream: asked.stream,
      asked: asked.model,
      route,
      headers: request.headers,
      callerId: request.caller?.id ?? "anonymous",
      address: request.address,
      runtime,
      answerHeaders: headers,
      onRoute(answering, tries, error) {
        // Nobody was asked: a failure is nobody's, and a kept answer is of the one that gave it.
        if (tries > 0 || !error) nameRoute(headers, answering, tries);
        Object.assign(fields, { provider: answering.provider.id, model: answering.model, tries });
        if (headers["x-openclaw-cache"]) fields.cache = headers["x-openclaw-cache"];
        if (error) fields.error_code = error.code;
      },
      onRecord(_, { firstByteMs, usage }) {
        if (firstByteMs !== undefined) fields.ttft_ms = Math.round(firstByteMs * 10) / 10;
        if (usage) fields.llm_tokens = usage.input + usage.output;
      },
    };
    metrics.overhead.observe((performance.now() - begun) / 1000);
    try {
      relay.attach(context.serve(work, relay));
    } catch (error) {
      const failure = toGatewayError(error);
      fields.error_code = failure.code;
      relay.fail(failure);
    }
  });
}

function chooseRoute(runtime: Runtime, model: string | undefined): Route {
  if (model !== undefined) return runtime.router.resolve(model);
  const route = runtime.router.defaultRoute;
  if (route) return route;
  throw new GatewayError(
    "model_not_found",
    "The request names no model, and no default model is configured (agents.defaults.model). See /v1/models.",
    {
      param: "model",
    },
  );
}

function answerHeaders(set: Record<string, unknown>, request: FastifyRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(set)) if (typeof value === "string") headers[name] = value;
  headers["x-request-id"] = request.id;
  return headers;
}

/** Which upstream answers is known with its first bytes. */
function nameRoute(headers: Record<string, string>, route: Route, tries: number): void {
  headers["x-openclaw-provider"] = route.provider.id;
  headers["x-openclaw-model"] = encodeURI(`${route.provider.id}/${route.model}`);
  headers["x-openclaw-tries"] = String(tries);
  if (route.note) headers["x-openclaw-note"] = encodeURI(route.note);
}
