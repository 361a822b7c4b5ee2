/** What a deployment looks at before it begins: configuration to show, older states, operations that never ended. */
import type { ApplyContext } from "./apply-step.ts";
import type { Cell } from "./dependency-graph.ts";
import type { DeploymentOptions } from "./deployment.ts";
import { EngineError } from "./errors.ts";
import { hooksOfState } from "./plan.ts";
import { isProviderType } from "./provider-reference.ts";
import type { PendingOperation, ResourceState } from "./resource.ts";

/** Configuration as the user may see it. */
export function blinded({ config, configSecretKeys, shownConfig }: DeploymentOptions): { [key: string]: string } {
  if (shownConfig) return shownConfig;
  const secrets = new Set(configSecretKeys);
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, secrets.has(key) ? "[secret]" : value]));
}

/** Old states of providers lack outputs. */
export function withProviderOutputs(state: ResourceState): ResourceState {
  const { type, inputs = {}, outputs = {} } = state;
  if (!isProviderType(type) || Object.keys(inputs).length === 0 || Object.keys(outputs).length > 0) return state;
  const { __internal: _, ...config } = inputs;
  return Object.keys(config).length === 0 ? state : { ...state, outputs: config };
}

/** Hooks live in the program, which a destroy does not run. */
export function refuseDeleteHooks(cells: Cell[], say: ApplyContext["say"]): void {
  let found = false;
  for (const { state } of cells) {
    const names = [...hooksOfState(state, "BeforeDelete"), ...hooksOfState(state, "AfterDelete")];
    if (names.length === 0) continue;
    found = true;
    const text = `Resource has delete hooks registered, but the program is not running. Hooks: ${names.join(", ")}`;
    say("error", text, state.urn);
  }
  if (found) throw new EngineError("You must run with the `--run-program` flag to use delete hooks during destroy.");
}

/** The warning for what an earlier run did not see end. `ours`: nobody has to look after it. */
export function pendingOperationsText(operations: PendingOperation[], ours: boolean): string {
  const list = operations.map(({ resource, type }) => `  * ${resource.urn}, interrupted while ${type}\n`).join("");
  const what = `Attempting to deploy or update resources with ${operations.length} pending operations from previous deployment.\n${list}`;
  if (ours) return `${what}What they may have left is put right by this run; there is nothing to do by hand.`;
  return (
    what +
    "These resources are in an unknown state because the Pulumi CLI was interrupted while waiting for changes to these " +
    "resources to complete. You should confirm whether or not the operations listed completed successfully by checking the " +
    "state of the appropriate provider. For example, if you are using AWS, you can confirm using the AWS Console.\n\n" +
    "Once you have confirmed the status of the interrupted operations, you can repair your stack using `pulumi refresh` " +
    "which will refresh the state from the provider you are using and clear the pending operations if there are any.\n\n" +
    "Note that `pulumi refresh` will need to be run interactively to clear pending CREATE operations."
  );
}
