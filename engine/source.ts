/**
 * The border between the wire (monitor.ts and its neighbours, which talk to the running program) and the deployment logic
 * (run-deployment.ts). The wire decodes requests, runs transforms, resolves providers and encodes answers; the sink decides
 * and acts. Nothing here knows gRPC.
 */
import type { DeploymentOptions, RunProgram } from "./deployment.ts";
import type { EmitEvent } from "./events.ts";
import type { CheckFailure } from "./providers/provider.ts";
import type { CustomTimeouts, ResourceState, StackFrame, Urn } from "./resource.ts";
import type { PropertyMap, Value } from "./values.ts";

/** An alias as the program gave it: a URN, or parts of one (absent = as the resource's own). */
export interface Alias {
  urn?: Urn;
  name?: string;
  type?: string;
  stack?: string;
  project?: string;
  parent?: Urn;
  noParent?: boolean;
}

export const hookTypes = [
  "beforeCreate",
  "afterCreate",
  "beforeUpdate",
  "afterUpdate",
  "beforeDelete",
  "afterDelete",
  "onError",
] as const;
export type HookType = (typeof hookTypes)[number];
/** Names of registered hooks, in the order in which they run. */
export type HookBinding = { [type in HookType]?: string[] };

/** What the program wants of one resource: a RegisterResourceRequest after transforms, inheritance and provider resolution. */
export interface Goal {
  type: string;
  name: string;
  /** False for components (and the stack itself). */
  custom: boolean;
  parent?: Urn;
  /**
   * Signature-tagged. Output values are already unwrapped into plain, secret and unknown values; resource references are kept;
   * assets and archives carry their hash beside path or text.
   */
  properties: PropertyMap;
  dependencies: Urn[];
  /** An entry for each property; an empty list where it depends on nothing. */
  propertyDependencies: { [property: string]: Urn[] };
  /**
   * Resolved reference `<urn>::<id>` of a provider that was registered before, explicit or default. Absent for components and
   * for providers themselves. Default providers arrive as goals of their own: type `pulumi:providers:<pkg>`, name
   * `default_<version with _>`, no parent. A provider's properties hold `version`, and `__internal` with pluginDownloadURL,
   * pluginChecksums and envVarMappings where they were given.
   */
  provider?: string;
  protect?: boolean;
  retainOnDelete?: boolean;
  deleteBeforeReplace?: boolean;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  hideDiff: string[];
  additionalSecretOutputs: string[];
  aliases: Alias[];
  /** Import this existing resource. */
  importId?: string;
  /** Seconds. */
  customTimeouts?: CustomTimeouts & { read?: number };
  deletedWith?: Urn;
  replaceWith: Urn[];
  replacementTrigger?: Value;
  hooks?: HookBinding;
  /** `project:///path#line,column` relative to the project's root. */
  sourcePosition?: string;
  stackTrace?: StackFrame[];
}

export interface RegisterResult {
  urn: Urn;
  /** Empty or absent in a preview of a creation, and for components. For a provider in preview: its id or `unknown`. */
  id?: string;
  /** As the state holds them; the wire drops what this program cannot take. Secrets tagged, unknowns as `unknown`. */
  outputs: PropertyMap;
  /** "skip": not run since something that it depends on failed (with continueOnError); "fail": its own step failed. */
  result: "success" | "skip" | "fail";
  /** The outputs are not known (RegisterResourceResponse.unknown), e.g. of a resource that is not targeted. */
  unknown?: boolean;
}

export interface ReadGoal {
  id: string;
  type: string;
  name: string;
  parent?: Urn;
  properties: PropertyMap;
  dependencies: Urn[];
  /** As in Goal; absent only where a provider is read. */
  provider?: string;
  additionalSecretOutputs: string[];
  sourcePosition?: string;
  stackTrace?: StackFrame[];
}

export interface ReadOutcome {
  urn: Urn;
  id?: string;
  outputs: PropertyMap;
}

export interface InvokeGoal {
  tok: string;
  args: PropertyMap;
  /** As in Goal: a provider that is registered. */
  provider: string;
}

export interface InvokeOutcome {
  return?: PropertyMap;
  failures?: CheckFailure[];
}

/**
 * The deployment logic's side. Each promise stays pending for as long as the step takes. A step that failed (without
 * continueOnError) is never answered; a rejection becomes a gRPC error, i.e. an exception in the program: only for requests
 * that are wrong in themselves. Calls arrive concurrently, in the order in which the program made them.
 */
export interface RegistrationSink {
  registerResource(goal: Goal): Promise<RegisterResult>;
  registerOutputs(urn: Urn, outputs: PropertyMap): Promise<void>;
  readResource(goal: ReadGoal): Promise<ReadOutcome>;
  invoke(goal: InvokeGoal): Promise<InvokeOutcome>;
}

/** What a hook is told. */
export interface HookCall {
  urn: Urn;
  id?: string;
  name: string;
  type: string;
  newInputs?: PropertyMap;
  oldInputs?: PropertyMap;
  newOutputs?: PropertyMap;
  oldOutputs?: PropertyMap;
  /** Hooks are told the resource's options as the states hold them. */
  newState?: ResourceState;
  oldState?: ResourceState;
}

export interface HookRunner {
  /**
   * Runs the named hooks in order. Rejects with the text of the first that fails ("before hook "x" failed: …"), unless it
   * was registered with ignoreErrors: that gives a warning. In previews only hooks with onDryRun run.
   */
  run(type: Exclude<HookType, "onError">, names: string[], call: HookCall): Promise<void>;
  /** True where one of them asks for another attempt. `errors`: the newest first, as the CLI gives them. */
  runError(
    names: string[],
    call: HookCall,
    failedOperation: "create" | "update" | "delete",
    errors: string[],
  ): Promise<boolean>;
}

export interface ProgramOutcome {
  /** The program registered all that it wants: only then may deletions start. */
  ok: boolean;
  /** For the user where it is not ok and the program itself did not already say why. */
  message?: string;
  exitCode?: number | null;
}

/** A running program and the servers it talks to. */
export interface Source {
  hooks: HookRunner;
  /** Resolves when no more registrations will come: the program waits for its end, or it is gone. */
  registered: Promise<ProgramOutcome>;
  /** Call after all steps and deletions: lets the program go and waits for its end. Resolves with the final judgement. */
  finish(): Promise<ProgramOutcome>;
  /** Ends the program at once, leaving its requests unanswered. */
  cancel(): Promise<void>;
}

export interface SourceDeps {
  sink: RegistrationSink;
  runProgram: RunProgram;
  emit: EmitEvent;
}

/** Starts servers and program; registrations reach the sink from then on. */
export type StartSource = (options: DeploymentOptions, deps: SourceDeps) => Promise<Source>;
