// What the routes are given: the runtime of the moment, and the parts that outlive a reload.
import type { Loaded } from "../config/load.ts";
import type { Provider } from "../models/provider.ts";
import type { Upstreams } from "../models/upstreams.ts";
import type { ModelsRuntime, Serve } from "../models/work.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Tracing } from "../observability/trace.ts";
import type { Lifecycle } from "../process/lifecycle.ts";
import type { UsageReader } from "../store/store.ts";
import type { Authenticator } from "./auth.ts";
import type { ClientAddress } from "./client-address.ts";
import type { Entrance } from "./entrance.ts";
import type { RoutesFigures } from "./route-figures.ts";

/** All that a config decides. A reload puts a new one in place; requests under way keep theirs. */
export interface Runtime extends Pick<Loaded, "config" | "stack" | "secrets" | "hash" | "path">, ModelsRuntime {
  readonly generation: number;
  readonly auth: Authenticator;
  readonly clientAddress: ClientAddress;
  readonly providers: readonly Provider[];
  /** True while only the demonstration answers. */
  readonly demo: boolean;
}

export interface ReloadState {
  readonly at: string;
  readonly result: "applied" | "unchanged" | "restart-needed" | "invalid";
  readonly message?: string;
  /** sha256 of the file that this is about. */
  readonly hash: string;
}

/** What a part of the gateway has to say in /readyz. */
export interface ReadinessPart {
  /** What does not work as it should; does not take the gateway out of its balancer. */
  degraded?(): readonly string[];
  /** Shown to a caller who may read, under these names. */
  detail?(): Readonly<Record<string, unknown>>;
}

export interface GatewayContext {
  readonly version: string;
  readonly stateDir: string;
  readonly startedAt: Date;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly routes: RoutesFigures;
  /** For a scrape: the figures of all processes of this gateway. */
  figures(): Promise<{ render(): Iterable<string> }>;
  /** Where spans go; undefined while tracing is off. */
  readonly tracing: Tracing | undefined;
  readonly lifecycle: Lifecycle;
  readonly upstreams: Upstreams;
  /** Who is let in. */
  readonly entrance: Entrance;
  /** The layers that a model call goes through. */
  readonly serve: Serve;
  readonly usage: Pick<UsageReader, "report">;
  /** Beside what the readiness route knows itself. */
  readonly readiness: readonly ReadinessPart[];
  runtime(): Runtime;
  reloadState(): ReloadState | undefined;
  /** Settings that wait for a restart. */
  pendingRestart(): readonly string[];
}
