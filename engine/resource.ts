/**
 * Resources as the state holds them. Field names are those of a version 3 checkpoint (sdk/go/common/apitype, ResourceV3),
 * so a decrypted checkpoint *is* this structure. A ResourceState is never changed in place: each step makes a new one,
 * which lets the state writer cache what it has encoded.
 */
import type { PropertyMap, Value } from "./values.ts";

export type Urn = string;

export interface StackFrame {
  sourcePosition?: string;
}

export interface CustomTimeouts {
  /** Seconds, as in a checkpoint. */
  create?: number;
  update?: number;
  delete?: number;
}

export interface ResourceState {
  urn: Urn;
  custom: boolean;
  /** Waiting for its deletion: the old half of a create-before-delete replacement. */
  delete?: boolean;
  id?: string;
  type: string;
  inputs?: PropertyMap;
  outputs?: PropertyMap;
  parent?: Urn;
  protect?: boolean;
  taint?: boolean;
  external?: boolean;
  dependencies?: Urn[];
  initErrors?: string[];
  /** `<urn of the provider>::<its id>`. */
  provider?: string;
  propertyDependencies?: { [property: string]: Urn[] | null };
  pendingReplacement?: boolean;
  additionalSecretOutputs?: string[];
  aliases?: Urn[];
  customTimeouts?: CustomTimeouts;
  importID?: string;
  retainOnDelete?: boolean;
  deletedWith?: Urn;
  replaceWith?: Urn[];
  created?: string;
  modified?: string;
  sourcePosition?: string;
  stackTrace?: StackFrame[];
  ignoreChanges?: string[];
  hideDiff?: string[];
  replaceOnChanges?: string[];
  replacementTrigger?: Value;
  refreshBeforeUpdate?: boolean;
  /** Names of the program's hooks, by type (`BeforeDelete`). */
  resourceHooks?: { [type: string]: string[] };
  /** Fields of a newer CLI or an unknown origin are kept as they came. */
  [more: string]: unknown;
}

export type OperationKind = "creating" | "updating" | "deleting" | "reading" | "importing";

export interface PendingOperation {
  resource: ResourceState;
  type: OperationKind;
}

export interface Snapshot {
  /** Dependencies before dependents. */
  resources: ResourceState[];
  pendingOperations: PendingOperation[];
  /** As in the checkpoint's `metadata`; kept. */
  metadata?: { [key: string]: unknown };
}

/**
 * Writes a stack's state. Many steps that end while a write is under way share the next one.
 * `save` resolves when a write that *began after the call* was renamed into place and fsynced; it rejects when it could not.
 */
export interface StateWriter {
  save(current: () => Snapshot): Promise<void>;
}

/** The parts of `urn:pulumi:<stack>::<project>::<qualified type>::<name>`. */
export function parseUrn(urn: Urn): { stack: string; project: string; qualifiedType: string; type: string; name: string } {
  const [, , rest] = /^(urn:pulumi:)(.*)$/s.exec(urn) ?? [];
  const parts = (rest ?? "").split("::");
  const [stack = "", project = "", qualifiedType = "", ...name] = parts;
  return {
    stack,
    project,
    qualifiedType,
    type: qualifiedType.slice(qualifiedType.lastIndexOf("$") + 1),
    name: name.join("::"),
  };
}

export const stackType = "pulumi:pulumi:Stack";

/** The URN of a resource; a parent other than the stack lends its qualified type as a prefix. */
export function makeUrn(stack: string, project: string, parent: Urn | undefined, type: string, name: string): Urn {
  const parentType = parent ? parseUrn(parent).qualifiedType : "";
  const prefix = parentType && parentType !== stackType ? `${parentType}$` : "";
  return `urn:pulumi:${stack}::${project}::${prefix}${type}::${name}`;
}
