/** Hooks around steps: what they are told, and what their failures do. */
import type { ApplyContext } from "./apply-step.ts";
import type { ProviderError } from "./providers/provider.ts";
import { parseUrn, type ResourceState } from "./resource.ts";
import type { HookCall } from "./source.ts";
import type { Step } from "./steps.ts";

const maxRetries = 100;

export function hookCall(step: Step, state: ResourceState, more: Partial<HookCall>): HookCall {
  return {
    urn: state.urn,
    ...(state.id && { id: state.id }),
    name: parseUrn(state.urn).name,
    type: state.type,
    ...(step.goal && { newGoal: step.goal }),
    ...(step.op !== "create" && step.op !== "create-replacement" && step.old && { oldState: step.old.state }),
    ...more,
  };
}

/** An after hook cannot undo what was done: its failure is shown and fails the deployment, and the state is kept. */
export async function runAfterHook(
  type: "afterCreate" | "afterUpdate" | "afterDelete",
  names: string[],
  step: Step,
  context: ApplyContext,
): Promise<void> {
  const state = (step.new ?? step.old)?.state;
  if (names.length === 0 || !state) return;
  const more: Partial<HookCall> = {};
  if (type !== "afterDelete") Object.assign(more, { newInputs: state.inputs, newOutputs: state.outputs });
  if (type !== "afterCreate") Object.assign(more, { oldInputs: step.old?.state.inputs, oldOutputs: step.old?.state.outputs });
  try {
    await context.hooks().run(type, names, hookCall(step, state, more));
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    context.say("error", failure.message, state.urn);
    context.recordLateError(failure);
  }
}

/** Error hooks may ask for another attempt. */
export async function withRetries<T extends { partial?: ProviderError }>(
  operation: "create" | "update" | "delete",
  step: Step,
  names: string[],
  call: HookCall,
  context: ApplyContext,
  attempt: () => Promise<T>,
): Promise<T> {
  const failures: string[] = [];
  for (;;) {
    let result: T | undefined;
    let failure: unknown;
    try {
      result = await attempt();
      if (!result.partial) return result;
      failure = result.partial;
    } catch (error) {
      failure = error;
    }
    if (names.length > 0) {
      failures.unshift(failure instanceof Error ? failure.message : String(failure));
      if (failures.length >= maxRetries) {
        context.say("warning", `maximum number of error hook retries (${maxRetries}) reached`, step.urn);
        throw new Error("maximum number of error hook retries reached");
      }
      if (await context.hooks().runError(names, call, operation, failures)) {
        context.say(
          "warning",
          `retrying ${operation} due to on-error hook request (${failures.length}/${maxRetries})`,
          step.urn,
        );
        continue;
      }
    }
    if (result) return result;
    throw failure;
  }
}
