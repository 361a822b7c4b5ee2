/** What the handlers of the resource monitor share. */
import type { DeploymentOptions } from "../deployment.ts";
import type { RegistrationSink } from "../source.ts";
import type { DefaultProviders } from "./default-providers.ts";
import type { Hooks } from "./hooks.ts";
import type { Inheritance } from "./inheritance.ts";
import type { Positions } from "./positions.ts";
import type { Tracker } from "./tracker.ts";
import type { Transforms } from "./transforms.ts";

export interface MonitorContext {
  options: DeploymentOptions;
  sink: RegistrationSink;
  hooks: Hooks;
  inheritance: Inheritance;
  positions: Positions;
  providers: DefaultProviders;
  tracker: Tracker;
  transforms: Transforms;
}
