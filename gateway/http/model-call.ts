// One call of a model by any of the client APIs: check, choose the route, hand over to the layers behind, relay the answer.
import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import { GatewayError, toGatewayError } from "../errors.ts";
import { resolveModel } from "../governance/models.ts";
import { AnswerHeaders, headerLine } from "../models/answer-headers.ts";
import { type ModelRequest, readModelRequest } from "../models/body.ts";
import type { BodyWords } from "../models/body-scan.ts";
import type { CallRecord } from "../models/call.ts";
import type { ClientApi } from "../models/provider.ts";
import type { Route } from "../models/router.ts";
import type { ModelWork, Recorder } from "../models/work.ts";
import type { TraceContext } from "../observability/trace-context.ts";
import type { GatewayContext, Runtime } from "./context.ts";
import { errorShapeOf } from "./error-shapes.ts";
import { Relay } from "./relay.ts";
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
export type ModelCall = (visit: Visit, body: unknown, headers: AnswerHeaders) => void;

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
    const headers = new AnswerHeaders();
    for (const [name, value] of Object.entries(reply.getHeaders())) if (typeof value === "string") headers.set(name, value);
    answer(request.visit, request.body, headers);
    // The answer is written past fastify: bytes go from socket to socket.
    reply.hijack();
  });
}

function createModelCall(context: GatewayContext, { path, api, setting, read = readModelRequest }: ModelEndpoint): ModelCall {
  const overhead = context.metrics.overhead.at();
  const errors = errorShapeOf(path);
  return (visit, body, headers) => {
    const begun = performance.now();
    const runtime = context.runtime();
    if (setting && !runtime.config.gateway.http.endpoints[setting].enabled)
      throw new GatewayError("endpoint_disabled", `This endpoint is turned off (gateway.http.endpoints.${setting}).`);
    const encoding = visit.headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity")
      throw new GatewayError("unsupported_media_type", "Send the body without Content-Encoding.");
    const asked = read(body, visit.headers["content-type"]);
    const route = chooseRoute(runtime, visit.caller?.id ?? "anonymous", asked.model);
    visit.provider = route.provider.id;
    visit.model = route.model;
    visit.stream = asked.stream;
    const relay = new Relay(visit.answer, asked.stream, headers, runtime.stack.http.sseKeepAliveMs, errors);
    visit.relay = relay;
    const work = new VisitWork(visit, api, asked, route, runtime, headers);
    overhead.observe((performance.now() - begun) / 1000);
    try {
      relay.attach(context.serve(work, relay));
    } catch (error) {
      const failure = toGatewayError(error);
      visit.errorCode = failure.code;
      relay.fail(failure);
    }
  };
}

class VisitWork implements ModelWork, Recorder {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly api: ClientApi;
  body: Buffer;
  readonly words: BodyWords | undefined;
  isWordsOnly = false;
  readonly stream: boolean;
  readonly asked: string | undefined;
  readonly route: Route;
  readonly headers: IncomingHttpHeaders;
  readonly callerId: string;
  readonly keptFor: string;
  readonly address: string;
  readonly runtime: Runtime;
  readonly answerHeaders: AnswerHeaders;
  recorder: Recorder = this;
  readonly #visit: Visit;

  constructor(
    visit: Visit,
    api: ClientApi,
    asked: ModelRequest & { readonly bytes: Buffer },
    route: Route,
    runtime: Runtime,
    headers: AnswerHeaders,
  ) {
    const { caller } = visit;
    this.#visit = visit;
    this.requestId = visit.id;
    this.trace = visit.trace;
    this.api = api;
    this.body = asked.bytes;
    this.words = asked.words;
    this.stream = asked.stream;
    this.asked = asked.model;
    this.route = route;
    this.headers = visit.headers;
    this.callerId = caller?.id ?? "anonymous";
    // A space is in no id, so nobody can be called like that.
    this.keptFor = caller?.user === undefined ? this.callerId : `user ${caller.user}`;
    this.address = visit.address;
    this.runtime = runtime;
    this.answerHeaders = headers;
  }

  onRoute(answering: Route, tries: number, error?: GatewayError): void {
    const headers = this.answerHeaders;
    const visit = this.#visit;
    // Nobody was asked: a failure is nobody's, and a kept answer is of the one that gave it.
    if (tries > 0 || !error) headers.answering = linesOf(answering, tries);
    visit.provider = answering.provider.id;
    visit.model = answering.model;
    visit.tries = tries;
    const cache = headers.get("x-openclaw-cache");
    if (cache) visit.cache = cache;
    if (error) visit.errorCode = error.code;
  }

  onRecord(_: Route, { firstByteMs, usage }: CallRecord): void {
    if (firstByteMs !== undefined) this.#visit.firstTokenMs = Math.round(firstByteMs * 10) / 10;
    if (usage) this.#visit.tokens = usage.input + usage.output;
  }
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

/** Lines of answers that came with the first try, made once a route; routes of free names come and go. */
const firstTries = new WeakMap<Route, string>();

/** Which upstream answers is known with its first bytes. */
function linesOf(route: Route, tries: number): string {
  const known = tries === 1 ? firstTries.get(route) : undefined;
  if (known !== undefined) return known;
  const { provider, model, note } = route;
  const made = `${headerLine("x-openclaw-provider", provider.id)}${headerLine("x-openclaw-model", encodeURI(`${provider.id}/${model}`))}${headerLine("x-openclaw-tries", String(tries))}${note ? headerLine("x-openclaw-note", encodeURI(note)) : ""}`;
  if (tries === 1) firstTries.set(route, made);
  return made;
}
