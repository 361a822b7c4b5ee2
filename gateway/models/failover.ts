// Places a call at one upstream after the other, until one answers: only while nothing of an answer is with the client.
import { errorTable, GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type PlacedCall, placeCall } from "./call.ts";
import type { Candidates } from "./candidates.ts";
import type { Gate, Place } from "./gate.ts";
import type { HedgePlan } from "./hedge.ts";
import type { CallHandle, CallSink, ModelCall } from "./provider.ts";
import type { Route } from "./router.ts";
import type { CallUnderWay, Upstreams } from "./upstreams.ts";
import type { ModelWork } from "./work.ts";

export interface RestartableSink extends CallSink {
  /** Forgets what came so far; false when some of the answer is on its way to the client. */
  restart(): boolean;
}

interface Options {
  readonly work: ModelWork;
  readonly candidates: Candidates;
  readonly gate: Gate;
  readonly upstreams: Upstreams;
  readonly metrics: Metrics;
  readonly maxTries: number;
  /** For the whole request: no further upstream is asked after this time, and later ones get what is left of it. */
  readonly totalMs: number;
  /** Set where a second upstream is asked when the first takes long. */
  readonly hedge: HedgePlan | undefined;
  callFor(work: ModelWork, route: Route, spentMs: number): ModelCall;
}

interface Attempt {
  readonly route: Route;
  readonly extra: boolean;
  readonly call: CallUnderWay;
  handle: PlacedCall | undefined;
  over: boolean;
}

/** Keys that are refused again and again are the provider's word in the end. */
const maxBlamed = 16;

/** Never throws: what goes wrong is told to the sink. */
export function callWithFailover(options: Options, sink: RestartableSink): CallHandle {
  const { work, candidates, gate, upstreams, metrics, hedge } = options;
  const begun = performance.now();
  /** One, or more where hedged. Once one of them answers it is the only one. */
  const running: Attempt[] = [];
  let answering: Attempt | undefined;
  let tries = 0;
  /** Tries whose failure was that of a key: the upstream itself was not asked in vain. */
  let blamed = 0;
  let over = false;
  let waited = false;
  let leaveQueue: (() => void) | undefined;
  let hedgeTimer: NodeJS.Timeout | undefined;

  const enter = (route: Route): Place | undefined => gate.enter(route, work);
  const spentMs = (): number => performance.now() - begun;

  function attempt(route: Route, place: Place, extra: boolean): void {
    tries += 1;
    const self: Attempt = { route, extra, call: upstreams.begin(route), handle: undefined, over: false };
    running.push(self);
    let type = "";
    let length: number | undefined;
    const asked = performance.now();
    let recorded = false;
    /** The head waits for the first bytes: until then another upstream may still answer. */
    const begin = (): void => {
      if (answering === self) return;
      answering = self;
      self.call.answered();
      hedge?.answered(route, performance.now() - asked);
      if (running.length > 1) loseOthers(self);
      work.onRoute(route, tries);
      sink.head(type, length);
    };
    try {
      const call = options.callFor(work, route, tries === 1 && !waited ? 0 : spentMs());
      self.handle = placeCall(
        route,
        place.adapt ? place.adapt(call) : call,
        {
          head(contentType, contentLength) {
            type = contentType;
            length = contentLength;
          },
          data(chunk) {
            begin();
            return sink.data(chunk);
          },
          end() {
            begin();
            close(self);
            settle();
            self.call.end("ok");
            sink.end();
          },
          fail(error) {
            close(self);
            if (blamed < maxBlamed && place.takesBlame?.(error)) {
              blamed += 1;
              self.call.end("cancelled");
              candidates.giveBack(route);
            } else self.call.end(error);
            goOn(self, error);
          },
        },
        metrics,
        (record) => {
          recorded = true;
          place.leave(record);
          work.recorder.onRecord(route, record);
        },
      );
    } catch (error) {
      close(self);
      self.call.end("cancelled");
      if (!recorded) place.leave(undefined);
      // A fault of the gateway's own or of its config: no other upstream would fare better.
      if (!extra) fail(route, asGatewayError(error));
      return;
    }
    if (self.over) {
      // Given up while it was being placed; nothing where it has ended itself.
      self.handle.abort("lost");
      return;
    }
    if (hedge && !answering && hedge.extras > tries - 1) hedgeTimer = setTimeout(askAnother, hedge.delayMs);
  }

  function close(self: Attempt): void {
    self.over = true;
    const at = running.indexOf(self);
    if (at >= 0) running.splice(at, 1);
    if (answering === self) answering = undefined;
    if (running.length === 0) clearTimeout(hedgeTimer);
  }

  function loseOthers(winner: Attempt): void {
    if (winner.extra) metrics.hedgeWins.add(1, winner.route.provider.id);
    for (const other of running.slice()) if (other !== winner) drop(other, "lost");
  }

  function drop(one: Attempt, outcome: "cancelled" | "lost"): void {
    close(one);
    one.call.end("cancelled");
    one.handle?.abort(outcome);
  }

  /** Another upstream is asked on top of the one that has said nothing yet. */
  function askAnother(): void {
    if (over || answering || running.length === 0 || !hedge || tries >= options.maxTries || !hedge.spend()) return;
    const choice = candidates.chooseSpare(enter);
    if (!choice || "full" in choice) return;
    metrics.hedges.add(1, choice.route.provider.id);
    attempt(choice.route, choice.place, true);
  }

  function goOn({ route, extra }: Attempt, error: GatewayError): void {
    const { tryNext } = errorTable[error.code];
    // Another one is under way: it is what the request goes on to.
    if (tryNext && running.length > 0) {
      if (!extra) countFailover(error);
      return;
    }
    for (const other of running.slice()) drop(other, "lost");
    const mayGoOn = tryNext && tries - blamed < options.maxTries && spentMs() < options.totalMs && sink.restart();
    if (!mayGoOn || !askNext(error)) fail(route, error);
  }

  function countFailover(error: GatewayError): void {
    metrics.failovers.add(1, error.code);
    metrics.failoverSeconds.observe(spentMs() / 1000, error.code);
  }

  /** False: there is none. `after` is why one is asked that is not the first. */
  function askNext(after?: GatewayError): boolean {
    const choice = candidates.choose(enter);
    if (!choice) return false;
    if (after) countFailover(after);
    if ("full" in choice) waitFor(choice.full);
    else attempt(choice.route, choice.place, false);
    return true;
  }

  function waitFor(full: readonly Route[]): void {
    waited = true;
    const left = (): void => {
      clearTimeout(deadline);
      leaveQueue = undefined;
    };
    /** Upstreams whose queue takes nobody are passed over, as if they had failed. */
    const refused = (error: GatewayError): void => {
      left();
      candidates.given(full);
      const mayGoOn = errorTable[error.code].tryNext && options.maxTries > 1;
      if (!mayGoOn || !askNext(error)) fail(undefined, error);
    };
    // Every waiter has an end, whatever the queue's own limit is.
    const deadline = setTimeout(() => {
      leaveQueue?.();
      leaveQueue = undefined;
      const text = `no upstream of this model had a place for this request within ${options.totalMs} ms`;
      fail(undefined, new GatewayError("upstream_timeout", text));
    }, options.totalMs - spentMs());
    try {
      const leave = gate.wait(full, work, {
        taken(route, place) {
          left();
          // Broken while this waited: the others may be well.
          if (upstreams.waitMs(route) > 0) {
            place.leave(undefined);
            if (!askNext()) fail(undefined, unavailable(candidates.waitMs()));
            return;
          }
          candidates.given([route]);
          attempt(route, place, false);
        },
        refused,
        again() {
          left();
          if (!askNext()) fail(undefined, unavailable(candidates.waitMs()));
        },
      });
      leaveQueue = () => {
        left();
        leave();
      };
    } catch (error) {
      refused(asGatewayError(error));
    }
  }

  /** `route` is who failed; undefined where nobody was asked. */
  function fail(route: Route | undefined, error: GatewayError): void {
    if (over) return;
    settle();
    work.onRoute(route ?? work.route, route ? tries : 0, error);
    sink.fail(error);
  }

  function settle(): void {
    over = true;
    clearTimeout(hedgeTimer);
    if (tries > 0) metrics.tries.observe(tries);
  }

  if (!askNext()) fail(undefined, unavailable(candidates.waitMs()));
  return {
    resume: () => answering?.handle?.resume(),
    abort() {
      if (over) return;
      settle();
      leaveQueue?.();
      for (const one of running.slice()) drop(one, "cancelled");
    },
  };
}

const asGatewayError = (error: unknown): GatewayError =>
  error instanceof GatewayError ? error : new GatewayError("internal", "The gateway failed at this request.", { cause: error });

function unavailable(waitMs: number): GatewayError {
  const seconds = Number.isFinite(waitMs) ? Math.max(1, Math.ceil(waitMs / 1000)) : 1;
  return new GatewayError(
    "upstream_unavailable",
    "Every upstream of this model has failed and is left alone for a while: send the request again later.",
    { retryAfter: String(seconds) },
  );
}
