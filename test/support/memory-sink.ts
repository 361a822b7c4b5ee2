/** A deployment logic that creates everything at once, in memory: for tests of the wire. */
import { makeUrn } from "../../engine/resource.ts";
import type { Goal, InvokeGoal, ReadGoal, RegistrationSink } from "../../engine/source.ts";
import { type PropertyMap, unknown } from "../../engine/values.ts";

export interface MemorySink extends RegistrationSink {
  goals: Goal[];
  reads: ReadGoal[];
  invokes: InvokeGoal[];
  outputs: Map<string, PropertyMap>;
}

export interface MemorySinkOptions {
  stack: string;
  project: string;
  dryRun?: boolean;
  /** Outputs of a custom resource; its inputs where absent. */
  outputsOf?(goal: Goal): PropertyMap;
  answer?(goal: InvokeGoal): PropertyMap;
}

export function createMemorySink(options: MemorySinkOptions): MemorySink {
  const sink: MemorySink = {
    goals: [],
    reads: [],
    invokes: [],
    outputs: new Map(),
    async registerResource(goal) {
      sink.goals.push(goal);
      const urn = makeUrn(options.stack, options.project, goal.parent, goal.type, goal.name);
      const outputs = goal.custom ? (options.outputsOf?.(goal) ?? goal.properties) : {};
      if (!goal.custom) return { urn, outputs, result: "success" };
      if (goal.name === "fails") return { urn, outputs, result: "fail" };
      const provider = goal.type.startsWith("pulumi:providers:");
      const id = options.dryRun ? (provider ? unknown : "") : `id-of-${goal.name}`;
      return { urn, id, outputs, result: "success" };
    },
    async registerOutputs(urn, outputs) {
      sink.outputs.set(urn, outputs);
    },
    async readResource(goal) {
      sink.reads.push(goal);
      const urn = makeUrn(options.stack, options.project, goal.parent, goal.type, goal.name);
      return { urn, id: goal.id, outputs: { ...goal.properties, result: goal.id } };
    },
    async invoke(goal) {
      sink.invokes.push(goal);
      return { return: options.answer?.(goal) ?? {} };
    },
  };
  return sink;
}
