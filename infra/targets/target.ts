/** What every target offers: it deploys the settings and says how to reach the result. */
import type * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../settings.ts";

export interface StackOutputs {
  /** Where the gateway answers. */
  url: pulumi.Input<string>;
  /** The gateway's token: a secret. */
  token: pulumi.Output<string>;
  /** The openclaw.json that it runs with. */
  configPath: pulumi.Input<string>;
  /** Where its logs are. */
  logs: pulumi.Input<string>;
  /** For the first boot of a server that is not there yet. */
  userData?: pulumi.Input<string>;
}

export type Target = (settings: Settings) => StackOutputs | Promise<StackOutputs>;
