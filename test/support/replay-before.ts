/**
 * The state before a step. Two recorded steps come after a command that was not recorded; what lay before them is put together
 * from the checkpoint before that command, the checkpoint afterwards, and what the engine told the providers about old states.
 */
import type { ResourceState, Snapshot } from "../../engine/resource.ts";
import type { PropertyMap } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import type { ReadCheckpoint } from "./replay-checkpoint.ts";
import { changing } from "./replay-player.ts";
import type { RecordedCall, RecordedRun } from "./replay-recording.ts";

function mapOf(call: RecordedCall, name: string): PropertyMap | undefined {
  const value = call.request[name];
  return isMap(value) ? value : undefined;
}

function textOf(call: RecordedCall, name: string): string | undefined {
  const value = call.request[name];
  return typeof value === "string" ? value : undefined;
}

/** `gone`: names of resources that the unrecorded command deleted, besides all that waited for its deletion. */
export function rebuildBefore(known: Snapshot, after: ReadCheckpoint, run: RecordedRun, gone: string[]): Snapshot {
  const calls = run.calls.filter((call) => call.service === "ResourceProvider");
  const rebuild = (state: ResourceState): ResourceState => {
    const own = calls.filter((call) => call.request.urn === state.urn);
    const told = own.find((call) => call.method === "Diff") ?? own.find((call) => call.method === "Delete");
    const id = told && textOf(told, "id");
    const kept = after.resources.find((other) => other.urn === state.urn && other.delete && other.id === id);
    if (kept) {
      const { delete: _, ...before } = kept;
      return before;
    }
    const same = after.resources.find((other) => other.urn === state.urn);
    if (same && !own.some((call) => changing.has(call.method))) return same;
    if (!told) return state;
    return {
      ...state,
      id,
      inputs: mapOf(told, "oldInputs") ?? state.inputs,
      outputs: mapOf(told, "olds") ?? mapOf(told, "properties") ?? state.outputs,
    };
  };
  return {
    ...known,
    resources: known.resources
      .filter((state) => !state.delete && !gone.some((name) => state.urn.endsWith(`::${name}`)))
      .map(rebuild),
  };
}
