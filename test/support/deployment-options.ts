/** Options of a deployment where a test asks for nothing in particular. */
import type { DeploymentOptions } from "../../engine/deployment.ts";

export function deploymentOptions(
  needed: Pick<DeploymentOptions, "rootDirectory" | "programDirectory"> & Partial<DeploymentOptions>,
): DeploymentOptions {
  return {
    kind: "update",
    dryRun: false,
    project: "demo",
    stack: "dev",
    organization: "organization",
    parallel: 8,
    config: {},
    configSecretKeys: [],
    refresh: false,
    targets: [],
    targetDependents: false,
    replaceTargets: [],
    continueOnError: false,
    ...needed,
  };
}
