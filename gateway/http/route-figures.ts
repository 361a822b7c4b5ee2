// The figures of each route, looked up once.
import type { Metrics } from "../observability/metrics.ts";
import type { BoundCounter, BoundHistogram } from "../observability/registry.ts";

/** Routes are those of the program, so there are not many. */
export class RoutesFigures {
  readonly #metrics: Metrics;
  readonly #routes = new Map<string, RouteFigures>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  of(route: string): RouteFigures {
    const known = this.#routes.get(route);
    if (known) return known;
    const made = new RouteFigures(this.#metrics, route);
    this.#routes.set(route, made);
    return made;
  }
}

class RouteFigures {
  readonly duration: BoundHistogram;
  readonly #answered = new Map<number, BoundCounter>();
  readonly #metrics: Metrics;
  readonly #route: string;

  constructor(metrics: Metrics, route: string) {
    this.#metrics = metrics;
    this.#route = route;
    this.duration = metrics.httpDuration.at(route);
  }

  answered(status: number): BoundCounter {
    const known = this.#answered.get(status);
    if (known) return known;
    const made = this.#metrics.httpRequests.at(this.#route, String(status));
    this.#answered.set(status, made);
    return made;
  }
}
