/** A program for tests of deployments: a function that registers resources the way an SDK does, without a process. */
import type { DeploymentOptions } from "../../engine/deployment.ts";
import type {
  Goal,
  HookRunner,
  ProgramOutcome,
  ReadGoal,
  ReadOutcome,
  RegisterResult,
  RegistrationSink,
  StartSource,
} from "../../engine/source.ts";
import type { PropertyMap } from "../../engine/values.ts";

export interface Registering {
  /** Registers what the goal says; all other options are empty. */
  register(goal: Partial<Goal> & { type: string; name: string }): Promise<RegisterResult>;
  read(goal: Partial<ReadGoal> & { id: string; type: string; name: string }): Promise<ReadOutcome>;
  outputs(urn: string, outputs: PropertyMap): Promise<void>;
  sink: RegistrationSink;
  options: DeploymentOptions;
}

export type Program = (registering: Registering) => Promise<void>;

export const emptyGoal: Omit<Goal, "type" | "name"> = {
  custom: true,
  properties: {},
  dependencies: [],
  propertyDependencies: {},
  ignoreChanges: [],
  replaceOnChanges: [],
  hideDiff: [],
  additionalSecretOutputs: [],
  aliases: [],
  replaceWith: [],
};

export const noHooks: HookRunner = { run: async () => {}, runError: async () => false };

/** A program that throws ends without success, with the error's text. */
export function scriptedSource(program: Program, hooks: HookRunner = noHooks): StartSource {
  return async (options, { sink }) => {
    const registering: Registering = {
      register: (goal) => sink.registerResource({ ...emptyGoal, ...goal }),
      read: (goal) => sink.readResource({ properties: {}, dependencies: [], additionalSecretOutputs: [], ...goal }),
      outputs: (urn, outputs) => sink.registerOutputs(urn, outputs),
      sink,
      options,
    };
    const registered = Promise.resolve()
      .then(() => program(registering))
      .then(
        (): ProgramOutcome => ({ ok: true }),
        (error: unknown): ProgramOutcome => ({ ok: false, message: error instanceof Error ? error.message : String(error) }),
      );
    return { hooks, registered, finish: () => registered, cancel: async () => {} };
  };
}
