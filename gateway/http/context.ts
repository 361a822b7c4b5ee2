// What the routes are given: the runtime of the moment, and the parts that outlive a reload.
import type { Loaded } from "../config/load.ts";
import type { Balancer } from "../models/candidates.ts";
import type { Health } from "../models/health.ts";
import type { Provider } from "../models/provider.ts";
import type { Router } from "../models/router.ts";
import type { Upstreams } from "../models/upstreams.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Lifecycle } from "../process/lifecycle.ts";
import type { Authenticator } from "./auth.ts";

/** All that a config decides. A reload puts a new one in place; requests under way keep theirs. */
export interface Runtime extends Pick<Loaded, "config" | "stack" | "secrets" | "hash" | "path"> {
  readonly generation: number;
  readonly auth: Authenticator;
  readonly providers: readonly Provider[];
  readonly router: Router;
  readonly health: Health;
  readonly balancer: Balancer;
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

export interface GatewayContext {
  readonly version: string;
  readonly stateDir: string;
  readonly startedAt: Date;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  readonly upstreams: Upstreams;
  runtime(): Runtime;
  reloadState(): ReloadState | undefined;
  /** Settings that wait for a restart. */
  pendingRestart(): readonly string[];
}
