// One request of a client as log, metrics and traces know it: counted and told once, however it ends.
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { stackOf } from "../config/rules.ts";
import type { GatewayError } from "../errors.ts";
import { randomHex, readTrace, type TraceContext } from "../observability/trace-context.ts";
import type { UnderWay } from "../process/lifecycle.ts";
import type { ClientAnswer } from "./answer.ts";
import type { Caller } from "./auth.ts";
import type { GatewayContext } from "./context.ts";
import type { Relay } from "./relay.ts";

export class Visit implements UnderWay {
  place = -1;
  readonly id: string;
  readonly method: string;
  /** As the routes spell it, for figures. */
  readonly route: string;
  readonly headers: IncomingHttpHeaders;
  /** The client's, also behind trusted proxies. */
  readonly address: string;
  readonly trace: TraceContext;
  readonly answer: ClientAnswer;
  /** Milliseconds of performance.now(). */
  readonly begun: number = performance.now();
  /** Who calls; null on routes that ask nobody. */
  caller: Caller | null = null;
  /** Of a model call. */
  relay: Relay | undefined = undefined;
  // What the access log says of it.
  provider: string | undefined = undefined;
  model: string | undefined = undefined;
  stream: boolean | undefined = undefined;
  tries: number | undefined = undefined;
  cache: string | undefined = undefined;
  tokens: number | undefined = undefined;
  firstTokenMs: number | undefined = undefined;
  errorCode: string | undefined = undefined;
  readonly #context: GatewayContext;
  /** Also heard of its end. */
  readonly #leave: (() => void) | undefined;

  /** From here on it is under way; it leaves with its answer. */
  constructor(
    context: GatewayContext,
    method: string,
    route: string,
    headers: IncomingHttpHeaders,
    socketAddress: string,
    answer: ClientAnswer,
    leave?: () => void,
  ) {
    this.#context = context;
    this.#leave = leave;
    this.id = requestId(headers);
    this.method = method;
    this.route = route;
    this.headers = headers;
    this.address = context.entrance.addressOf(headers, socketAddress);
    this.trace = readTrace(headers, context.tracing?.sampleRatio ?? 0);
    this.answer = answer;
    context.lifecycle.enter(this);
    answer.onClose = () => this.#close();
  }

  get socket(): Socket | undefined {
    return this.answer.socket;
  }

  closeAfter(): void {
    this.answer.closeAfter();
  }

  cut(error: GatewayError): void {
    this.relay?.cut(error);
  }

  /** It is refused, or was let down. */
  failed(failure: GatewayError): void {
    const { log, metrics } = this.#context;
    const { code, status, cause, message } = failure;
    this.errorCode = code;
    if (code === "internal") {
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : message;
      log.error("request_failed", text, { request_id: this.id });
    }
    if (status === 401 || status === 403) metrics.connectionsFailed.add(1, code);
  }

  /** On `close` also streams that were taken over have ended. */
  #close(): void {
    const { answer, route } = this;
    const context = this.#context;
    this.relay?.closed();
    this.#leave?.();
    context.lifecycle.leave(this);
    const durationMs = performance.now() - this.begun;
    const cut = !answer.finished;
    const status = cut && (!answer.begun || this.errorCode === undefined) ? 499 : answer.status;
    const errorType = cut && status === 499 ? "client_gone" : this.errorCode;
    const figures = context.routes.of(route);
    figures.answered(status).add(1);
    figures.duration.observe(durationMs / 1000);
    const tokenId = this.caller?.id;
    context.tracing?.request({
      trace: this.trace,
      requestId: this.id,
      method: this.method,
      route,
      status,
      durationMs,
      tokenId,
      errorType,
    });
    if (!stackOf(context.runtime().config).logging.accessLog) return;
    context.log.of("http").access(quiet.has(route) ? "debug" : "info", {
      request_id: this.id,
      method: this.method,
      route,
      status,
      duration_ms: Math.round(durationMs * 10) / 10,
      remote: this.address,
      token_id: tokenId,
      trace_id: this.trace.traceId,
      provider: this.provider,
      model: this.model,
      stream: this.stream,
      tries: this.tries,
      cache: this.cache,
      ttft_ms: this.firstTokenMs,
      llm_tokens: this.tokens,
      error_code: errorType,
    });
  }
}

const quiet = new Set(["/healthz", "/readyz", "/metrics", "/startupz"]);

const givenId = /^[\w.:-]{1,64}$/;

function requestId(headers: IncomingHttpHeaders): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && givenId.test(given) ? given : randomHex(16);
}
