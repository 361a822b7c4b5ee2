// One call of a model by a client, as the layers between HTTP and the providers see it: limits, cache, routing.
import type { IncomingHttpHeaders } from "node:http";
import type { StackConfig } from "../config/stack.ts";
import type { GatewayError } from "../errors.ts";
import type { TraceContext } from "../observability/trace-context.ts";
import type { AnswerHeaders } from "./answer-headers.ts";
import type { BodyWords } from "./body-scan.ts";
import type { CallRecord } from "./call.ts";
import type { Balancer } from "./candidates.ts";
import type { RestartableSink } from "./failover.ts";
import type { Health } from "./health.ts";
import type { CallHandle, ClientApi } from "./provider.ts";
import type { Route, Router } from "./router.ts";

/** What a config decides about models; a request keeps the one that it began with. */
export interface ModelsRuntime {
  readonly stack: StackConfig;
  readonly router: Router;
  readonly health: Health;
  readonly balancer: Balancer;
}

/** Hears of each upstream that was asked. */
export interface Recorder {
  /** One for each upstream that was asked, however its call ended. */
  onRecord(route: Route, record: CallRecord): void;
}

export interface ModelWork {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly api: ClientApi;
  /** As the client sent it; a layer may put another one in its place. */
  body: Buffer;
  /** Of the body as the client sent it; undefined: nobody looked. */
  readonly words?: BodyWords | undefined;
  /** True: it was looked through, and none of the words for images and files is in it. */
  isWordsOnly?: boolean;
  readonly stream: boolean;
  /** The model that the client named. */
  readonly asked: string | undefined;
  /** What that name leads to. */
  readonly route: Route;
  readonly headers: IncomingHttpHeaders;
  /** The token's id. */
  readonly callerId: string;
  /** Whose kept answers this may be given: the token's, or those of the one person behind a trusted proxy. */
  readonly keptFor: string;
  readonly address: string;
  readonly runtime: ModelsRuntime;
  /** Headers of the answer: a layer adds its own before the answer's head. */
  readonly answerHeaders: AnswerHeaders;
  /** Before the first bytes of the answer, and before a failure is told: who it is from. */
  onRoute(route: Route, tries: number, error?: GatewayError): void;
  /** A layer that wants to hear of them puts itself in its place, and tells the one before. */
  recorder: Recorder;
}

/**
 * Does the work and tells the sink; a layer wraps the next one. It may throw a GatewayError instead of calling the sink.
 * Aborting the handle ends all that is under way for this work, also what waits in a queue.
 */
export type Serve = (work: ModelWork, sink: RestartableSink) => CallHandle;
