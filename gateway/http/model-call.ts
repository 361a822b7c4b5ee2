// One call of a model by any of the client APIs: check, choose the route, hand over to the layers behind, relay the answer.
import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import { GatewayError } from "../errors.ts";
import { resolveModel } from "../governance/models.ts";
import { type ModelRequest, readModelRequest } from "../models/body.ts";
import type { ClientApi } from "../models/provider.ts";
import type { Route } from "../models/router.ts";
import type { ModelWork } from "../models/work.ts";
import type { GatewayContext, Runtime } from "./context.ts";
import { errorShapeOf } from "./error-shapes.ts";
import { createRelay, toGatewayError } from "./relay.ts";
import type { Visit } from "./visit.ts";

export interface ModelEndpoint {
  readonly path: string;
  readonly api: ClientApi;
  /** The setting under gateway.http.endpoints that turns it off. */
  readonly setting?: keyof Runtime["config"]["gateway"]["http"]["endpoints"];
  /** Reads a body that is not JSON. */
  readonly read?: (body: unknown, contentType: string | undefined) => ModelRequest & { readonly bytes: Buffer };
}

/** Answers one request; throws a GatewayError where nothing was answered yet. `headers` are the answer's, so far. */
export type ModelCall = (visit: Visit, body: unknown, response: ServerResponse, headers: Record<string, string>) => void;

/** By path. */
export type ModelCalls = ReadonlyMap<string, ModelCall>;

declare module "fastify" {
  interface FastifyInstance {
    modelCalls: Map<string, ModelCall>;
  }
}

export function registerModelCall(server: FastifyInstance, context: GatewayContext, endpoint: ModelEndpoint): void {
  const answer = createModelCall(context, endpoint);
  server.modelCalls.set(endpoint.path, answer);
  server.post(endpoint.path, { config: { scope: "operator.write" } }, (request, reply) => {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(reply.getHeaders())) if (typeof value === "string") headers[name] = value;
    headers["x-request-id"] = request.id;
    answer(request, request.body, reply.raw, headers);
    // The answer is written past fastify: bytes go from socket to socket.
    reply.hijack();
  });
}

function createModelCall(context: GatewayContext, { path, api, setting, read = readModelRequest }: ModelEndpoint): ModelCall {
  const { metrics } = context;
  const errors = errorShapeOf(path);
  return (visit, body, response, headers) => {
    const begun = performance.now();
    const runtime = context.runtime();
    if (setting && !runtime.config.gateway.http.endpoints[setting].enabled)
      throw new GatewayError("endpoint_disabled", `This endpoint is turned off (gateway.http.endpoints.${setting}).`);
    const encoding = visit.headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity")
      throw new GatewayError("unsupported_media_type", "Send the body without Content-Encoding.");
    const asked = read(body, visit.headers["content-type"]);
    const callerId = visit.caller?.id ?? "anonymous";
    const route = chooseRoute(runtime, callerId, asked.model);
    const fields = visit.accessFields;
    fields.provider = route.provider.id;
    fields.model = route.model;
    fields.stream = asked.stream;
    const { sseKeepAliveMs: keepAliveMs } = runtime.stack.http;
    const relay = createRelay(response, { stream: asked.stream, headers, keepAliveMs, errors });
    context.lifecycle.attach(response, relay);
    const work: ModelWork = {
      requestId: visit.id,
      trace: visit.trace,
      api,
      body: asked.bytes,
      stream: asked.stream,
      asked: asked.model,
      route,
      headers: visit.headers,
      callerId,
      // A space is in no id, so nobody can be called like that.
      keptFor: visit.caller?.user === undefined ? callerId : `user ${visit.caller.user}`,
      address: visit.address,
      runtime,
      answerHeaders: headers,
      onRoute(answering, tries, error) {
        // Nobody was asked: a failure is nobody's, and a kept answer is of the one that gave it.
        if (tries > 0 || !error) nameRoute(headers, answering, tries);
        fields.provider = answering.provider.id;
        fields.model = answering.model;
        fields.tries = tries;
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
  };
}

function chooseRoute(runtime: Runtime, callerId: string, model: string | undefined): Route {
  if (model !== undefined) return resolveModel(runtime.stack, runtime.router, callerId, model);
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

/** Which upstream answers is known with its first bytes. */
function nameRoute(headers: Record<string, string>, route: Route, tries: number): void {
  headers["x-openclaw-provider"] = route.provider.id;
  headers["x-openclaw-model"] = encodeURI(`${route.provider.id}/${route.model}`);
  headers["x-openclaw-tries"] = String(tries);
  if (route.note) headers["x-openclaw-note"] = encodeURI(route.note);
}
