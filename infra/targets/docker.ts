/** The target `docker`: a Docker host with gateways behind a proxy, each a container of its own. */
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../settings.ts";
import type { StackOutputs } from "./target.ts";

export function deployDocker(_settings: Settings): StackOutputs {
  throw new pulumi.RunError("the target docker cannot deploy yet");
}
