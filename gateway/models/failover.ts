// Places a call at one upstream after the other, until one answers: only while nothing of an answer is with the client.
import { errorTable, GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type CallRecord, placeCall } from "./call.ts";
import type { Candidates } from "./candidates.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import type { Upstreams } from "./upstreams.ts";

export interface RestartableSink extends CallSink {
  /** Forgets what came so far; false when some of the answer is on its way to the client. */
  restart(): boolean;
}

interface Options {
  readonly candidates: Candidates;
  readonly upstreams: Upstreams;
  readonly metrics: Metrics;
  readonly maxTries: number;
  /** No further upstream is asked after this time. */
  readonly totalMs: number;
  callFor(route: Route): ModelCall;
  /** Before the first bytes of the answer, and before a failure is told: who it is from. */
  onRoute(route: Route, tries: number, error?: GatewayError): void;
  /** One for each upstream that was asked. */
  onRecord(route: Route, record: CallRecord): void;
}

/** Throws GatewayError `upstream_unavailable` when none may be asked. */
export function callWithFailover(options: Options, sink: RestartableSink): CallHandle {
  const { candidates, upstreams, metrics } = options;
  const begun = performance.now();
  let tries = 0;
  let over = false;
  let current: CallHandle | undefined;
  let cancelled: (() => void) | undefined;

  function attempt(route: Route): void {
    tries += 1;
    const mine = tries;
    const call = upstreams.begin(route);
    let head: [string, number | undefined] = ["", undefined];
    let answered = false;
    /** The head waits for the first bytes: until then another upstream may still answer. */
    const begin = (): void => {
      if (answered) return;
      answered = true;
      call.answered();
      options.onRoute(route, mine);
      sink.head(...head);
    };
    cancelled = () => call.end("cancelled");
    try {
      const handle = placeCall(
        route,
        options.callFor(route),
        {
          head(type, length) {
            head = [type, length];
          },
          data(chunk) {
            begin();
            return sink.data(chunk);
          },
          end() {
            begin();
            settle();
            call.end("ok");
            sink.end();
          },
          fail(error) {
            call.end(error);
            goOn(route, error);
          },
        },
        metrics,
        (record) => options.onRecord(route, record),
      );
      // Where it failed at once, the next call is under way already.
      if (mine === tries) current = handle;
    } catch (error) {
      call.end("cancelled");
      settle();
      throw error;
    }
  }

  function goOn(route: Route, error: GatewayError): void {
    const mayGoOn = errorTable[error.code].tryNext && tries < options.maxTries && performance.now() - begun < options.totalMs;
    const next = mayGoOn && sink.restart() ? candidates.next() : undefined;
    if (next) {
      metrics.failovers.add(1, error.code);
      try {
        attempt(next);
      } catch (cause) {
        sink.fail(cause instanceof GatewayError ? cause : error);
      }
      return;
    }
    settle();
    options.onRoute(route, tries, error);
    sink.fail(error);
  }

  function settle(): void {
    over = true;
    metrics.tries.observe(tries);
  }

  const first = candidates.next();
  if (!first) throw unavailable(candidates.waitMs());
  attempt(first);
  return {
    resume: () => current?.resume(),
    abort() {
      if (over) return;
      settle();
      cancelled?.();
      current?.abort();
    },
  };
}

function unavailable(waitMs: number): GatewayError {
  const seconds = Number.isFinite(waitMs) ? Math.max(1, Math.ceil(waitMs / 1000)) : 1;
  return new GatewayError(
    "upstream_unavailable",
    "Every upstream of this model has failed and is left alone for a while: send the request again later.",
    { retryAfter: String(seconds) },
  );
}
