/** What the plan hands to the executor: one operation on one resource, and what to show of it. */
import type { Cell } from "./dependency-graph.ts";
import type { StepMetadata, StepOp } from "./events.ts";
import { isDefaultProvider } from "./provider-reference.ts";
import type { PropertyDiff } from "./providers/provider.ts";
import type { ResourceState, Urn } from "./resource.ts";
import type { Goal } from "./source.ts";

/** How a registration ends. */
export type StepResult = "success" | "skip" | "fail";

export interface Step {
  op: StepOp;
  urn: Urn;
  /** The state before; absent where the resource is new. */
  old?: Cell;
  /** The state after; absent where the resource goes away. */
  new?: Cell;
  /** Keys that force a replacement. */
  keys?: string[];
  diffs?: string[];
  detailedDiff?: { [path: string]: PropertyDiff };
  /** Of a creation: the old half stays, marked for deletion. Of a deletion: the new half is still to come. */
  pending?: boolean;
  /** A creation that is not to happen, since the resource is not among the targets. */
  skippedCreate?: boolean;
  /** Carried over unchanged, since the resource is not among the targets. */
  untargeted?: boolean;
  /** Of a refresh: an update would have nothing to do. */
  unchanged?: boolean;
  /** Of an import: what it replaces. */
  original?: Cell;
  goal?: Goal;
  /** Answers the registration that asked for the step. */
  answer?: (result: StepResult) => void;
}

const isReplacementHalf = (op: StepOp): boolean =>
  op === "create-replacement" ||
  op === "delete-replaced" ||
  op === "discard-replaced" ||
  op === "read-replacement" ||
  op === "import-replacement";

/** Steps that a user thinks of; the halves of a replacement and refreshes are not. */
export const isLogical = (op: StepOp): boolean => !isReplacementHalf(op) && op !== "refresh" && op !== "remove-pending-replace";

/** Steps that the user is not to see. */
export const isInternal = (step: Step): boolean => step.op === "remove-pending-replace" || isDefaultProvider(step.urn);

/** The state that a step is about: the new one, or the old one where it goes away. */
export function stepCell(step: Step): Cell {
  const cell = step.op === "refresh" ? step.old : (step.new ?? step.old);
  if (!cell) throw new Error(`step ${step.op} on ${step.urn} is about no state`);
  return cell;
}

export function describeStep(step: Step, op: StepOp = step.op): StepMetadata {
  const state: ResourceState = (step.new ?? step.old)?.state ?? { urn: step.urn, custom: false, type: "" };
  return {
    op,
    urn: step.urn,
    type: state.type,
    ...(step.old && { old: step.old.state }),
    ...(step.new && { new: step.new.state }),
    ...(step.keys && { keys: step.keys }),
    ...(step.diffs && { diffs: step.diffs }),
    ...(step.detailedDiff && { detailedDiff: step.detailedDiff }),
    logical: isLogical(step.op),
    ...(state.provider && { provider: state.provider }),
  };
}
