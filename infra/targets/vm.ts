/** The target `vm`: a server that is reached by SSH, with the gateway as a service behind a proxy. */
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../settings.ts";
import type { StackOutputs } from "./target.ts";

export function deployVm(_settings: Settings): StackOutputs {
  throw new pulumi.RunError("the target vm cannot deploy yet");
}
