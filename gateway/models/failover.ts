// Places a call at one upstream after the other, until one answers: only while nothing of an answer is with the client.
import { errorTable, GatewayError, toGatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type CallRecord, PlacedCall } from "./call.ts";
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

/** Keys that are refused again and again are the provider's word in the end. */
const maxBlamed = 16;

/** Never throws: what goes wrong is told to the sink. */
export function callWithFailover(options: Options, sink: RestartableSink): CallHandle {
  const failover = new Failover(options, sink);
  failover.start();
  return failover;
}

class Failover implements CallHandle {
  readonly options: Options;
  readonly sink: RestartableSink;
  readonly #begun = performance.now();
  /** One, or more where hedged. Once one of them answers it is the only one. */
  readonly running: Attempt[] = [];
  answering: Attempt | undefined;
  tries = 0;
  /** Tries whose failure was that of a key: the upstream itself was not asked in vain. */
  #blamed = 0;
  #over = false;
  #waited = false;
  #leaveQueue: (() => void) | undefined;
  #hedgeTimer: NodeJS.Timeout | undefined;
  readonly #enter: (route: Route) => Place | undefined;

  constructor(options: Options, sink: RestartableSink) {
    this.options = options;
    this.sink = sink;
    const { gate, work } = options;
    this.#enter = (route) => gate.enter(route, work);
  }

  start(): void {
    if (!this.#askNext()) this.#failAll();
  }

  resume(): void {
    this.answering?.resume();
  }

  abort(): void {
    if (this.#over) return;
    this.settle();
    this.#leaveQueue?.();
    for (const one of this.running.slice()) this.#drop(one, "cancelled");
  }

  #spentMs(): number {
    return performance.now() - this.#begun;
  }

  #attempt(route: Route, place: Place, extra: boolean): void {
    const { options } = this;
    const { hedge } = options;
    this.tries += 1;
    const self = new Attempt(this, route, place, extra, options.upstreams.begin(route));
    this.running.push(self);
    try {
      const call = options.callFor(options.work, route, this.tries === 1 && !this.#waited ? 0 : this.#spentMs());
      self.place(place.adapt ? place.adapt(call) : call, options.metrics);
    } catch (error) {
      this.close(self);
      self.call.end("cancelled");
      if (!self.recorded) place.leave(undefined);
      // A fault of the gateway's own or of its config: no other upstream would fare better.
      if (!extra) this.#fail(route, toGatewayError(error));
      return;
    }
    if (self.over) {
      // Given up while it was being placed; nothing where it has ended itself.
      self.drop("lost");
      return;
    }
    if (hedge && !this.answering && hedge.extras > this.tries - 1)
      this.#hedgeTimer = setTimeout(() => this.#askAnother(), hedge.delayMs);
  }

  close(self: Attempt): void {
    self.over = true;
    const at = this.running.indexOf(self);
    if (at >= 0) this.running.splice(at, 1);
    if (this.answering === self) this.answering = undefined;
    if (this.running.length === 0) clearTimeout(this.#hedgeTimer);
  }

  loseOthers(winner: Attempt): void {
    if (winner.extra) this.options.metrics.hedgeWins.add(1, winner.route.provider.id);
    for (const other of this.running.slice()) if (other !== winner) this.#drop(other, "lost");
  }

  #drop(one: Attempt, outcome: "cancelled" | "lost"): void {
    this.close(one);
    one.call.end("cancelled");
    one.drop(outcome);
  }

  /** Another upstream is asked on top of the one that has said nothing yet. */
  #askAnother(): void {
    const { hedge, maxTries, candidates, metrics } = this.options;
    if (this.#over || this.answering || this.running.length === 0) return;
    if (!hedge || this.tries >= maxTries || !hedge.spend()) return;
    const choice = candidates.chooseSpare(this.#enter);
    if (!choice || "full" in choice) return;
    metrics.hedges.add(1, choice.route.provider.id);
    this.#attempt(choice.route, choice.place, true);
  }

  /** One has failed, and is closed. */
  failed(self: Attempt, error: GatewayError): void {
    const { route, extra } = self;
    if (this.#blamed < maxBlamed && self.at.takesBlame?.(error)) {
      this.#blamed += 1;
      self.call.end("cancelled");
      this.options.candidates.giveBack(route);
    } else self.call.end(error);
    const { tryNext } = errorTable[error.code];
    // Another one is under way: it is what the request goes on to.
    if (tryNext && this.running.length > 0) {
      if (!extra) this.#countFailover(error);
      return;
    }
    for (const other of this.running.slice()) this.#drop(other, "lost");
    const mayGoOn =
      tryNext &&
      this.tries - this.#blamed < this.options.maxTries &&
      this.#spentMs() < this.options.totalMs &&
      this.sink.restart();
    if (!mayGoOn || !this.#askNext(error)) this.#fail(route, error);
  }

  #countFailover(error: GatewayError): void {
    const { metrics } = this.options;
    metrics.failovers.add(1, error.code);
    metrics.failoverSeconds.observe(this.#spentMs() / 1000, error.code);
  }

  /** False: there is none. `after` is why one is asked that is not the first. */
  #askNext(after?: GatewayError): boolean {
    const choice = this.options.candidates.choose(this.#enter);
    if (!choice) return false;
    if (after) this.#countFailover(after);
    if ("full" in choice) this.#waitFor(choice.full);
    else this.#attempt(choice.route, choice.place, false);
    return true;
  }

  #waitFor(full: readonly Route[]): void {
    const { candidates, gate, upstreams, work, maxTries, totalMs } = this.options;
    this.#waited = true;
    const left = (): void => {
      clearTimeout(deadline);
      this.#leaveQueue = undefined;
    };
    /** Upstreams whose queue takes nobody are passed over, as if they had failed. */
    const refused = (error: GatewayError): void => {
      left();
      candidates.given(full);
      const mayGoOn = errorTable[error.code].tryNext && maxTries > 1;
      if (!mayGoOn || !this.#askNext(error)) this.#fail(undefined, error);
    };
    // Every waiter has an end, whatever the queue's own limit is.
    const deadline = setTimeout(() => {
      this.#leaveQueue?.();
      this.#leaveQueue = undefined;
      const text = `no upstream of this model had a place for this request within ${totalMs} ms`;
      this.#fail(undefined, new GatewayError("upstream_timeout", text));
    }, totalMs - this.#spentMs());
    try {
      const leave = gate.wait(full, work, {
        taken: (route, place) => {
          left();
          // Broken while this waited: the others may be well.
          if (upstreams.waitMs(route) > 0) {
            place.leave(undefined);
            if (!this.#askNext()) this.#failAll();
            return;
          }
          candidates.given([route]);
          this.#attempt(route, place, false);
        },
        refused,
        again: () => {
          left();
          if (!this.#askNext()) this.#failAll();
        },
      });
      this.#leaveQueue = () => {
        left();
        leave();
      };
    } catch (error) {
      refused(toGatewayError(error));
    }
  }

  #failAll(): void {
    this.#fail(undefined, unavailable(this.options.candidates.waitMs()));
  }

  /** `route` is who failed; undefined where nobody was asked. */
  #fail(route: Route | undefined, error: GatewayError): void {
    if (this.#over) return;
    this.settle();
    const { work } = this.options;
    work.onRoute(route ?? work.route, route ? this.tries : 0, error);
    this.sink.fail(error);
  }

  settle(): void {
    this.#over = true;
    clearTimeout(this.#hedgeTimer);
    if (this.tries > 0) this.options.metrics.tries.observe(this.tries);
  }
}

/** One upstream that is asked. */
class Attempt implements CallSink {
  readonly route: Route;
  readonly at: Place;
  readonly extra: boolean;
  readonly call: CallUnderWay;
  over = false;
  recorded = false;
  readonly #failover: Failover;
  #placed: PlacedCall | undefined;
  readonly #asked = performance.now();
  #type = "";
  #length: number | undefined;

  constructor(failover: Failover, route: Route, at: Place, extra: boolean, call: CallUnderWay) {
    this.#failover = failover;
    this.route = route;
    this.at = at;
    this.extra = extra;
    this.call = call;
  }

  place(call: ModelCall, metrics: Metrics): void {
    this.#placed = new PlacedCall(this.route, call, this, metrics);
    this.#placed.start();
  }

  drop(outcome: "cancelled" | "lost"): void {
    this.#placed?.abort(outcome);
  }

  resume(): void {
    this.#placed?.resume();
  }

  onRecord(record: CallRecord): void {
    this.recorded = true;
    this.at.leave(record);
    this.#failover.options.work.recorder.onRecord(this.route, record);
  }

  head(type: string, length: number | undefined): void {
    this.#type = type;
    this.#length = length;
  }

  data(chunk: Buffer): boolean {
    this.#begin();
    return this.#failover.sink.data(chunk);
  }

  end(): void {
    const failover = this.#failover;
    this.#begin();
    failover.close(this);
    failover.settle();
    this.call.end("ok");
    failover.sink.end();
  }

  fail(error: GatewayError): void {
    this.#failover.close(this);
    this.#failover.failed(this, error);
  }

  /** The head waits for the first bytes: until then another upstream may still answer. */
  #begin(): void {
    const failover = this.#failover;
    if (failover.answering === this) return;
    const { hedge, work } = failover.options;
    failover.answering = this;
    this.call.answered();
    hedge?.answered(this.route, performance.now() - this.#asked);
    if (failover.running.length > 1) failover.loseOthers(this);
    work.onRoute(this.route, failover.tries);
    failover.sink.head(this.#type, this.#length);
  }
}

function unavailable(waitMs: number): GatewayError {
  const seconds = Number.isFinite(waitMs) ? Math.max(1, Math.ceil(waitMs / 1000)) : 1;
  return new GatewayError(
    "upstream_unavailable",
    "Every upstream of this model has failed and is left alone for a while: send the request again later.",
    { retryAfter: String(seconds) },
  );
}
